# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the evidence put together, on hosts of which something is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _discovery,
    _journal,
    _legacy_image,
    _libraries,
    _lock,
    _node_evidence,
    _prepared,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._node_evidence import Request
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.engine_records import (
    V2_ENTRY_POINT,
    bind,
    container,
)
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import insert, make
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.module_run import run_command

SECRET = "hunter2-hunter2-hunter2"


def request(tmp_path: Path, **others: Any) -> Request:
    """A request on a host without an engine."""
    values = {
        "salt": "salt",
        "image": "gpustack/gpustack:v2.2.3",
        "container": None,
        "data_dir": None,
        "backup_dir": str(tmp_path / "backup"),
        "state_dir": str(tmp_path / "state"),
        "remote_tmp": "~/.ansible/tmp",
        "connect": [],
        "controller_clock": None,
        "gpu_sources": {},
        "docker_host": f"unix://{tmp_path}/docker.sock",
        **others,
    }
    return Request(**values)


def no_command(args: list[str], **_options: Any) -> tuple[int, str, str]:
    raise AssertionError(f"{args} was run")


def completed(tmp_path: Path, found: dict[str, Any], **others: Any) -> dict[str, Any]:
    """The evidence of one container."""
    (installation,) = _discovery.find([found], {}, [], _node_evidence.read_text)
    return _node_evidence.completed(installation, request(tmp_path, **others), [], False, no_command)


def test_a_host_without_an_engine_has_all_other_evidence(tmp_path: Path) -> None:
    found = _node_evidence.evidence(request(tmp_path), run_command)
    assert found["engine"]["reachable"] is False
    assert "docker.sock does not exist" in found["engine"]["error"]
    assert found["installations"] == []
    assert found["image"] == {
        "reference": "gpustack/gpustack:v2.2.3",
        "present": False,
        "id": None,
        "repo_digests": [],
        "size": None,
        "version": None,
    }
    assert found["filesystems"]["docker_root"] is None
    assert found["filesystems"]["backup"]["total"] > 0
    assert found["journal"]["outcome"] == "none"
    assert found["lock"]["held"] is False
    assert found["libraries"]["venv"] is False
    assert found["prepared"] is None
    assert json.loads(json.dumps(found)) == found


def test_gathering_creates_nothing(tmp_path: Path) -> None:
    _node_evidence.evidence(request(tmp_path), run_command)
    assert list(tmp_path.iterdir()) == []


def test_journal_and_lock_of_an_attempt(tmp_path: Path) -> None:
    asked = request(tmp_path)
    with _lock.HostLock(asked.state_dir, "20261124T030000Z"):
        _journal.Journal(asked.state_dir, "20261124T030000Z").record("begin", "started", {"release": "2.2.3"})
        found = _node_evidence.evidence(asked, run_command)
    assert (found["journal"]["outcome"], found["journal"]["release"]) == ("unfinished", "2.2.3")
    assert (found["lock"]["held"], found["lock"]["run"]) == (True, "20261124T030000Z")


def test_the_note_of_a_preparation_and_the_archive_of_the_legacy_image(tmp_path: Path) -> None:
    asked = request(tmp_path)
    (tmp_path / "state").mkdir()
    _prepared.write(asked.state_dir, {"id": "sha256:1", "version": "2.2.3"}, None)
    assert _node_evidence.evidence(asked, run_command)["prepared"]["image"]["version"] == "2.2.3"
    record = container()
    assert completed(tmp_path, record)["image_archive"] is None
    archive = _legacy_image.archive_path(asked.backup_dir, record["Image"])
    (tmp_path / "backup").mkdir()
    Path(archive).touch()
    assert completed(tmp_path, record)["image_archive"] == archive


def test_the_docker_sdk_which_every_host_needs_decides_for_an_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = _libraries.environment_python(str(tmp_path))
    Path(private).parent.mkdir(parents=True)
    Path(private).touch()
    found = {sys.executable: {"docker": None, "psycopg": "3.2.3"}, private: {"docker": "7.1.0", "psycopg": None}}
    monkeypatch.setattr(_libraries, "probe", lambda _run, python, _requirements: found[python])
    assert _node_evidence.library_versions(run_command, str(tmp_path)) == {**found[private], "venv": True}


def test_a_legacy_server_with_its_database(tmp_path: Path) -> None:
    server = make(tmp_path / "database.db")
    insert(server, "workers", id=1, name="gpu-1", ip="10.0.0.1", port=10150, state="READY", status="{}")
    (tmp_path / "token").write_text(SECRET + "\n")
    facts = completed(tmp_path, container(mounts=[bind(str(tmp_path))], command=["--bootstrap-password", SECRET]))
    assert facts["role"] == "both"
    assert facts["database"]["workers"][0]["name"] == "gpu-1"
    assert facts["token"]["source"] == "file"
    assert SECRET not in json.dumps(facts)
    targets = _node_evidence.probe_targets([facts], [{"host": "registry", "port": 443}])
    assert [(each["kind"], each["host"], each["port"]) for each in targets] == [
        ("asked", "registry", 443),
        ("server_to_worker", "10.0.0.1", 10150),
    ]
    server.close()


