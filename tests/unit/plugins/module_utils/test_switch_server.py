# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server's own steps: real files and a real SQLite database; the engine, and with it the log, is the in-memory one.

PostgreSQL's part (schema head, rows) is proven by the end-to-end tests against the real one.
"""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _gates,
    _journal,
    _parity,
    _raised_snapshot,
    _releases,
    _restore,
    _snapshot,
    _switch,
    _switch_server,
    _switch_steps,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import GateError
from ansible_collections.fleetops.gpustack.plugins.module_utils._switch_steps import Progress
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

ATTEMPT = "20261124T031500Z"
MIGRATED = [
    "[INFO] Postgres is ready.",
    "Starting database migration...",
    "Table users has migrated 3 records.",
    "Old table models has no data, skipping.",
    "[INFO] Migration completed successfully.",
]
SCHEMA_DONE = "2026-11-24 INFO Database migration completed."


class Server:
    """A server's host with a stopped legacy container and a database whose last rows are in the WAL."""

    def __init__(self, root: Path) -> None:
        self.data, self.backups = root / "data", root / "backups"
        self.data.mkdir(mode=0o755)
        self.backups.mkdir(mode=0o700)
        self.write_database()
        (self.data / "token").write_text("secret\n")
        self.legacy = engine_records.container(
            command=["--disable-worker"], mounts=[engine_records.bind(str(self.data))], running=False
        )
        self.legacy["State"]["StartedAt"] = "2026-01-01T00:00:00.000000000Z"
        self.engine = FakeEngine(self.legacy)
        self.warnings: list[str] = []
        self.connection: Any = None
        self.params: dict[str, Any] = {
            "stop_timeout": 1,
            "ready_timeout": 0,
            "migration_timeout": 5,
            "fix_permissions": False,
            "rollout_env": {},
            "extra_env": {},
        }
        attempt = Attempt(
            name=ATTEMPT,
            role="server",
            release="2.2.3",
            image="gpustack/gpustack:v2.2.3",
            container_name="gpustack",
            legacy_id=self.legacy["Id"],
            legacy_name="gpustack",
            restart_policy={"Name": "unless-stopped", "MaximumRetryCount": 0},
            was_running=True,
            data_dir=str(self.data),
            backup=str(self.backups / ATTEMPT),
        )
        journal = _journal.Journal(str(root / "state"), ATTEMPT)
        self.work = Work(self.params, attempt, self.engine, journal, self.warnings.append)  # type: ignore[arg-type]
        self.progress = Progress(self.legacy, {"command": [], "environment": {"GPUSTACK_TOKEN": "planted"}})

    def write_database(self) -> None:
        """The file of a server that was killed: one committed row is in the WAL alone."""
        path = self.data / "database.db"
        pid = os.fork()
        if pid == 0:
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
            connection.execute("INSERT INTO alembic_version VALUES ('d19176de3b74')")
            connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT)")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("INSERT INTO users VALUES (1, 'Zoë')")
            os._exit(0)
        os.waitpid(pid, 0)

    def step(self, name: str, action: Any, announced: dict[str, Any] | None = None) -> dict[str, Any]:
        with self.work.journal.step(name, announced) as found:
            found.update(action(self.work, self.progress))
        return found

    def save(self) -> dict[str, Any]:
        kept = self.step("snapshot", _switch_server.snapshot)
        self.step("verify_snapshot", _switch_server.verify_snapshot)
        return kept

    def new_container(self, log: list[str], running: bool = True) -> None:
        made = engine_records.container(name="new", image="gpustack/gpustack:v2.2.3", command=[], running=running)
        made.update(Id="v2", log=log, NetworkSettings={"Ports": {}, "Networks": {}})
        made["State"]["ExitCode"] = 0 if running else 2
        self.engine.records["v2"] = made
        self.progress.container_id = "v2"

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.data.iterdir() if path.is_file()}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_the_snapshot_holds_the_rows_of_the_wal_and_leaves_the_original_alone(server: Server) -> None:
    before = server.bytes()
    assert server.save()["kept"] is False
    assert server.bytes() == before
    assert server.progress.manifest["database"]["counts"] == {"users": 1}
    recovered = sqlite3.connect(server.backups / ATTEMPT / "recovered" / "database.db")
    assert recovered.execute("SELECT username FROM users").fetchall() == [("Zoë",)]


