# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cleanup removes, what it never touches, and which gates it holds. Files and journal are real."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _cleanup,
    _gates,
    _journal,
    _postgres,
    _restore,
    _snapshot,
    _way_back,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

FIRST, SECOND = "20261123T031500Z", "20261124T031500Z"
HEAD = _cleanup._releases.find("2.2.3").schema_head


class Reader:
    """The same engine, read as `DockerReader` reads it."""

    def __init__(self, engine: FakeEngine) -> None:
        self.inspect, self.image = engine.inspect, engine.image
        self.engine = engine

    def containers(self) -> list[dict[str, Any]]:
        return [{"Id": record["Id"], "Names": [record["Name"]]} for record in self.engine.records.values()]

    def inspect_all(self, names: Any) -> list[dict[str, Any]]:
        return [record for record in map(self.engine.inspect, names) if record is not None]


class Connection:
    """A database that knows its schema head."""

    def __init__(self, head: str) -> None:
        self.head = head

    def execute(self, _sql: str) -> list[tuple[str]]:
        return [(self.head,)]

    def close(self) -> None:
        """Nothing is open."""


def v2(name: str, attempt: str, running: bool = False) -> dict[str, Any]:
    return engine_records.container(
        name=name,
        image="gpustack/gpustack:v2.2.3",
        entry_point=engine_records.V2_ENTRY_POINT,
        labels={"fleetops.gpustack.attempt": attempt},
        running=running,
    )


