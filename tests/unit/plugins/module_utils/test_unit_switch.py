# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switch of a worker that systemd runs without a container: over, killed at every step, and back.

As in `test_switch`, of which this is the third part, the engine is in memory, and systemd in a file.
"""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _container_spec,
    _going_on,
    _journal,
    _left_stopped,
    _releases,
    _restore,
    _situation,
    _snapshot,
    _switch,
    _systemd_unit,
    _unit_install,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, from_entries
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import test_switch
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_systemd import UNIT, FakeSystemd
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.test_switch import ATTEMPT, killed


@pytest.fixture
def worker_port() -> Iterator[int]:
    yield from test_switch.worker_port.__wrapped__()


class Host(test_switch.Host):
    """A worker's host without any legacy container."""

    def __init__(self, root: Path, port: int) -> None:
        super().__init__(root, port)
        self.systemd = FakeSystemd(root, f"--server-url http://server --data-dir {self.data} --worker-port {port}")
        self.systemd.defaults.write_text("GPUSTACK_TOKEN=legacy-secret\n")
        images = self.engine.images
        self.engine = FakeEngine()
        self.engine.images, self.engine.on_start = images, self.started
        self.params["run_command"] = self.systemd.run
        self.before = self.files()

    @property
    def record(self) -> dict[str, Any]:
        found = _unit_install.record(UNIT, self.systemd.run)
        assert found is not None
        return found

    def started(self, record: dict[str, Any]) -> None:
        assert self.systemd.unit_state == (False, False), "both would run at once"
        super().started(record)

    def attempt(self) -> Attempt:
        unit = {"name": UNIT, "enabled": True, "active": True, "makes": False, "removes": False}
        return super().attempt().replaced(legacy_id=f"systemd:{UNIT}", legacy_name=UNIT, kept_by={"unit": unit})

    def spec(self) -> dict[str, Any]:
        settings = {"image": "gpustack/gpustack:v2.2.3", "attempt": ATTEMPT, "container_name": "gpustack"}
        return _container_spec.build(self.record, {}, _releases.find("2.2.3"), "worker", {}, settings).spec

    def run(self, fault: str | None = None) -> dict[str, Any]:
        writer = _journal.Journal(str(self.state), ATTEMPT, _journal.parse_fault(fault))
        entries = writer.entries()
        attempt = from_entries(entries) if entries else self.attempt()
        situation = _situation.Situation(self.action(attempt, entries), attempt, self.record, self.spec(), [])
        return _switch._work(self.work(attempt, writer), situation)

    def action(self, attempt: Attempt, entries: list[dict[str, Any]]) -> str:
        if not entries:
            return _situation.BEGIN
        if _situation.accepted(entries):
            return _situation.FINISH
        look = _unit_install.look(self.engine.inspect, self.systemd.run)
        wanted = _going_on.wanted(self.params, self.spec())
        image = self.engine.images.get(attempt.image, {"Id": "sha256:new"})["Id"]
        goes_on = _going_on.is_possible(entries, attempt, wanted, image, look)
        return _situation.GO_ON if goes_on else _situation.AGAIN

    def go_back(self, start: bool = True) -> None:
        writer = _journal.Journal(str(self.state), ATTEMPT)
        _restore.undo(self.work(from_entries(writer.entries()), writer), start=start)


@pytest.fixture
def host(tmp_path: Path, worker_port: int) -> Host:
    return Host(tmp_path, worker_port)


STEPS = ["begin", *(name for name, _step in _switch.WORKER_STEPS)]
POINTS = [f"{name}:{when}:kill" for name in STEPS for when in ("before", "after")]


def assert_upgraded(host: Host) -> None:
    assert host.systemd.unit_state == (False, False)
    assert host.containers()["gpustack"] == (True, "unless-stopped")
    assert host.outcome() == "upgraded"


def assert_as_it_was(host: Host) -> None:
    assert host.systemd.unit_state == (True, True)
    assert host.files() == host.before
    assert not any(running for running, _policy in host.containers().values())
    assert "gpustack" not in host.containers()
    assert host.outcome() == "restored"


def test_it_goes_over_and_back(host: Host) -> None:
    unit = host.systemd.file.read_bytes()
    result = host.run()
    assert result["legacy_container"] == UNIT
    assert_upgraded(host)
    host.go_back()
    assert_as_it_was(host)
    assert host.systemd.file.read_bytes() == unit


def test_the_definition_is_saved_and_the_journal_holds_no_secret(host: Host) -> None:
    result = host.run()
    saved = host.backups / ATTEMPT / "container.json"
    assert "GPUSTACK_TOKEN=legacy-secret" in json.loads(saved.read_text())["Config"]["Env"]
    assert saved.stat().st_mode & 0o077 == 0
    assert "legacy-secret" not in (host.state / "journal.jsonl").read_text() + json.dumps(result)