def test_a_copy_that_cannot_be_recovered_gets_no_manifest(server: Server) -> None:
    server.step("snapshot", _switch_server.snapshot)
    os.truncate(server.backups / ATTEMPT / "data" / "database.db", 0)
    with pytest.raises(_snapshot.SnapshotError):
        server.step("verify_snapshot", _switch_server.verify_snapshot)
    assert not (server.backups / ATTEMPT / "manifest.json").exists()


def test_a_verified_snapshot_of_the_same_files_is_kept(server: Server) -> None:
    server.save()
    manifest = (server.backups / ATTEMPT / "manifest.json").read_bytes()
    assert server.save()["kept"] is True
    assert (server.backups / ATTEMPT / "manifest.json").read_bytes() == manifest


def test_a_snapshot_of_older_files_is_put_aside_and_taken_anew(server: Server) -> None:
    server.save()
    (server.data / "token").write_text("another\n")
    assert server.save()["kept"] is False
    assert (server.backups / (ATTEMPT + "-superseded") / "data" / "token").read_text() == "secret\n"
    assert (server.backups / ATTEMPT / "data" / "token").read_text() == "another\n"


def test_a_change_between_copy_and_manifest_is_found_out(server: Server) -> None:
    """The manifest speaks of the copy that was proven, whatever lies in the data directory by then."""
    server.step("snapshot", _switch_server.snapshot)
    with (server.data / "database.db").open("ab") as database:
        database.write(b"a row of somebody else")
    server.step("verify_snapshot", _switch_server.verify_snapshot)
    _snapshot.verify_manifest(str(server.backups / ATTEMPT))
    with pytest.raises(GateError, match=r"database\.db in .* changed after the snapshot"):
        _switch_server.require_unchanged_original(server.work)


def test_a_damaged_database_is_told_by_its_own_name(server: Server) -> None:
    (server.data / "database.db").write_bytes(b"something else" * 100)
    server.step("snapshot", _switch_server.snapshot)
    with pytest.raises(_snapshot.SnapshotError, match=f"^{server.data}/database.db is damaged"):
        server.step("verify_snapshot", _switch_server.verify_snapshot)


def test_the_definition_has_the_restart_policy_that_was_also_when_an_earlier_run_took_it_away(server: Server) -> None:
    server.step("stop", _switch_steps.stop_legacy)
    stopped = server.engine.inspect(server.legacy["Id"])
    assert stopped is not None
    assert stopped["HostConfig"]["RestartPolicy"]["Name"] == "no"
    server.progress.legacy = stopped
    server.save()
    definition = json.loads((server.backups / ATTEMPT / "container.json").read_text())
    assert definition["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_a_hot_journal_is_refused_with_the_way_out(server: Server) -> None:
    (server.data / "database.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + b"\x00" * 504)
    with pytest.raises(GateError, match=r"hot rollback journal.*Start the old server once and stop it cleanly"):
        server.step("snapshot", _switch_server.snapshot)
    assert not (server.backups / ATTEMPT).exists()


def test_permissions_are_changed_only_when_asked(server: Server) -> None:
    server.data.chmod(0o700)
    assert _switch_server.modes_before(server.work) == {}
    _switch_server.permissions(server.work, server.progress)
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_old_modes_come_back(server: Server) -> None:
    server.data.chmod(0o700)
    (server.data / "token").chmod(0o644)
    server.params["fix_permissions"] = True
    server.step("permissions", _switch_server.permissions, _switch_server.modes_before(server.work))
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o755
    assert stat.S_IMODE((server.data / "token").stat().st_mode) == 0o600
    server.step("stop", _switch_steps.stop_legacy)
    server.save()
    _restore.go_back(server.work)
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.data / "token").stat().st_mode) == 0o644


