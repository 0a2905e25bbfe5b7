# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switch of a container that its stop deletes, or that a systemd unit keeps: over, killed at every step, and back.

As in `test_switch`, of which this is the other half, only the engine is in memory; here systemd is, too, in a file.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _gates,
    _journal,
    _left_stopped,
    _recreate,
    _restore,
    _situation,
    _supervised,
    _switch,
    _systemd_unit,
    _way_back,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import ATTEMPT_LABEL, Attempt, from_entries
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import test_switch
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.test_switch import ATTEMPT, killed

RETIRED = f"gpustack-legacy-{ATTEMPT}"
SECOND = "20261124T041500Z"
RUN_UNIT = {"name": "ai.service", "enabled": True, "active": True, "makes": True, "removes": True}
START_UNIT = {**RUN_UNIT, "makes": False, "removes": False}
REMOVING_UNIT = {**START_UNIT, "removes": True}


@pytest.fixture
def worker_port() -> Iterator[int]:
    yield from test_switch.worker_port.__wrapped__()


class Host(test_switch.Host):
    """A worker's host whose container is --rm, or kept by a unit."""

    def __init__(self, root: Path, port: int, auto_remove: bool, unit: dict[str, Any] | None) -> None:
        super().__init__(root, port)
        self.auto_remove, self.unit = auto_remove, unit
        self.legacy["HostConfig"].update(AutoRemove=auto_remove, RestartPolicy={"Name": "no", "MaximumRetryCount": 0})
        self.definition = json.loads(json.dumps(self.legacy))
        self.engine.images = {"sha256:1": {"Id": "sha256:1"}, "gpustack/gpustack:v0.7.1": {"Id": "sha256:1"}}
        self.systemd = root / "systemd.json"
        self.systemd.write_text(json.dumps(dict.fromkeys(("enabled", "active"), unit is not None)))

    def attempt(self) -> Attempt:
        kept_by = {"auto_remove": self.auto_remove, "unit": self.unit}
        policy = {"Name": "no", "MaximumRetryCount": 0}
        return super().attempt().replaced(kept_by=kept_by, restart_policy=policy)

    def run(self, fault: str | None = None) -> dict[str, Any]:
        writer = _journal.Journal(str(self.state), ATTEMPT, _journal.parse_fault(fault))
        entries = writer.entries()
        attempt = from_entries(entries) if entries else self.attempt()
        action = _situation.BEGIN
        if entries:
            action = _situation.FINISH if _situation.accepted(entries) else _situation.AGAIN
        situation = _situation.Situation(action, attempt, self.definition, self.spec(), [])
        return _switch._work(self.work(attempt, writer), situation)

    def go_back(self, start: bool = True) -> None:
        writer = _journal.Journal(str(self.state), ATTEMPT)
        _restore.undo(self.work(from_entries(writer.entries()), writer), start=start)

    def started(self, record: dict[str, Any]) -> None:
        if record["Config"]["Image"].endswith("v2.2.3"):
            (self.data / "worker_token").write_text("v2's")

    def states_of_retired(self) -> list[str]:
        return [
            record["State"]["Status"]
            for record in self.engine.records.values()
            if record["Name"].startswith("/gpustack-legacy-")
        ]

    # systemd

    def switch_off(self, unit: dict[str, Any], _run: Any = None) -> None:
        self.systemd.write_text(json.dumps({"enabled": False, "active": False}))
        record = self.engine.inspect("gpustack")
        if record is not None and record["State"]["Running"]:
            self.engine.stop("gpustack", 1)
            if unit["removes"] and self.engine.inspect("gpustack"):
                self.engine.remove("gpustack")

    def switch_on(self, unit: dict[str, Any], _run: Any = None) -> None:
        self.systemd.write_text(json.dumps({"enabled": unit["enabled"], "active": unit["active"]}))
        record = self.engine.inspect("gpustack")
        if unit["makes"] and not (record and record["State"]["Running"]):
            self.engine.create("gpustack", _recreate.create_body(self.definition))
        self.engine.start("gpustack")

    def unit_state(self) -> dict[str, bool]:
        return json.loads(self.systemd.read_text())  # type: ignore[no-any-return]


