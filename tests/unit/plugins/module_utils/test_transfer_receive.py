# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target: what is in the way, what is still to come, and the backup that is made. The engine is in memory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _from_backup,
    _from_definition,
    _recreate,
    _snapshot,
    _transfer_evidence,
    _transfer_receive,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_receive import PARTIAL, ReceiveError
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records, legacy_database

REFERENCE = "gpustack/gpustack:v0.7.1-cpu"
IMAGE = {
    "Id": "sha256:7",
    "Config": {"Env": ["PATH=/bin"], "Entrypoint": ["tini", "--", "gpustack", "start"], "Labels": {"a": "b"}},
}


class Engine:
    """An engine that has one image, for reader and writer alike."""

    # Of the class, because the code makes a reader and a writer of its own.
    containers_by_name: ClassVar[dict[str, Any]] = {}

    def __init__(self, _docker_host: str) -> None:
        self.path = "/no/socket"

    def image(self, reference: str) -> Any:
        return IMAGE if reference == REFERENCE else None

    def inspect(self, name: str) -> Any:
        return self.containers_by_name.get(name)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    Engine.containers_by_name = {}
    monkeypatch.setattr(_transfer_receive, "DockerReader", Engine)
    monkeypatch.setattr(_transfer_receive, "Engine", Engine)
    monkeypatch.setattr(_transfer_receive._host_facts, "listening_ports", lambda: [22])


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    """A source, and a target that has nothing yet."""
    live, data = tmp_path / "live", tmp_path / "data"
    live.mkdir()
    with contextlib.closing(legacy_database.make(live / "database.db")) as connection:
        legacy_database.insert(connection, "users", id=1, username="admin")
        shutil.copytree(str(live), str(data))
    (data / "token").write_bytes(b"planted\r\n")
    (data / "gpustack.env").write_bytes(b"GPUSTACK_PORT=8080\r\nHF_TOKEN=planted\r\n")
    (data / "cache").mkdir()
    (data / "cache/model").write_bytes(b"0123456789")
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o700)
    source = _transfer_evidence.read(
        _transfer_evidence.Request(
            str(data), [], [], {}, True, False, str(scratch), lambda *_words, **_options: (0, "", "")
        )
    )
    return {
        "source": source,
        "data_dir": str(tmp_path / "target"),
        "backup_dir": str(tmp_path / "backups"),
        "container_name": "gpustack",
        "image": None,
        "arguments": [],
        "environment": {},
        "force": False,
        "registry_username": None,
        "registry_password": None,
        "docker_host": "unix:///none",
    }


def arrive(params: dict[str, Any]) -> None:
    """Everything that is to come is there."""
    places = {(each["kind"], each["name"]): each["path"] for each in params["source"]["files"]}
    places.update({("cache", each["name"]): each["path"] for each in params["source"]["cache"]})
    for each in _transfer_receive.look(params).missing:
        os.makedirs(os.path.dirname(each["target"]), mode=0o700, exist_ok=True)
        shutil.copyfile(places[each["kind"], each["name"]], each["target"])
        os.chmod(each["target"], 0o600)
    for folder in (params["backup_dir"], _transfer_receive.backup_path(params)):
        os.chmod(folder, 0o700)


def received(params: dict[str, Any]) -> dict[str, Any]:
    arrive(params)
    return _transfer_receive.receive(params, _transfer_receive.look(params))


def test_a_bare_host_lacks_everything(params: dict[str, Any]) -> None:
    found = _transfer_receive.look(params)
    assert not found.finished
    assert [(each["kind"], each["name"], each["offset"]) for each in found.missing] == [
        ("data", "database.db", 0),
        ("data", "database.db-wal", 0),
        ("data", "token", 0),
        ("settings", "gpustack.env", 0),
        ("cache", "model", 0),
    ]
    assert os.listdir(params["backup_dir"]) == [] if os.path.exists(params["backup_dir"]) else True
    assert not os.path.exists(params["data_dir"])


def test_what_came_becomes_a_backup_like_any_other(params: dict[str, Any], tmp_path: Path) -> None:
    manifest = received(params)
    backup = _transfer_receive.backup_path(params)
    assert _transfer_receive.look(params).finished
    assert manifest["database"]["counts"]["users"] == 1
    assert manifest["data_dir"] == params["data_dir"]
    restored = _from_backup.run(
        {
            "backup": backup,
            "data_dir": None,
            "force": False,
            "run_id": "20261124T031500Z",
            "state_dir": str(tmp_path / "state"),
            "docker_host": f"unix://{tmp_path}/no.sock",
        },
        False,
        lambda _word: None,
    )
    assert restored["restored"] == ["database.db", "database.db-wal", "token"]
    target = Path(params["data_dir"])
    assert (target / "token").read_bytes() == b"planted\r\n"
    assert {oct((target / name).stat().st_mode & 0o777) for name in restored["restored"]} == {"0o600"}