def test_what_v2_overwrote_is_put_aside_before_the_old_bytes_come_back(server: Server) -> None:
    before = server.bytes()
    server.step("stop", _switch_steps.stop_legacy)
    server.save()
    (server.data / "token").write_text("gpustack_new\n")
    (server.data / "postgresql").mkdir()
    _restore.go_back(server.work)
    assert server.bytes() == before
    aside = server.data / f".gpustack-v2-{ATTEMPT}"
    assert (aside / "token").read_text() == "gpustack_new\n"
    assert (aside / "postgresql").is_dir()


def test_what_was_overwritten_twice_is_kept_twice(server: Server) -> None:
    before = server.bytes()
    server.step("stop", _switch_steps.stop_legacy)
    server.save()
    for text in ("first\n", "second\n"):
        (server.data / "token").write_text(text)
        (server.data / "worker_name").write_text(text)
        (server.data / "database.db-journal").write_text(text)
        _restore._put_files_back(server.work)
        assert server.bytes() == before
    for number, text in (("", "first\n"), ("-2", "second\n")):
        aside = server.data / f".gpustack-v2-{ATTEMPT}{number}"
        assert {path.name: path.read_text() for path in aside.iterdir()} == {
            "token": text,
            "worker_name": text,
            "database.db-journal": text,
        }


def test_nothing_is_started_while_somebody_writes_over_the_old_bytes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.step("stop", _switch_steps.stop_legacy)
    server.save()
    name = _restore._take_name_back

    def meanwhile(work: Work) -> dict[str, Any]:
        (server.data / "token").write_text("somebody else's\n")
        return name(work)

    monkeypatch.setitem(_restore.WAY_BACK, "undo_rename", meanwhile)
    with pytest.raises(SwitchError, match=r"token in .* changed again .*the old container was not started"):
        _restore.undo(server.work, start=True)
    assert server.engine.calls.count("start") == 0


def test_what_a_mending_put_aside_is_not_overwritten_by_the_way_back(server: Server) -> None:
    """The token of the wreck lies there; v2 wrote two files that a wreck may have had, one of them new."""
    aside, second = server.data / f".gpustack-v2-{ATTEMPT}", server.data / f".gpustack-v2-{ATTEMPT}-2"
    aside.mkdir(mode=0o700)
    for name in ("token", "initial_admin_password"):
        (aside / name).write_text("the wreck's\n")
    server.step("stop", _switch_steps.stop_legacy)
    server.save()
    for name in ("token", "initial_admin_password"):
        (server.data / name).write_text("v2's\n")
    _restore.go_back(server.work)
    assert (server.data / "token").read_text() == "secret\n"
    assert {path.read_text() for path in aside.iterdir()} == {"the wreck's\n"}
    assert {path.name: path.read_text() for path in second.iterdir()} == dict.fromkeys(
        ("token", "initial_admin_password"), "v2's\n"
    )