def test_a_worker_is_probed_to_its_server(tmp_path: Path) -> None:
    facts = completed(tmp_path, container(command=["--server-url", "http://s:81", "--token", SECRET], mounts=[]))
    (target,) = _node_evidence.probe_targets([facts], [])
    assert (target["kind"], target["host"], target["port"], target["worker"]) == (
        "worker_to_server",
        "s",
        81,
        "gpu-host",
    )
    assert (facts["data"], facts["database"], facts["worker"]["name_source"]) == (None, None, "hostname")


def test_a_data_directory_of_the_inventory_wins(tmp_path: Path) -> None:
    make(tmp_path / "database.db").close()
    facts = completed(tmp_path, container(mounts=[]), data_dir=str(tmp_path))
    assert (facts["data_dir"]["type"], facts["data_dir"]["host_path"]) == ("bind", str(tmp_path))
    assert facts["database"]["readable"] is True


def test_the_release_comes_from_the_package_before_the_schema(tmp_path: Path) -> None:
    make(tmp_path / "database.db").close()
    mounts = [bind(str(tmp_path))]
    by_schema = completed(tmp_path, container(image="gpustack/gpustack", mounts=mounts))
    assert (by_schema["release"], by_schema["release_source"]) == ("0.7.1", "schema")
    (tmp_path / "root/usr/local/lib/python3.11/dist-packages/gpustack-0.7.0.dist-info").mkdir(parents=True)
    found = container(image="gpustack/gpustack", mounts=mounts)
    found["GraphDriver"] = {"Data": {"LowerDir": str(tmp_path / "root")}}
    by_package = completed(tmp_path, found)
    assert (by_package["release"], by_package["release_source"]) == ("0.7.0", "package")


def test_a_database_of_its_own_place_is_found_through_the_mounts(tmp_path: Path) -> None:
    make(tmp_path / "other.db").close()
    command = ["--database-url", "sqlite:////srv/other.db"]
    facts = completed(tmp_path, container(command=command, mounts=[bind(str(tmp_path), "/srv")]))
    assert facts["database"]["readable"] is True


def test_the_legacy_database_is_evidence_beside_v2_and_retired_containers_too(tmp_path: Path) -> None:
    make(tmp_path / "database.db").close()
    mounts = [bind(str(tmp_path))]
    v2 = completed(tmp_path, container(image="gpustack/gpustack:v2.2.3", entry_point=V2_ENTRY_POINT, mounts=mounts))
    retired = completed(tmp_path, container(name="gpustack-legacy-20261124T030000Z", mounts=mounts))
    assert v2["database"] == retired["database"]
    assert v2["database"]["readable"]


def test_a_v2_server_that_began_as_v2_has_no_worker_unless_told(tmp_path: Path) -> None:
    migrated = container(image="gpustack/gpustack:v2.2.3", entry_point=V2_ENTRY_POINT, mounts=[bind(str(tmp_path))])
    assert completed(tmp_path, migrated)["role"] == "both"
    (tmp_path / "bootstrap_version").write_text("2.2.3")
    assert completed(tmp_path, migrated)["role"] == "server"
    migrated["Config"]["Cmd"] = ["--enable-worker"]
    assert completed(tmp_path, migrated)["role"] == "both"


def test_an_image_that_is_there() -> None:
    image = {"Id": "sha256:1", "Size": 7, "RepoDigests": ["r@sha256:2"], "RepoTags": [], "Config": {"Labels": None}}
    found = _node_evidence.image_facts("gpustack/gpustack:v2.2.3", image)
    assert (found["present"], found["id"], found["size"], found["version"]) == (True, "sha256:1", 7, "2.2.3")


def test_a_database_in_a_running_containers_layer_is_read_through_the_container(tmp_path: Path) -> None:
    seen, layer = tmp_path / "seen", tmp_path / "layer"
    seen.mkdir()
    (layer / str(seen)[1:]).mkdir(parents=True)
    make(seen / "database.db").close()
    found = container(command=["--disable-worker", "--data-dir", str(seen)], mounts=[])
    # SQLite would take /proc/<pid>/root for this host's own root.
    found["State"]["Pid"] = 0
    merged = tmp_path / "merged"
    (merged / str(seen)[1:]).parent.mkdir(parents=True)
    seen.rename(merged / str(seen)[1:])
    found["GraphDriver"] = {"Data": {"UpperDir": str(layer), "MergedDir": str(merged)}}
    facts = completed(tmp_path, found)
    assert facts["data_dir"]["host_path"] == f"{layer}{seen}"
    assert facts["data_dir"]["read_path"] == f"{merged}{seen}"
    assert facts["data"]["cache"] == []
    assert facts["database"]["readable"] is True


def test_a_container_that_is_named_is_the_hosts_own_and_the_others_are_siblings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [container(name="one", mounts=[bind("/data/one")]), container(name="other", mounts=[bind("/data/other")])]
    engine = _node_evidence.Engine({"root_dir": None}, {}, found)
    monkeypatch.setattr(_node_evidence, "read_engine", lambda _request: engine)
    everything = _node_evidence.evidence(request(tmp_path), run_command)
    assert ([each["name"] for each in everything["installations"]], everything["siblings"]) == (["one", "other"], [])
    own = _node_evidence.evidence(request(tmp_path, container="one"), run_command)
    assert [each["name"] for each in own["installations"]] == ["one"]
    assert [each["name"] for each in own["siblings"]] == ["other"]
    assert own["container"] == "one"
    assert own["places"] == {"backup_dir": str(tmp_path / "backup"), "state_dir": str(tmp_path / "state")}