KEEPERS: dict[str, tuple[bool, dict[str, Any] | None]] = {
    "--rm": (True, None),
    "unit that runs --rm": (True, RUN_UNIT),
    "unit that runs and removes": (False, RUN_UNIT),
    "unit that starts": (False, START_UNIT),
    "unit that starts and removes": (False, REMOVING_UNIT),
}


@pytest.fixture
def make(tmp_path: Path, worker_port: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Host]:
    """A host by who keeps its container."""

    def made(keeper: str) -> Host:
        host = Host(tmp_path, worker_port, *KEEPERS[keeper])
        monkeypatch.setattr(_systemd_unit, "switch_off", host.switch_off)
        monkeypatch.setattr(_systemd_unit, "switch_on", host.switch_on)
        monkeypatch.setattr(_systemd_unit, "is_loaded", lambda name, run: host.unit is not None)
        return host

    return made


@pytest.fixture(params=KEEPERS)
def host(request: Any, make: Callable[[str], Host]) -> Host:
    return make(request.param)


def points(host: Host) -> list[str]:
    """Every fault point before acceptance."""
    names = ["begin", *(name for name, _step in _switch.steps_of(host.attempt()))]
    return [f"{name}:{when}:kill" for name in names for when in ("before", "after")]


def assert_upgraded(host: Host) -> None:
    containers = host.containers()
    assert containers["gpustack"] == (True, "unless-stopped")
    assert containers[RETIRED] == (False, "no")
    assert not any(record["HostConfig"]["AutoRemove"] for record in host.engine.records.values())
    assert host.unit_state() == {"enabled": False, "active": False}
    assert host.outcome() == "upgraded"


def assert_as_it_was(host: Host) -> None:
    """The container runs under its name with its old definition, the unit is as it was, and no copy is left."""
    record = host.engine.inspect("gpustack")
    assert record is not None
    assert record["State"]["Running"]
    assert record["HostConfig"]["AutoRemove"] is host.auto_remove
    assert record["Config"] == host.definition["Config"]
    was = host.unit is not None
    assert host.unit_state() == {"enabled": was, "active": was}
    assert "created" not in host.states_of_retired()
    assert host.files() == host.before
    assert host.outcome() == "restored"


def test_it_goes_over_and_back(host: Host) -> None:
    assert host.run()["outcome"] == "upgraded"
    assert_upgraded(host)
    host.go_back()
    assert_as_it_was(host)


def test_a_failure_leaves_a_container_that_outlives_a_reboot(host: Host) -> None:
    """A worker's is left stopped: without --rm, and with its unit switched off, until it is started again."""
    assert host.run("ready:after:raise")["outcome"] == "restored"
    record = host.engine.inspect("gpustack")
    assert record is not None
    assert not record["State"]["Running"]
    assert record["HostConfig"]["AutoRemove"] is False
    assert host.unit_state() == {"enabled": False, "active": False}
    writer = _journal.Journal(str(host.state), ATTEMPT)
    _restore._hand_over(host.work(from_entries(writer.entries()), writer), start=True)
    assert_as_it_was(host)


def left_by_a_failure(host: Host) -> tuple[Attempt, dict[str, Any], list[dict[str, Any]]]:
    """A new attempt as it is told by what a failed one has left stopped: the attempt, its container, the journal."""
    assert host.run("ready:after:raise")["outcome"] == "restored"
    left = host.engine.inspect("gpustack")
    assert left is not None
    attempt = host.attempt().replaced(
        name=SECOND,
        legacy_id=left["Id"],
        restart_policy=left["HostConfig"]["RestartPolicy"],
        was_running=False,
        backup=str(host.backups / SECOND),
        kept_by={"auto_remove": False, "unit": None},
    )
    return attempt, left, _journal.newest_entries(str(host.state))