class LegacyAnswers(http.server.BaseHTTPRequestHandler):
    """The legacy server's /readyz."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def legacy_port() -> Iterator[int]:
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LegacyAnswers)
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    yield listener.server_port
    listener.shutdown()
    listener.server_close()


def switched(server: Server, port: int) -> None:
    server.legacy["Config"]["Cmd"] = ["--disable-worker", "--port", str(port)]
    server.step("stop", _switch_steps.stop_legacy)
    server.save()


def serving(server: Server, statement: str | None = None) -> None:
    """The legacy server opens its database when it starts, and writes to it."""

    def opens(_record: dict[str, Any]) -> None:
        server.connection = sqlite3.connect(str(server.data / "database.db"), isolation_level=None)
        server.connection.execute(statement or "SELECT * FROM users").fetchall()

    server.engine.on_start = opens


def test_the_legacy_server_is_back_when_it_has_the_rows_that_were_saved(server: Server, legacy_port: int) -> None:
    switched(server, legacy_port)
    serving(server)
    _restore.undo(server.work, start=True)
    rows = _journal.last_detail(server.work.journal.entries(), "undo_rows", "done")
    assert rows == {"tables": {"users": 1}}


def test_a_legacy_server_with_other_rows_is_not_back(server: Server, legacy_port: int) -> None:
    switched(server, legacy_port)
    serving(server, "DELETE FROM users")
    with pytest.raises(GateError, match="users has 0 rows, not 1"):
        _restore.undo(server.work, start=True)
    assert _journal.outcome_of(server.work.journal.entries()) == "unfinished"


def test_a_legacy_server_that_ran_since_has_newer_rows_than_the_backup(server: Server, legacy_port: int) -> None:
    switched(server, legacy_port)
    serving(server, "DELETE FROM users")
    server.engine.start(server.legacy["Id"])
    _restore.undo(server.work, start=True)
    assert _journal.outcome_of(server.work.journal.entries()) == "restored"


def test_a_migration_is_followed_to_its_end(server: Server) -> None:
    server.save()
    server.new_container([*MIGRATED, SCHEMA_DONE])
    assert server.step("migrate", _switch_server.migrate) == {"rows": {"users": 3, "models": 0}}


def test_a_migration_that_does_not_end_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server prints nothing, answers nobody, and goes on."""
    server.save()
    server.new_container(MIGRATED[:2])
    passed = iter(range(0, 1000, 2))
    monkeypatch.setattr(_switch_server.time, "monotonic", lambda: next(passed))
    monkeypatch.setattr(_gates, "lines_with_ticks", lambda lines: itertools.chain(lines, itertools.repeat(None, 100)))
    monkeypatch.setattr(_switch_server, "_answers", lambda _work, _progress: False)
    with pytest.raises(GateError, match=r"did not end within 5 seconds; .*gpustack_migration_timeout"):
        server.step("migrate", _switch_server.migrate)


class NewDatabase:
    """A new database with a schema head, and nothing else that a gate asks for."""

    def __init__(self, heads: list[str]) -> None:
        self.heads = heads

    def execute(self, query: str) -> list[tuple[str]]:
        assert query == "SELECT version_num FROM alembic_version"
        return [(head,) for head in self.heads]


@pytest.mark.parametrize("heads", [["of another release"], [], ["1f6d03a5b4aa", "two"]])
def test_another_schema_head_is_not_accepted(server: Server, monkeypatch: pytest.MonkeyPatch, heads: list[str]) -> None:
    database = contextlib.nullcontext(NewDatabase(heads))
    monkeypatch.setattr(_switch_server, "_database", lambda _work, _progress: database)
    with pytest.raises(GateError, match=r"The schema head is .* but release 2\.2\.3 has"):
        server.step("schema_head", _switch_server.schema_head)
    head = _releases.find("2.2.3").schema_head
    assert head
    database.enter_result.heads = [head]
    assert server.step("schema_head", _switch_server.schema_head) == {"found": [head]}


def test_of_a_database_of_0_7_1_nothing_is_raised(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_raised_snapshot, "raise_to_migration_head", lambda *_args: pytest.fail("nothing to raise"))
    server.save()
    assert server.step("raise_snapshot", _switch_server.raise_snapshot) == {"schema_head": "d19176de3b74"}


def test_an_older_database_is_raised_from_the_backup_and_what_that_dropped_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = _snapshot.RecoveredFacts("ok", 0, "d19176de3b74", {}, 1)
    asked: list[Any] = []

    def raise_to_migration_head(*arguments: Any) -> _raised_snapshot.Raised:
        asked.extend(arguments[1:])
        return _raised_snapshot.Raised("e6bf9e067296", facts, {"api_keys": 2})

    monkeypatch.setattr(_raised_snapshot, "raise_to_migration_head", raise_to_migration_head)
    monkeypatch.setattr(server.engine, "client", None, raising=False)
    server.save()
    server.progress.manifest["database"]["schema_head"] = "e6bf9e067296"
    server.step("raise_snapshot", _switch_server.raise_snapshot)
    image, backup, before, labels = asked
    assert (image, backup) == ("gpustack/gpustack:v2.2.3", str(server.backups / ATTEMPT))
    assert before == server.progress.manifest["database"]
    # Found by whatever clears up after trials, and by the way back of this attempt.
    assert labels == {"fleetops.gpustack.trial": ATTEMPT, "fleetops.gpustack.attempt": ATTEMPT}
    expected = {"from": "e6bf9e067296", "to": "d19176de3b74", "dropped": {"api_keys": 2}}
    assert server.progress.facts["raised"] == expected
    assert ["deletes 2 rows of api_keys" in warning for warning in server.warnings] == [True]


