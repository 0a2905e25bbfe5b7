# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host can go back, by its journal, its backup and what the engine has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _way_back
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError

from .engine_records import container, image
from .module_run import run_command

ATTEMPT = "20261124T031500Z"


class Host:
    """A switched host with everything that the way back needs; a test takes something away."""

    def __init__(self, root: Path) -> None:
        self.legacy = container(name="gpustack-legacy-x")
        v2 = container(name="gpustack", labels={"fleetops.gpustack.attempt": ATTEMPT})
        v2["Id"] = "v2"
        self.containers = {"legacy": self.legacy, "v2": v2}
        self.images: dict[str, dict[str, Any]] = {"sha256:1": image()}
        self.backup = root / ATTEMPT
        self.backup.mkdir()
        (self.backup / "container.json").write_text(json.dumps(self.legacy))
        self.attempt = Attempt(
            name=ATTEMPT,
            role="server",
            release="2.2.3",
            image="gpustack/gpustack:v2.2.3",
            container_name="gpustack",
            legacy_id=self.legacy["Id"],
            legacy_name="gpustack",
            restart_policy={"Name": "no"},
            was_running=True,
            data_dir=str(root),
            backup=str(self.backup),
        )

    def inspect(self, wanted: str) -> dict[str, Any] | None:
        found = (each for each in self.containers.values() if wanted in (each["Id"], each["Name"].lstrip("/")))
        return next(found, None)

    def obstacle(self) -> str | None:
        return _way_back.obstacle(self.attempt, [], self.inspect, self.images.get)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_retired_container_is_enough(host: Host) -> None:
    host.images.clear()
    (host.backup / "container.json").unlink()
    assert host.obstacle() is None


def test_a_removed_one_can_be_made_again_from_definition_and_image(host: Host) -> None:
    del host.containers["legacy"]
    assert host.obstacle() is None


def test_an_archive_stands_in_for_a_removed_image(host: Host) -> None:
    del host.containers["legacy"]
    host.images.clear()
    assert "docker pull" in str(host.obstacle())
    (host.backup.parent / "legacy-image-1.tar").write_bytes(b"")
    assert host.obstacle() is None


def test_without_its_definition_the_way_out_names_the_files_that_are_left(host: Host) -> None:
    del host.containers["legacy"]
    (host.backup / "container.json").unlink()
    assert host.attempt.data_dir in str(host.obstacle())


def test_a_container_of_somebody_else_under_a_needed_name_is_in_the_way(host: Host) -> None:
    host.containers["v2"]["Config"]["Labels"] = {}
    assert "Container gpustack is not the one" in str(host.obstacle())


def test_the_legacy_container_under_its_own_name_is_not_in_the_way(host: Host) -> None:
    del host.containers["v2"]
    host.legacy["Name"] = "/gpustack"
    assert host.obstacle() is None


def test_a_host_without_a_journal_has_no_way_back(tmp_path: Path) -> None:
    assert _way_back.evidence(f"unix://{tmp_path}/none", str(tmp_path), run_command) is None


def test_a_damaged_definition_is_told_with_the_way_out(host: Host) -> None:
    del host.containers["legacy"]
    (host.backup / "container.json").write_text('{"Id": ')
    with pytest.raises(SwitchError, match=r"container\.json is damaged .*Put an intact copy there"):
        host.obstacle()


def test_evidence_of_an_unreadable_engine_is_an_obstacle_and_no_failure(host: Host, tmp_path: Path) -> None:
    entry = {
        "time": "2026-11-24T03:15:00.000Z",
        "attempt": ATTEMPT,
        "step": "begin",
        "state": "started",
        "detail": {**host.attempt.__dict__},
    }
    (tmp_path / "journal.jsonl").write_text(json.dumps(entry) + "\n")
    found = _way_back.evidence(f"unix://{tmp_path}/none", str(tmp_path), run_command)
    assert found is not None
    assert found["legacy_container"] is None
    assert "Docker engine" in found["obstacle"]