class Server:
    """A server whose first attempt failed and whose second was finalized."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.data, self.state, self.backups = root, root / "data", root / "state", root / "backups"
        self.legacy = engine_records.container(name=f"gpustack-legacy-{SECOND}", running=False)
        self.engine = FakeEngine(self.legacy, v2("gpustack", SECOND, True), v2(f"gpustack-failed-{FIRST}", FIRST))
        self.data.mkdir()
        (self.data / "database.db").write_bytes(b"legacy")
        (self.data / "postgresql").mkdir()
        aside = self.data / f".gpustack-v2-{FIRST}"
        (aside / "postgresql" / "data").mkdir(parents=True)
        (aside / "manifest.json").write_text("{}")
        for attempt in (FIRST, SECOND):
            self.backup(attempt)
        self.attempt = self.begin(FIRST)
        self.journal(FIRST).record("undo_done", "done")
        self.attempt = self.begin(SECOND)
        self.journal(SECOND).record("done", "done")
        self.journal(SECOND).record("finalize_done", "done")
        for name in ("wheels.tar", "image.tar.gz", "prepared.json"):
            (self.state / name).write_bytes(b"brought")
        self.answer: str | None = None
        self.head = str(HEAD)
        monkeypatch.setattr(_cleanup, "DockerReader", lambda _host: Reader(self.engine))
        monkeypatch.setattr(_gates, "answer_of", lambda _endpoint: self.answer)
        monkeypatch.setattr(_postgres, "connect", lambda *_address: Connection(self.head))

    def journal(self, attempt: str) -> _journal.Journal:
        return _journal.Journal(str(self.state), attempt)

    def begin(self, name: str, role: str = "server") -> Attempt:
        attempt = Attempt(
            name=name,
            role=role,
            release="2.2.3",
            image="gpustack/gpustack:v2.2.3",
            container_name="gpustack",
            legacy_id=self.legacy["Id"],
            legacy_name="gpustack",
            restart_policy={"Name": "always", "MaximumRetryCount": 0},
            was_running=True,
            data_dir=str(self.data),
            backup=str(self.backups / name),
        )
        self.journal(name).record("begin", "started", attempt.__dict__)
        return attempt

    def backup(self, name: str, created: str | None = None) -> Path:
        path = self.backups / name
        _snapshot.begin(str(path))
        manifest = _snapshot.write_manifest(str(path), [], None)
        manifest["created"] = created or name
        (path / "manifest.json").write_text(json.dumps(manifest))
        (path / "data").mkdir()
        (path / "data" / "token").write_bytes(b"secret")
        return path

    @property
    def params(self) -> dict[str, Any]:
        return {
            "state_dir": str(self.state),
            "backup_dir": str(self.backups),
            "backup_keep": 1,
            "docker_host": "unix:///var/run/docker.sock",
            "run_id": SECOND,
            "run_command": None,
            "start": True,
        }

    def look(self, **changes: Any) -> dict[str, Any]:
        return _cleanup.run({**self.params, **changes}, True, lambda _word: None)

    def clean(self, fault: str | None = None) -> dict[str, Any]:
        """What the detached process does."""
        result, attempt, leftovers = _cleanup._found(self.params)
        if not result["changed"]:
            return result
        journal = _journal.Journal(str(self.state), attempt.name, _journal.parse_fault(fault))
        engine: Any = self.engine
        work = Work(self.params, attempt, engine, journal, lambda _warning: None)
        return {**result, **_cleanup._clean(work, leftovers)}

    def tree(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path, monkeypatch)


def test_check_do_check_again_do_again(server: Server) -> None:
    before = server.tree()
    checked = server.look()
    assert checked["changed"]
    assert server.tree() == before
    assert checked["removed"] == {
        "containers": [f"gpustack-failed-{FIRST}", f"gpustack-legacy-{SECOND}"],
        "files": [str(server.data / f".gpustack-v2-{FIRST}")],
        "state": [str(server.state / name) for name in ("image.tar.gz", "prepared.json", "wheels.tar")],
        "backups": [str(server.backups / FIRST)],
        "databases": [],
    }
    done = server.clean()
    assert done["outcome"] == "cleaned"
    assert done["removed"] == checked["removed"]
    assert server.engine.names() == {"gpustack"}
    assert sorted(os.listdir(str(server.data))) == ["database.db", "postgresql"]
    assert os.listdir(str(server.backups)) == [SECOND]
    assert sorted(os.listdir(str(server.state))) == ["journal.jsonl"]
    assert not server.look()["changed"]
    assert not server.clean()["changed"]


def test_a_container_of_somebody_else_stays_whatever_it_is_called(server: Server) -> None:
    record = engine_records.container(name=f"webshop-legacy-{SECOND}", image="webshop:1", entry_point=["shop"])
    server.engine.records[record["Id"]] = record
    server.clean()
    assert record["Id"] in server.engine.records


@pytest.mark.parametrize("name", [".gpustack-v2-keep", f".gpustack-v2-{FIRST}-mine", f".gpustack-replaced-{FIRST}"])
def test_a_directory_that_only_looks_like_ours_stays(server: Server, name: str) -> None:
    (server.data / name).mkdir()
    server.clean()
    assert (server.data / name).is_dir()


def test_what_was_set_aside_a_further_time_goes_too(server: Server) -> None:
    (server.data / f".gpustack-v2-{SECOND}-2").mkdir()
    server.clean()
    assert not (server.data / f".gpustack-v2-{SECOND}-2").exists()


def test_a_link_in_the_place_of_a_set_aside_directory_stays_with_what_it_leads_to(server: Server) -> None:
    (server.root / "elsewhere").mkdir()
    (server.data / f".gpustack-v2-{SECOND}").symlink_to(server.root / "elsewhere")
    server.clean()
    assert (server.root / "elsewhere").is_dir()
    assert (server.data / f".gpustack-v2-{SECOND}").is_symlink()


def test_a_retired_container_that_was_made_anew_goes_too(server: Server) -> None:
    record = server.engine.records.pop(server.legacy["Id"])
    server.engine.records["f" * 64] = dict(record, Id="f" * 64)
    server.clean()
    assert server.engine.names() == {"gpustack"}


def test_a_v2_container_of_somebody_else_under_a_retired_name_stays(server: Server) -> None:
    server.engine.records.pop(server.legacy["Id"])
    record = v2(f"gpustack-legacy-{SECOND}", SECOND)
    record["Config"]["Labels"] = {}
    record["Id"] = "e" * 64
    server.engine.records[record["Id"]] = record
    server.clean()
    assert record["Id"] in server.engine.records


def test_what_another_installation_of_the_machine_set_aside_stays(server: Server) -> None:
    other = "20261124T031501Z"
    for record in (v2(f"second-failed-{other}", other), v2("second", other, True)):
        server.engine.records[f"id of {record['Name']}"] = {**record, "Id": f"id of {record['Name']}"}
    assert f"second-failed-{other}" not in server.look()["removed"]["containers"]
    server.clean()
    assert {f"id of /second-failed-{other}", "id of /second"} <= set(server.engine.records)


def test_a_wreck_goes_that_the_journal_names_and_no_other(server: Server) -> None:
    for name in (f"gpustack-wreck-{FIRST}", f"mine-wreck-{FIRST}"):
        record = v2(name, FIRST)
        record["Config"]["Labels"] = {}
        record["Id"] = name[:4] * 16
        server.engine.records[record["Id"]] = record
    set_aside = {"gpustack": f"gpustack-wreck-{FIRST}", "gone meanwhile": None}
    server.journal(FIRST).record("mend", "done", {"containers": set_aside, "files": [], "token": False})
    server.journal(SECOND).record("mend", "failed", {"error": "never set anything aside"})
    server.clean()
    assert server.engine.names() == {"gpustack", f"mine-wreck-{FIRST}"}


def test_a_backup_in_which_others_may_write_stays(server: Server) -> None:
    """Somebody else may have laid out what is in it, the manifest too."""
    (server.backups / FIRST).chmod(0o777)
    server.clean()
    assert (server.backups / FIRST).is_dir()


def test_a_retired_container_that_runs_is_refused(server: Server) -> None:
    server.engine.start(server.legacy["Id"])
    with pytest.raises(SwitchError, match="somebody started it"):
        server.look()


@pytest.mark.parametrize("kind", ["no manifest", "other manifest", "link", "file"])
def test_what_is_not_provably_a_backup_of_ours_stays(server: Server, kind: str) -> None:
    path = server.backups / "20200101T000000Z"
    if kind == "link":
        target = server.backup("../elsewhere", "2020")
        path.symlink_to(target)
    elif kind == "file":
        path.write_bytes(b"")
    else:
        path.mkdir(mode=0o700)
        (path / "manifest.json" if kind == "other manifest" else path / "dump.sql").write_text('{"format": 7}')
    server.clean()
    assert os.path.lexists(str(path))


def test_newer_backups_do_not_push_out_that_of_the_upgrade(server: Server) -> None:
    server.backup("later", "20270101T000000Z")
    server.clean()
    assert sorted(os.listdir(str(server.backups))) == [SECOND, "later"]


def test_as_many_backups_stay_as_were_asked_for(server: Server) -> None:
    assert server.look(backup_keep=2)["removed"]["backups"] == []
    with pytest.raises(SwitchError, match="the only way back"):
        server.look(backup_keep=0)


@pytest.mark.parametrize(
    ("step", "state", "way_out"),
    [
        ("undo_done", "done", "was not upgraded"),
        ("finalize_begin", "started", "is not finished"),
        ("stopped", "done", "is not finished"),
        ("finalize_undone", "done", "is not finalized"),
    ],
)
def test_an_attempt_that_is_not_at_its_end_is_refused(server: Server, step: str, state: str, way_out: str) -> None:
    server.journal(SECOND).record(step, state)
    with pytest.raises(SwitchError, match=way_out):
        server.look()


def test_a_host_that_was_never_upgraded_is_refused_and_needs_no_library(server: Server) -> None:
    (server.state / "journal.jsonl").unlink()
    assert _cleanup.libraries(server.params) == []
    with pytest.raises(SwitchError, match="was not upgraded"):
        server.look()


@pytest.mark.parametrize(
    ("gate", "cause"),
    [
        ("answer", "is not ready"),
        ("head", "schema head is other"),
        ("stopped", "does not run"),
        ("replaced", "is not the one"),
    ],
)
def test_a_red_gate_is_refused(server: Server, gate: str, cause: str) -> None:
    if gate == "answer":
        server.answer = "HTTP status 503"
    elif gate == "head":
        server.head = "other"
    elif gate == "stopped":
        server.engine.stop("gpustack", 1)
    else:
        server.engine.rename("gpustack", "aside")
    before = server.tree()
    with pytest.raises(SwitchError, match=cause):
        server.clean()
    assert server.tree() == before
    assert server.legacy["Id"] in server.engine.records


def test_a_worker_needs_no_finalize_and_no_database(server: Server) -> None:
    server.head = "other"
    server.begin(SECOND, role="worker")
    server.journal(SECOND).record("done", "done")
    assert _cleanup.libraries(server.params) == ["docker"]
    assert server.clean()["outcome"] == "cleaned"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["begin", "containers", "files", "state", "backups", "done"])
def test_interrupted_anywhere_the_next_run_ends_it(server: Server, step: str, when: str) -> None:
    with pytest.raises(_journal.InjectedError):
        server.clean(f"cleanup_{step}:{when}:raise")
    server.clean()
    assert not server.look()["changed"]
    assert server.engine.names() == {"gpustack"}
    assert os.listdir(str(server.backups)) == [SECOND]
    assert _journal.summary(str(server.state))["outcome"] == "cleaned"


def test_half_a_backup_is_removed_by_the_next_run(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: str) -> None:
        raise OSError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(_cleanup.shutil, "rmtree", full)
        with pytest.raises(OSError, match="cut off"):
            _cleanup._remove(str(server.backups / FIRST))
    assert server.look()["removed"]["backups"] == [str(server.backups / FIRST)]


def test_afterwards_the_way_back_leads_over_the_backup(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_restore, "DockerReader", lambda _host: Reader(server.engine))
    server.clean()
    entries = _journal.newest_entries(str(server.state))
    obstacle = _way_back.obstacle(server.attempt, entries, server.engine.inspect, server.engine.image)
    assert f"gpustack_restore_from={server.backups / SECOND}" in str(obstacle)
    with pytest.raises(SwitchError, match="gpustack_restore_force=true"):
        _restore._found(server.params)