@pytest.mark.parametrize("equal", [True, False])
def test_rows_that_are_not_equal_are_not_accepted(server: Server, monkeypatch: pytest.MonkeyPatch, equal: bool) -> None:
    server.save()
    report = {"equal": equal, "warnings": ["a word"], "tables": [], "seconds": 0.1, "sequences": []}
    monkeypatch.setattr(_switch_server, "_database", lambda _work, _progress: contextlib.nullcontext(None))
    monkeypatch.setattr(_parity, "compare", lambda *_args: report)
    monkeypatch.setattr(_parity, "problems", lambda _report: ["users: 1 differences"])
    if equal:
        server.step("rows", _switch_server.rows)
    else:
        with pytest.raises(GateError, match="not equal to the snapshot: users: 1 differences"):
            server.step("rows", _switch_server.rows)
    assert server.progress.facts["parity"] is report
    assert server.warnings == ["a word"]


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (["[INFO] No migration data dir specified, skipping."], "has migrated nothing"),
        (["[INFO] Starting gpustack.", SCHEMA_DONE], "has migrated nothing"),
        ([*MIGRATED[:2], "Failed to migrate: value out of int32 range"], "did not start: an integer"),
        (["Port 5432 required for service 'postgres' is not available."], "did not start: a port"),
        (["gpustack: error: unrecognized arguments: --enable-ray"], "did not start: the container's arguments"),
    ],
)
def test_the_first_line_that_says_so_ends_the_start(server: Server, log: list[str], message: str) -> None:
    server.save()
    server.new_container(log)
    with pytest.raises(GateError, match=message):
        server.step("migrate", _switch_server.migrate)


def test_a_container_that_ends_is_told_with_its_last_words_and_without_its_secrets(server: Server) -> None:
    server.save()
    server.new_container(["something odd with planted inside"], running=False)
    server.engine.records["v2"]["Config"]["Env"] = ["GPUSTACK_TOKEN=planted"]
    with pytest.raises(GateError, match="exit code 2") as ended:
        server.step("migrate", _switch_server.migrate)
    assert "something odd" in str(ended.value)
    assert "planted" not in str(ended.value)


def test_an_original_that_kept_its_bytes_is_accepted_whatever_its_modes_are(server: Server) -> None:
    server.save()
    (server.data / "database.db").chmod(0o600)
    _switch_server.require_unchanged_original(server.work)


@pytest.mark.parametrize("name", ["database.db", "database.db-wal", "database.db-journal"])
def test_an_original_that_somebody_wrote_to_is_not_given_up(server: Server, name: str) -> None:
    server.save()
    with (server.data / name).open("ab") as database:
        database.write(b"a row of somebody else")
    with pytest.raises(GateError, match=f"{name} in .* changed after the snapshot"):
        _switch_server.require_unchanged_original(server.work)


def test_a_server_that_answers_is_not_accepted_on_another_database(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step itself looks, and after everything else: what is written until then counts."""
    server.save()

    def answers(_work: Work, _container: str) -> list[str]:
        with (server.data / "database.db-wal").open("ab") as wal:
            wal.write(b"a row of somebody else")
        return ["the API"]

    monkeypatch.setattr(_switch_steps, "wait_for_container", answers)
    with pytest.raises(GateError, match="changed after the snapshot"):
        server.step("ready", _switch_server.ready)


def test_readiness_is_the_last_step_before_a_server_is_accepted() -> None:
    assert [name for name, _step in _switch.SERVER_STEPS][-2:] == ["ready", "accept"]
    assert dict(_switch.SERVER_STEPS)["ready"] is _switch_server.ready


def test_the_bound_of_a_migration_grows_with_its_rows() -> None:
    assert _switch_server.migration_seconds({}) == _switch_server.MIGRATION_SECONDS
    assert _switch_server.migration_seconds({"system_loads": 10_000_000}) > 2000