def test_its_container_is_that_of_a_server_without_a_worker(params: dict[str, Any]) -> None:
    received(params)
    path = os.path.join(_transfer_receive.backup_path(params), "container.json")
    definition = _from_definition.read(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    body = _recreate.create_body(definition)
    assert body["Image"] == REFERENCE
    assert body["Cmd"] == ["--disable-worker", "--port", "8080"]
    assert body["Env"] == ["PATH=/bin", "HF_TOKEN=planted"]
    assert body["Entrypoint"] == ["tini", "--", "gpustack", "start"]
    assert body["HostConfig"]["Binds"] == [f"{params['data_dir']}:/var/lib/gpustack"]
    assert body["HostConfig"]["NetworkMode"] == "host"
    assert body["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.mark.parametrize("name", ["database.db", "token"])
def test_a_file_that_did_not_come_whole_makes_no_backup(params: dict[str, Any], name: str) -> None:
    arrive(params)
    Path(_transfer_receive.backup_path(params), "data", name).write_bytes(b"other")
    with pytest.raises(ReceiveError, match="did not come whole"):
        _transfer_receive.receive(params, _transfer_receive.look(params))
    assert not os.path.exists(os.path.join(_transfer_receive.backup_path(params), _snapshot.MANIFEST))


def test_other_rows_than_at_the_source_make_no_backup(params: dict[str, Any]) -> None:
    params["source"]["database"]["counts"]["users"] = 2
    with pytest.raises(ReceiveError, match="has other rows"):
        received(params)


def test_a_directory_with_something_else_is_refused_unless_forced(params: dict[str, Any]) -> None:
    os.mkdir(params["data_dir"])
    os.mkdir(os.path.join(params["data_dir"], "cache"))
    assert _transfer_receive.look(params).missing
    Path(params["data_dir"], "database.db").write_bytes(b"mine")
    with pytest.raises(ReceiveError, match=r"is not empty \(database.db\)"):
        _transfer_receive.look(params)
    assert _transfer_receive.look({**params, "force": True}).missing


def test_a_container_of_that_name_is_refused(params: dict[str, Any]) -> None:
    Engine.containers_by_name = {"gpustack": engine_records.container()}
    with pytest.raises(ReceiveError, match="there is a container gpustack already"):
        _transfer_receive.look(params)


def test_a_port_that_is_taken_is_refused(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transfer_receive._host_facts, "listening_ports", lambda: [8080])
    with pytest.raises(ReceiveError, match="port 8080"):
        _transfer_receive.look(params)


def test_no_room_is_refused(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(_transfer_receive.shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(ReceiveError, match="make room"):
        _transfer_receive.look(params)


def test_what_was_upgraded_since_is_left_alone(params: dict[str, Any]) -> None:
    received(params)
    os.makedirs(os.path.join(params["data_dir"], "postgresql"))
    with pytest.raises(ReceiveError, match="was upgraded to 2"):
        _transfer_receive.look(params)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"container_name": "other"}, "gpustack_transfer_container_name"),
        ({"image": "other:v0.7.1"}, "gpustack_transfer_image"),
        ({"arguments": ["--debug"]}, "gpustack_transfer_args"),
        ({"data_dir": "/elsewhere"}, "gpustack_transfer_data_dir"),
    ],
)
def test_a_second_time_otherwise_is_refused(params: dict[str, Any], change: dict[str, Any], said: str) -> None:
    received(params)
    with pytest.raises(ReceiveError, match=said):
        _transfer_receive.look({**params, **change})


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/./b", "a\0b", ""])
def test_a_source_is_not_trusted_with_paths(params: dict[str, Any], name: str) -> None:
    params["source"]["cache"][0]["name"] = name
    with pytest.raises(ReceiveError, match="outside of its directory"):
        _transfer_receive.look(params)


def test_a_link_in_the_way_is_refused(params: dict[str, Any], tmp_path: Path) -> None:
    os.mkdir(params["data_dir"])
    os.symlink(str(tmp_path), os.path.join(params["data_dir"], "cache"))
    with pytest.raises(ReceiveError, match="symbolic link"):
        _transfer_receive.look(params)


def test_what_is_there_and_equal_is_not_copied_again(params: dict[str, Any]) -> None:
    model = Path(params["data_dir"], "cache/model")
    model.parent.mkdir(parents=True)
    model.write_bytes(b"0123456789")
    assert "model" not in [each["name"] for each in _transfer_receive.look(params).missing]
    model.write_bytes(b"012345678X")
    assert "model" in [each["name"] for each in _transfer_receive.look(params).missing]


@given(size=st.integers(0, 10**12), partial=st.none() | st.integers(0, 10**12))
def test_one_goes_on_inside_the_file_or_at_its_beginning(size: int, partial: int | None) -> None:
    offset = _transfer_receive.offset_of(partial, size)
    assert 0 <= offset <= size
    assert offset in (0, partial)


def test_a_part_says_where_to_go_on(params: dict[str, Any]) -> None:
    part = Path(params["data_dir"], "cache/model" + PARTIAL)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"0123")
    (model,) = [each for each in _transfer_receive.look(params).missing if each["name"] == "model"]
    assert model["offset"] == 4


def test_the_manifest_says_where_it_came_from_and_no_secret(params: dict[str, Any]) -> None:
    manifest = received(params)
    assert manifest["transferred_from"]["system"] == "windows"
    assert "planted" not in json.dumps(manifest)