def test_killed_at_any_step_the_next_run_succeeds(host: Host) -> None:
    for point in POINTS:
        killed(functools.partial(host.run, point), host)
        assert host.run()["outcome"] == "upgraded", point
        assert_upgraded(host)
        renew(host)


def test_killed_at_any_step_the_way_back_is_open(host: Host) -> None:
    for point in POINTS:
        killed(functools.partial(host.run, point), host)
        host.go_back()
        assert_as_it_was(host)
        renew(host)


def test_killed_on_the_way_back_it_is_walked_again(host: Host) -> None:
    for step in (*_restore.WAY_BACK, "undo_start", "undo_done"):
        for when in ("before", "after"):
            host.run()
            writer = _journal.Journal(str(host.state), ATTEMPT, _journal.parse_fault(f"{step}:{when}:kill"))
            killed(functools.partial(_restore.undo, host.work(host.attempt(), writer), True), host)
            host.go_back()
            assert_as_it_was(host)
            renew(host)


def test_killed_behind_the_start_the_same_container_is_judged(host: Host) -> None:
    killed(functools.partial(host.run, "ready:after:kill"), host)
    calls = len(host.engine.calls)
    assert host.run()["outcome"] == "upgraded"
    assert not {"create", "start", "stop"} & set(host.engine.calls[calls:])


def test_a_failure_leaves_a_worker_off_until_it_is_started(host: Host) -> None:
    assert host.run("ready:after:raise")["outcome"] == "restored"
    assert host.systemd.unit_state == (False, False)
    writer = _journal.Journal(str(host.state), ATTEMPT)
    _restore._hand_over(host.work(from_entries(writer.entries()), writer), start=True)
    assert_as_it_was(host)


def test_the_next_attempt_knows_how_the_unit_was(host: Host) -> None:
    host.run("ready:after:raise")
    off = {"name": UNIT, "enabled": False, "active": False, "makes": False, "removes": False}
    fresh = host.attempt().replaced(kept_by={"unit": off}, was_running=False)
    entries = _journal.newest_entries(str(host.state))
    look = _unit_install.look(host.engine.inspect, host.systemd.run)

    def unit(attempt: Attempt, outcome: str) -> Any:
        before = _left_stopped.as_before(attempt, host.record, entries, outcome, look, host.systemd.run)
        assert before.legacy == host.record
        return before.attempt.unit

    assert unit(fresh, "restored") == host.attempt().unit
    assert unit(fresh, "none") == off
    assert unit(fresh.replaced(legacy_id="systemd:other.service"), "restored") == off


def test_a_unit_that_something_starts_again_is_no_stopped_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = _systemd_unit.switch_off

    def revived(unit: dict[str, Any], run: Any) -> None:
        stopped(unit, run)
        host.systemd.set(active=True)

    monkeypatch.setattr(_systemd_unit, "switch_off", revived)
    result = host.run()
    assert result["outcome"] == "restored"
    assert "runs again: something starts it" in result["msg"]


def test_a_legacy_that_ran_and_was_stopped_since_keeps_its_database(host: Host) -> None:
    """systemd forgets the starts of a unit that does not run; its database remembers."""
    attempt, database = host.attempt().replaced(role="server"), host.data / "database.db"
    database.write_bytes(b"rows")
    writer = _journal.Journal(str(host.state), ATTEMPT)
    work = host.work(attempt, writer)
    with writer.step("stop") as found:
        found["legacy_started"] = ""
    host.systemd.set(enabled=False, active=False)
    _snapshot.make_backup_dir(attempt.backup)
    files = _snapshot.copy_stopped(attempt.data_dir, attempt.data_backup, _snapshot.LEGACY_FILES)
    _snapshot.write_manifest(attempt.backup, files, None, {})
    assert not _restore._legacy_ran_since_stop(work)
    database.write_bytes(b"more rows")
    assert _restore._legacy_ran_since_stop(work)
    database.write_bytes(b"rows")
    host.systemd.set(active=True)
    assert _restore._legacy_ran_since_stop(work)


def test_a_unit_that_was_removed_stops_the_switch_before_its_beginning(host: Host) -> None:
    host.systemd.file.unlink()
    look = _unit_install.look(host.engine.inspect, host.systemd.run)
    with pytest.raises(SwitchError, match="There is no systemd unit gpustack"):
        _situation._legacy_record({"installation": f"systemd:{UNIT}"}, look)


def renew(host: Host) -> None:
    """The host as it was before the attempt, with its journal, backups and containers forgotten."""
    (host.state / "journal.jsonl").unlink()
    shutil.rmtree(host.backups / ATTEMPT, ignore_errors=True)
    host.engine.records = {}
    host.systemd.set(enabled=True, active=True)
    for path in host.data.iterdir():
        if path.name not in ("cache", "worker_uuid"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