def test_the_attempt_after_a_failure_goes_over_and_back_as_if_nothing_had_failed(host: Host) -> None:
    attempt, left, entries = left_by_a_failure(host)
    before = _left_stopped.as_before(attempt, left, entries, "restored", host.engine.inspect, None)
    assert before.attempt.unit == host.unit
    assert before.attempt.lasting_policy["Name"] == "unless-stopped"
    writer = _journal.Journal(str(host.state), SECOND)
    spec = host.spec()
    spec = {**spec, "labels": {**spec["labels"], ATTEMPT_LABEL: SECOND}}
    situation = _situation.Situation(_situation.BEGIN, before.attempt, before.legacy, spec, [])
    assert _switch._work(host.work(before.attempt, writer), situation)["outcome"] == "upgraded"
    assert host.unit_state() == {"enabled": False, "active": False}
    _restore.undo(host.work(from_entries(writer.entries()), writer), start=True)
    assert_as_it_was(host)


def test_what_somebody_changed_after_the_failure_holds(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make("unit that starts")
    attempt, left, entries = left_by_a_failure(host)

    def unit(attempt: Attempt, outcome: str = "restored") -> Any:
        return _left_stopped.as_before(attempt, left, entries, outcome, host.engine.inspect, None).attempt.unit

    assert unit(attempt) == START_UNIT
    assert unit(attempt, "none") is None
    assert unit(attempt.replaced(was_running=True)) is None
    assert unit(attempt.replaced(legacy_id="another")) is None
    enabled = {**START_UNIT, "active": False}
    assert unit(attempt.replaced(kept_by={"unit": enabled})) == enabled
    monkeypatch.setattr(_systemd_unit, "is_loaded", lambda name, run: False)
    assert unit(attempt) is None


def test_an_attempt_of_another_version_that_is_over_is_no_obstacle(make: Any) -> None:
    host = make("unit that starts")
    attempt, left, entries = left_by_a_failure(host)
    foreign = [{**entry, "detail": {}} if entry["step"] == "begin" else entry for entry in entries]
    before = _left_stopped.as_before(attempt, left, foreign, "restored", host.engine.inspect, None)
    assert (before.attempt, before.legacy) == (attempt, left)


def test_killed_at_any_step_the_next_run_succeeds(host: Host) -> None:
    for point in points(host):
        killed(functools.partial(host.run, point), host)
        assert host.run()["outcome"] == "upgraded", point
        assert_upgraded(host)
        renew(host)


def test_killed_at_any_step_the_way_back_is_open(host: Host) -> None:
    for point in points(host):
        killed(functools.partial(host.run, point), host)
        host.go_back()
        assert_as_it_was(host)
        renew(host)


def test_killed_on_the_way_back_it_is_walked_again(host: Host) -> None:
    made_anew = host.auto_remove or (host.unit or {}).get("makes")
    for step in (*_restore.WAY_BACK, "undo_start", *(["recreate"] if made_anew else []), "undo_done"):
        for when in ("before", "after"):
            host.run()
            writer = _journal.Journal(str(host.state), ATTEMPT, _journal.parse_fault(f"{step}:{when}:kill"))
            killed(functools.partial(_restore.undo, host.work(host.attempt(), writer), True), host)
            host.go_back()
            assert_as_it_was(host)
            renew(host)


def renew(host: Host) -> None:
    """The host as it was before the attempt, with its journal and containers forgotten."""
    (host.state / "journal.jsonl").unlink()
    legacy = json.loads(json.dumps(host.definition))
    host.engine.records = {legacy["Id"]: legacy}
    host.systemd.write_text(json.dumps(dict.fromkeys(("enabled", "active"), host.unit is not None)))
    for path in host.data.iterdir():
        if path.name.startswith(".gpustack-v2-") or path.name not in ("cache", "worker_uuid"):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _remove(inner)
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("keeper", ["unit that runs --rm", "unit that runs and removes"])
def test_a_reboot_that_let_the_unit_make_the_container_anew_is_no_obstacle(make: Any, keeper: str) -> None:
    host = make(keeper)
    killed(lambda: host.run("stop:before:kill"), host)
    host.engine.records = {key: each for key, each in host.engine.records.items() if key != host.legacy["Id"]}
    host.switch_on(RUN_UNIT)
    assert host.run()["outcome"] == "upgraded"
    assert_upgraded(host)


def test_a_copy_that_somebody_removed_is_made_again_with_rm_only_when_it_is_started(make: Any) -> None:
    host = make("--rm")
    killed(lambda: host.run("start:after:kill"), host)
    host.engine.records = {}
    host.go_back(start=False)
    assert host.engine.inspect("gpustack")["HostConfig"]["AutoRemove"] is False
    writer = _journal.Journal(str(host.state), ATTEMPT)
    _restore._hand_over(host.work(from_entries(writer.entries()), writer), start=True)
    assert_as_it_was(host)


@pytest.mark.parametrize("keeper", ["unit that runs --rm", "unit that starts"])
def test_a_unit_whose_container_does_not_come_is_named(make: Any, keeper: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make(keeper)
    host.run()
    monkeypatch.setattr(_systemd_unit, "switch_on", lambda unit, run: None)
    with pytest.raises(_gates.GateError, match=r"ai\.service was started, but container gpustack does not run"):
        host.go_back()


def test_what_holds_an_anonymous_volume_is_there_before_the_stop(make: Any) -> None:
    host = make("--rm")
    volume = {"Type": "volume", "Name": "f" * 64, "Source": "/v", "Destination": "/root/.cache", "RW": True}
    host.legacy["Mounts"].append(volume)
    host.definition = json.loads(json.dumps(host.legacy))
    killed(lambda: host.run("recreate:after:kill"), host)
    copy = host.engine.inspect(RETIRED)
    assert copy is not None
    assert f"{'f' * 64}:/root/.cache" in copy["HostConfig"]["Binds"]
    assert host.containers()["gpustack"] == (True, "no")


def test_the_definition_is_saved_before_anything_is_changed(make: Any) -> None:
    host = make("--rm")
    assert _way_back.definition(host.attempt()) is None
    killed(lambda: host.run("recreate:before:kill"), host)
    saved = _way_back.definition(host.attempt())
    assert saved is not None
    assert saved["HostConfig"]["AutoRemove"] is True


def begun(host: Host) -> Any:
    """The work of an attempt that has begun."""
    writer = _journal.Journal(str(host.state), ATTEMPT)
    with writer.step("begin"):
        pass
    return host.work(host.attempt(), writer)


def test_the_copy_is_one_that_nothing_starts(make: Callable[[str], Host]) -> None:
    host = make("unit that runs and removes")
    host.definition["HostConfig"]["RestartPolicy"] = {"Name": "always", "MaximumRetryCount": 0}
    copy = host.engine.records[_supervised.keep_copy(begun(host), host.definition)]
    assert copy["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert copy["HostConfig"]["AutoRemove"] is False
    assert copy["State"]["Status"] == "created"


def test_a_container_that_ran_is_never_removed_as_a_copy(make: Callable[[str], Host]) -> None:
    """Somebody started the copy: what it wrote is in it."""
    host = make("--rm")
    work = begun(host)
    copy = _supervised.keep_copy(work, host.definition)
    host.engine.start(copy)
    host.engine.stop(copy, 1)
    _supervised.drop_copy(work)
    assert copy in host.engine.records


def test_the_copy_of_an_earlier_try_is_kept(make: Callable[[str], Host]) -> None:
    host = make("--rm")
    work = begun(host)
    copy = _supervised.keep_copy(work, host.definition)
    host.engine.stop("gpustack", 1)
    assert _supervised.keep_copy(work, host.definition) == copy


def test_the_stop_ends_when_the_container_is_gone(make: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine removes it some time after it has stopped; its name and its volumes are held until then."""
    host = make("--rm")
    awaited: list[str] = []
    monkeypatch.setattr(host.engine, "wait_removed", awaited.append)
    _supervised.stop(begun(host))
    assert awaited == [host.legacy["Id"]]
