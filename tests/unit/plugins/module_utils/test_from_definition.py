# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy container on a bare host, from its saved definition. The engine is the in-memory one of `fake_engine`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _from_definition, _image, _legacy_container
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
IMAGE = {"Id": "sha256:1", "RepoTags": ["gpustack/gpustack:v0.7.1"]}
REQUEST = _image.ImageRequest("gpustack/gpustack:v0.7.1")


@pytest.fixture
def definition() -> dict[str, Any]:
    return engine_records.container(RestartPolicy=ALWAYS, mounts=[engine_records.bind("/data/gpustack")])


@pytest.fixture
def engine() -> FakeEngine:
    """A host that has the image and nothing else."""
    found = FakeEngine()
    found.images = {"sha256:1": IMAGE, "gpustack/gpustack:v0.7.1": IMAGE}
    return found


def create(engine: FakeEngine, definition: dict[str, Any], **request: Any) -> dict[str, Any]:
    made: Any = engine
    return _from_definition.create(made, definition, "gpustack", REQUEST._replace(**request))


def test_nothing_starts_it_before_its_data_is_there(engine: FakeEngine, definition: dict[str, Any]) -> None:
    record = create(engine, definition)
    assert record["State"]["Running"] is False
    assert record["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert record["Name"] == "/gpustack"
    assert _from_definition.policy_of(definition) == ALWAYS
    assert definition["HostConfig"]["RestartPolicy"] == ALWAYS


def test_what_is_made_and_then_started_ends_as_it_was(
    engine: FakeEngine, definition: dict[str, Any], tmp_path: Path
) -> None:
    record = create(engine, definition)
    found = _legacy_container.Found(record, True, _from_definition.policy_of(definition))
    assert _legacy_container.change(found, "gpustack", "active", "20261124T031500Z", start=False) is None
    diff = _legacy_container.change(found, "gpustack", "active", "20261124T031500Z")
    assert diff is not None
    started: Any = engine
    _legacy_container.apply(started, found, diff["after"], "active", str(tmp_path), 1)
    now = engine.inspect("gpustack")
    assert now is not None
    assert now["State"]["Running"]
    assert now["HostConfig"]["RestartPolicy"] == ALWAYS


def test_one_that_runs_is_not_stopped(definition: dict[str, Any]) -> None:
    found = _legacy_container.Found(definition, True, ALWAYS)
    assert _legacy_container.change(found, "gpustack", "active", "20261124T031500Z", start=False) is None


@pytest.mark.parametrize(("start", "policy"), [(True, "always"), (False, "no")])
def test_what_would_be_made_is_said_before(definition: dict[str, Any], start: bool, policy: str) -> None:
    after = {"name": "gpustack", "running": start, "restart_policy": policy}
    assert _from_definition.change(definition, "gpustack", start) == {"before": {}, "after": after}


def test_the_image_comes_from_the_archive_where_there_is_one(definition: dict[str, Any], tmp_path: Path) -> None:
    archive = tmp_path / "legacy-image.tar"
    archive.write_bytes(b"image")
    engine = FakeEngine()
    engine.archives[str(archive)] = IMAGE
    assert create(engine, definition, archive=str(archive))["Image"] == "sha256:1"


def test_without_image_and_archive_it_is_pulled(
    definition: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = FakeEngine()
    engine.client = object()
    asked = []

    def fetch(_client: Any, request: _image.ImageRequest) -> None:
        asked.append(request)
        engine.images.update({"sha256:1": IMAGE, request.reference: IMAGE})

    monkeypatch.setattr(_image, "fetch", fetch)
    create(engine, definition, archive=str(tmp_path / "no.tar"), username="u", password="p")
    assert asked == [REQUEST._replace(username="u", password="p")]


def test_a_definition_is_read_as_it_was_saved(definition: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "container.json"
    path.write_text(json.dumps(definition))
    assert _from_definition.read(str(path)) == definition


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"spec": {}}'])
def test_something_else_is_no_definition(text: str, tmp_path: Path) -> None:
    (tmp_path / "container.json").write_text(text)
    with pytest.raises(SwitchError, match="is not the definition"):
        _from_definition.read(str(tmp_path / "container.json"))


def test_a_v2_container_is_no_legacy_one(tmp_path: Path) -> None:
    record = engine_records.container(image="gpustack/gpustack:v2.2.3", entry_point=engine_records.V2_ENTRY_POINT)
    (tmp_path / "container.json").write_text(json.dumps(record))
    with pytest.raises(SwitchError, match="not the definition of a legacy GPUStack"):
        _from_definition.read(str(tmp_path / "container.json"))
