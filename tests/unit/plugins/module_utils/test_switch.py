# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switch as a state machine: a worker goes over, fails, is killed at every step, and comes back.

The engine is the in-memory one of `fake_engine`; files, journal, kills and the worker's HTTP answer are real.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _container_spec,
    _going_on,
    _journal,
    _releases,
    _restore,
    _situation,
    _switch,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work, from_entries
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

ATTEMPT = "20261124T031500Z"
WORKER = [name for name, _step in _switch.WORKER_STEPS]
#: Steps of a worker's switch before whose end the way leads back.
BEFORE_ACCEPTANCE = ["begin", *WORKER]
#: A container that was not stopped yet is left running.
BEFORE_STOP = ["begin", "save"]


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers /healthz."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def worker_port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


class Host:
    """A worker's host: its data directory, its containers, its state directory."""

    def __init__(self, root: Path, port: int) -> None:
        self.data, self.state, self.backups = root / "data", root / "state", root / "backups"
        (self.data / "cache").mkdir(parents=True)
        (self.data / "cache" / "model").write_text("weights")
        (self.data / "worker_uuid").write_text("11111111-2222-3333-4444-555555555555")
        self.backups.mkdir(mode=0o700)
        self.legacy = engine_records.container(
            command=["--server-url", "http://server", "--token", "legacy-secret", "--worker-port", str(port)],
            mounts=[engine_records.bind(str(self.data))],
        )
        self.legacy["State"]["StartedAt"] = "2026-01-01T00:00:00.000000000Z"
        self.legacy["NetworkSettings"] = {"Ports": {}, "Networks": {}}
        self.engine = FakeEngine(self.legacy)
        self.engine.on_start = self.started
        for reference in (self.legacy["Image"], self.legacy["Config"]["Image"]):
            self.engine.images[reference] = engine_records.image()
        self.params: dict[str, Any] = {
            "run_command": None,
            "state_dir": str(self.state),
            "stop_timeout": 1,
            "ready_timeout": 0,
            "on_failure": "rollback",
            "worker_name": "gpu-1",
            "worker_uuid": None,
            "rollout_env": {},
            "extra_env": {},
            "start": True,
            "accept_losses": [],
        }
        self.config_copy: str | None = None
        self.before = self.files()

    def started(self, record: dict[str, Any]) -> None:
        """A v2 worker leaves its own files behind."""
        if record["Id"] != self.legacy["Id"]:
            (self.data / "worker_token").write_text("v2's")
            (self.data / "benchmarks").mkdir(exist_ok=True)

    def attempt(self) -> Attempt:
        return Attempt(
            name=ATTEMPT,
            role="worker",
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

    def run(self, fault: str | None = None) -> dict[str, Any]:
        """What the detached process does; what there is to do is read off the journal and the engine."""
        writer = _journal.Journal(str(self.state), ATTEMPT, _journal.parse_fault(fault))
        entries = writer.entries()
        attempt = from_entries(entries) if entries else self.attempt()
        return _switch._work(
            self.work(attempt, writer),
            _situation.Situation(
                self.action(attempt, entries), attempt, self.legacy, self.spec(), [], config_copy=self.config_copy
            ),
        )

    def action(self, attempt: Attempt, entries: list[dict[str, Any]]) -> str:
        if not entries:
            return _situation.BEGIN
        if _situation.accepted(entries):
            return _situation.FINISH
        wanted = _going_on.wanted(self.params, self.spec())
        image = self.engine.images.get(attempt.image, {"Id": "sha256:new"})["Id"]
        goes_on = _going_on.is_possible(entries, attempt, wanted, image, self.engine.inspect)
        return _situation.GO_ON if goes_on else _situation.AGAIN

    def work(self, attempt: Attempt, writer: _journal.Journal) -> Work:
        return Work(self.params, attempt, self.engine, writer, lambda warning: None)  # type: ignore[arg-type]

    def spec(self) -> dict[str, Any]:
        settings = {"image": "gpustack/gpustack:v2.2.3", "attempt": ATTEMPT}
        return _container_spec.build(self.legacy, {}, _releases.find("2.2.3"), "worker", {}, settings).spec

    def go_back(self) -> None:
        writer = _journal.Journal(str(self.state), ATTEMPT)
        _restore.undo(self.work(from_entries(writer.entries()), writer), start=False)

    def files(self) -> dict[str, str]:
        """What the data directory holds, besides what was put aside."""
        return {
            str(path.relative_to(self.data)): path.read_text()
            for path in sorted(self.data.rglob("*"))
            if path.is_file() and not str(path.relative_to(self.data)).startswith(".gpustack-v2-")
        }

    def containers(self) -> dict[str, tuple[bool, str]]:
        return {
            record["Name"].lstrip("/"): (record["State"]["Running"], record["HostConfig"]["RestartPolicy"]["Name"])
            for record in self.engine.records.values()
        }

    def outcome(self) -> str:
        return str(_journal.summary(str(self.state))["outcome"])


@pytest.fixture
def host(tmp_path: Path, worker_port: int) -> Host:
    return Host(tmp_path, worker_port)


def assert_upgraded(host: Host) -> None:
    legacy = f"gpustack-legacy-{ATTEMPT}"
    containers = host.containers()
    assert containers["gpustack"] == (True, "unless-stopped")
    assert containers[legacy] == (False, "no")
    assert host.files()["worker_name"] == "gpu-1\n"
    assert host.files()["worker_uuid"] == "11111111-2222-3333-4444-555555555555"
    assert host.outcome() == "upgraded"


def assert_legacy(host: Host, running: bool = False) -> None:
    assert host.files() == host.before
    assert host.containers()["gpustack"] == (running, "unless-stopped")
    assert host.engine.records[host.legacy["Id"]]["Name"] == "/gpustack"
    assert host.outcome() == "restored"


def test_a_worker_goes_over(host: Host) -> None:
    result = host.run()
    assert result["outcome"] == "upgraded"
    assert result["container"]["name"] == "gpustack"
    assert result["downtime"] >= 0
    assert_upgraded(host)


def test_the_new_container_starts_with_the_token_and_without_a_restart_policy(host: Host) -> None:
    seen: list[dict[str, Any]] = []
    host.engine.on_start = lambda record: seen.append(json.loads(json.dumps(record)))
    host.run()
    assert seen[0]["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert "GPUSTACK_TOKEN=legacy-secret" in seen[0]["Config"]["Env"]
    assert "legacy-secret" not in seen[0]["Config"]["Cmd"]


def test_the_journal_and_the_result_hold_no_secret(host: Host) -> None:
    result = host.run()
    assert "legacy-secret" not in (host.state / "journal.jsonl").read_text() + json.dumps(result)


def test_only_root_reads_the_backup(host: Host) -> None:
    host.run()
    for path in (host.backups / ATTEMPT).rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("step", WORKER)
def test_a_failure_anywhere_brings_the_old_files_and_container_back(host: Host, step: str) -> None:
    result = host.run(f"{step}:after:raise")
    assert result["failed"] is True
    assert result["outcome"] == "restored"
    assert "run again" in result["msg"]
    assert_legacy(host, running=step in BEFORE_STOP)


def test_a_refused_create_leaves_the_old_container(host: Host) -> None:
    host.engine.refuse = {"create"}
    assert host.run()["outcome"] == "restored"
    assert_legacy(host)
    assert set(host.containers()) == {"gpustack"}


def test_the_way_back_waits_for_an_engine_that_restarts(host: Host) -> None:
    host.engine.on_start = lambda record: host.engine.restarting.update(("start", "stop", "rename"))
    result = host.run("start:after:raise")
    assert result["outcome"] == "restored"
    assert_legacy(host)


def test_v2s_files_and_container_are_set_aside_not_deleted(host: Host) -> None:
    host.run("ready:after:raise")
    aside = host.data / f".gpustack-v2-{ATTEMPT}"
    assert sorted(path.name for path in aside.iterdir()) == ["benchmarks", "worker_name", "worker_token"]
    assert host.containers()[f"gpustack-failed-{ATTEMPT}"] == (False, "no")


def test_an_accepted_container_that_goes_aside_is_not_revived(host: Host) -> None:
    """With its restart policy it would come back beside the legacy one at the next start of the engine."""
    host.run()
    assert host.containers()["gpustack"] == (True, "unless-stopped")
    host.go_back()
    assert host.containers()[f"gpustack-failed-{ATTEMPT}"] == (False, "no")


def test_a_token_that_another_upgrade_left_does_not_contradict_the_identity(host: Host) -> None:
    (host.data / "worker_token").write_text("of another upgrade")
    host.before = host.files()
    seen: list[bool] = []
    host.engine.on_start = lambda _record: seen.append((host.data / "worker_token").exists())
    host.run("ready:after:raise")
    assert seen == [False]
    assert_legacy(host)


def test_caches_are_never_touched(host: Host) -> None:
    cache = host.data / "cache" / "model"
    before = (cache.stat().st_ino, cache.stat().st_mtime_ns)
    host.run("ready:after:raise")
    assert (cache.stat().st_ino, cache.stat().st_mtime_ns) == before


def test_stop_leaves_everything_for_inspection(host: Host) -> None:
    host.params["on_failure"] = "stop"
    result = host.run("ready:after:raise")
    assert result["outcome"] == "stopped"
    assert host.containers()["gpustack"] == (False, "no")
    assert host.outcome() == "failed"
    host.go_back()
    assert_legacy(host)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", BEFORE_ACCEPTANCE)
def test_killed_at_any_step_the_next_run_succeeds(host: Host, step: str, when: str) -> None:
    run_and_be_killed(host, f"{step}:{when}:kill")
    assert host.run()["outcome"] == "upgraded"
    assert_upgraded(host)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", BEFORE_ACCEPTANCE)
def test_killed_at_any_step_the_way_back_is_open(host: Host, step: str, when: str) -> None:
    run_and_be_killed(host, f"{step}:{when}:kill")
    host.go_back()
    assert_legacy(host, running=step in BEFORE_STOP or (step, when) == ("stop", "before"))


@pytest.mark.parametrize("fault", ["ready:before", "ready:after", "accept:before", "accept:after"])
def test_killed_behind_the_start_the_same_container_is_judged(host: Host, fault: str) -> None:
    run_and_be_killed(host, f"{fault}:kill")
    container, done = made_again(host)["Id"], list(host.engine.calls)
    assert host.run()["outcome"] == "upgraded"
    assert made_again(host)["Id"] == container
    assert not {"create", "start", "stop"} & set(host.engine.calls[len(done) :])
    entries = _journal.newest_entries(str(host.state))
    looked = [entry["step"] for entry in entries if entry["state"] == "done"][-3:]
    assert looked == ["ready", "accept", "done"], "every gate is taken anew"
    assert [entry["step"] for entry in entries if entry["state"] == "started"].count("ready") == 2
    assert_upgraded(host)


def test_a_container_that_goes_on_and_is_not_good_takes_the_host_back(host: Host) -> None:
    run_and_be_killed(host, "ready:before:kill")
    result = host.run("accept:before:raise")
    assert result["outcome"] == "restored"
    assert_legacy(host, running=False)


def test_a_backup_that_was_damaged_meanwhile_is_no_ground_to_go_on(host: Host) -> None:
    run_and_be_killed(host, "ready:before:kill")
    (host.backups / ATTEMPT / "data" / "worker_uuid").write_text("99999999-2222-3333-4444-555555555555")
    result = host.run()
    assert result["failed"]
    assert "worker_uuid" in result["msg"]
    assert host.outcome() != "upgraded"


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_after_acceptance_the_next_run_finishes_without_another_stop(host: Host, when: str) -> None:
    run_and_be_killed(host, f"done:{when}:kill")
    stops = host.engine.calls.count("stop")
    assert host.run()["outcome"] == "upgraded"
    assert host.engine.calls.count("stop") == stops
    assert_upgraded(host)


def test_a_host_that_was_restarted_after_acceptance_has_v2_in_service(host: Host) -> None:
    """Until the lasting restart policy is set, nothing but the next run starts it."""
    run_and_be_killed(host, "done:before:kill")
    host.engine.records[str(made_again(host)["Id"])]["State"].update(Running=False, Status="exited")
    assert host.run()["outcome"] == "upgraded"
    assert_upgraded(host)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [*_restore.WAY_BACK, "undo_start", "undo_done"])
def test_killed_on_the_way_back_it_is_walked_again(host: Host, step: str, when: str) -> None:
    host.run()
    writer = _journal.Journal(str(host.state), ATTEMPT, _journal.parse_fault(f"{step}:{when}:kill"))
    killed(lambda: _restore.undo(host.work(host.attempt(), writer), start=False), host)
    host.go_back()
    assert_legacy(host)


def test_two_kills_in_one_attempt_keep_both_failed_containers(host: Host) -> None:
    run_and_be_killed(host, "start:after:kill")
    run_and_be_killed(host, "start:after:kill")
    host.run()
    assert_upgraded(host)
    assert {f"gpustack-failed-{ATTEMPT}", f"gpustack-2-failed-{ATTEMPT}"} <= set(host.containers())


def test_files_that_the_old_release_wrote_after_it_was_started_again_are_its_own(host: Host) -> None:
    """Somebody starts the retired container between a kill and the next run: what it writes is newer."""
    run_and_be_killed(host, "start:after:kill")
    host.engine.start(host.legacy["Id"])
    (host.data / "worker_uuid").write_text("written-later")
    (host.data / "bin").mkdir()
    host.go_back()
    assert host.files()["worker_uuid"] == "written-later"
    assert (host.data / "bin").is_dir()
    assert not (host.data / "worker_token").exists()


def test_a_backup_of_older_files_is_put_aside_and_taken_anew(host: Host) -> None:
    """Else the next way back would put the older bytes in the place of the newer ones."""
    run_and_be_killed(host, "start:after:kill")
    host.engine.start(host.legacy["Id"])
    (host.data / "worker_uuid").write_text("written-later")
    host.run("start:after:raise")
    assert host.files()["worker_uuid"] == "written-later"
    assert (host.backups / (ATTEMPT + "-superseded") / "data" / "worker_uuid").read_text() != "written-later"


def test_a_clock_that_was_set_back_does_not_hide_what_v2_wrote(host: Host) -> None:
    """The old container was started while the clock was ahead of what it is now: no file of it is newer for that."""
    host.legacy["State"]["StartedAt"] = "2099-01-01T00:00:00.000000000Z"
    host.engine.on_start = lambda _record: (host.data / "worker_uuid").write_text("v2's")
    run_and_be_killed(host, "start:after:kill")
    host.go_back()
    assert host.files() == host.before
    proven = [entry for entry in _journal.read_entries(str(host.state)) if entry["step"] == "undo_prove"]
    assert proven[-1]["detail"] == {"proven": True}


def rewrite_journal(host: Host, change: Any) -> None:
    """The journal as another version of this collection would have written it."""
    path = host.state / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(line)) + "\n" for line in lines))


def by_another_version(line: dict[str, Any]) -> dict[str, Any]:
    """Facts that this version needs are missing, others are unknown to it; neither times nor entries were noted."""
    detail = {key: value for key, value in line["detail"].items() if key not in ("format", "was_running", "entries")}
    changed = {**line, "detail": {**detail, "colour": "blue"}}
    return {key: value for key, value in changed.items() if key != "time"}


def test_an_attempt_of_another_version_is_undone_and_begun_again(host: Host) -> None:
    run_and_be_killed(host, "start:after:kill")
    rewrite_journal(host, by_another_version)
    with (host.state / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"attempt": ATTEMPT, "step": "frobnicate", "state": "done"}) + "\n")
    assert host.run()["outcome"] == "upgraded"
    assert_upgraded(host)


def prune(host: Host) -> None:
    """Somebody removes the retired container."""
    host.engine.remove(f"gpustack-legacy-{ATTEMPT}")


def made_again(host: Host) -> dict[str, Any]:
    return next(record for record in host.engine.records.values() if record["Name"] == "/gpustack")


def test_a_legacy_container_that_somebody_removed_is_made_again_from_its_definition(host: Host) -> None:
    host.run()
    prune(host)
    host.go_back()
    record = made_again(host)
    assert record["Config"]["Cmd"] == host.legacy["Config"]["Cmd"]
    assert record["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert host.files() == host.before
    assert host.outcome() == "restored"
    assert set(host.containers()) == {"gpustack", f"gpustack-failed-{ATTEMPT}"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["recreate", "undo_begin", "undo_rename"])
def test_killed_while_it_is_made_again_there_is_one_in_the_end(host: Host, step: str, when: str) -> None:
    host.run()
    prune(host)
    writer = _journal.Journal(str(host.state), ATTEMPT, _journal.parse_fault(f"{step}:{when}:kill"))
    killed(lambda: _restore.undo(host.work(host.attempt(), writer), start=False), host)
    host.go_back()
    assert made_again(host)["Config"]["Cmd"] == host.legacy["Config"]["Cmd"]
    assert set(host.containers()) == {"gpustack", f"gpustack-failed-{ATTEMPT}"}


def test_nothing_can_start_it_before_it_serves_again(host: Host) -> None:
    host.run()
    prune(host)
    writer = _journal.Journal(str(host.state), ATTEMPT, _journal.parse_fault("undo_prove:before:raise"))
    with pytest.raises(_journal.InjectedError):
        _restore.undo(host.work(host.attempt(), writer), start=False)
    assert made_again(host)["HostConfig"]["RestartPolicy"]["Name"] == "no"


def test_without_its_definition_nothing_is_touched(host: Host) -> None:
    host.run()
    prune(host)
    (host.backups / ATTEMPT / "container.json").unlink()
    before = host.containers()
    writer = _journal.Journal(str(host.state), ATTEMPT)
    with pytest.raises(SwitchError, match=r"container\.json is gone"):
        _restore.undo(host.work(host.attempt(), writer), start=False)
    assert host.containers() == before


def test_an_attempt_whose_legacy_container_was_removed_begins_again_with_the_one_that_was_made(host: Host) -> None:
    run_and_be_killed(host, "start:after:kill")
    prune(host)
    assert host.run()["outcome"] == "upgraded"
    begun = _journal.last_detail(_journal.read_entries(str(host.state)), "begin", "started")
    assert begun is not None
    assert host.engine.records[begun["legacy_id"]]["Name"] == f"/gpustack-legacy-{ATTEMPT}"


def model_container(name: str, running: bool = True) -> dict[str, Any]:
    record = engine_records.container(name=name, image="gpustack/runner:cuda", running=running)
    record["Config"]["Labels"] = {"runtime.gpustack.ai/workload": "qwen3"}
    return record


def test_the_model_containers_of_v2_are_stopped_and_kept(host: Host) -> None:
    host.run()
    host.engine.records["qwen3"] = {**model_container("qwen3"), "Id": "qwen3"}
    host.go_back()
    assert host.containers()["qwen3"] == (False, "no")


def test_the_result_says_what_was_put_right_and_where_v2s_files_are(host: Host) -> None:
    host.run()
    (host.data / "worker_uuid").write_text("overwritten by v2")
    writer = _journal.Journal(str(host.state), ATTEMPT)
    result = _restore._back(host.work(host.attempt(), writer), "upgraded")
    assert result["restored_files"] == ["worker_uuid (content)"]
    assert result["set_aside"] == {
        "containers": [f"gpustack-failed-{ATTEMPT}"],
        "directories": [str(host.data / f".gpustack-v2-{ATTEMPT}")],
        "databases": [],
    }
    assert result["recreated"] is False
    assert result["downtime"] >= 0
    assert_legacy(host, running=True)


def test_what_was_put_right_before_a_kill_is_still_told(host: Host) -> None:
    host.run()
    (host.data / "worker_uuid").write_text("overwritten by v2")
    writer = _journal.Journal(str(host.state), ATTEMPT, _journal.parse_fault("undo_files:after:kill"))
    killed(lambda: _restore.undo(host.work(host.attempt(), writer), start=False), host)
    result = _restore._back(host.work(host.attempt(), _journal.Journal(str(host.state), ATTEMPT)), "unfinished")
    assert result["restored_files"] == ["worker_uuid (content)"]


def test_a_legacy_container_that_does_not_answer_fails_with_the_way_out(host: Host) -> None:
    host.run()
    command = made_again(host)["Config"]["Cmd"]
    assert command
    host.engine.records[host.legacy["Id"]]["Config"]["Cmd"] = ["--server-url", "http://s", "--worker-port", "1"]
    with pytest.raises(SwitchError, match=r"docker logs gpustack.*same command again"):
        _restore._back(host.work(host.attempt(), _journal.Journal(str(host.state), ATTEMPT)), "upgraded")
    assert host.outcome() == "unfinished"


def run_and_be_killed(host: Host, fault: str) -> None:
    killed(lambda: host.run(fault), host)


def killed(work: Any, host: Host) -> None:
    """Do the work in a process that a fault kills; the engine outlives it, as the real one does."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _remember_engine(host, writer)
        work()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as states:
        last = states.read().splitlines()
    _pid, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    if last:
        state = json.loads(last[-1])
        host.engine.records, host.engine.calls = state["records"], state["calls"]


def _remember_engine(host: Host, pipe: int) -> None:
    """Every change of the engine in the child is told to the parent, before and after the verb's own fault points."""
    for verb in ("create", "start", "stop", "rename", "remove", "set_restart_policy"):
        setattr(host.engine, verb, _telling(host, getattr(host.engine, verb), pipe))


def _telling(host: Host, call: Any, pipe: int) -> Any:
    def told(*args: Any) -> Any:
        answer = call(*args)
        state = {"records": host.engine.records, "calls": host.engine.calls}
        os.write(pipe, (json.dumps(state) + "\n").encode())
        return answer

    return told


# --- the configuration file


def test_the_copy_of_the_configuration_file_lies_in_the_data_directory_for_root_alone(host: Host) -> None:
    host.config_copy = "# made\nworker_metrics_port: 1\n"
    seen: list[str] = []
    host.engine.on_start = lambda record: seen.append((host.data / _config_file.COPY_NAME).read_text())
    host.run()
    assert seen == [host.config_copy]
    assert (host.data / _config_file.COPY_NAME).stat().st_mode & 0o777 == 0o600
    assert host.config_copy not in (host.state / "journal.jsonl").read_text()


def test_the_way_back_sets_the_copy_aside(host: Host) -> None:
    host.config_copy = "token: s3cr3t-value\n"
    assert host.run("start:after:raise")["outcome"] == "restored"
    assert_legacy(host)
    (kept,) = host.data.glob(f".gpustack-v2-*/{_config_file.COPY_NAME}")
    assert kept.read_text() == host.config_copy
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_copy_goes_aside_also_where_the_old_release_ran_since(host: Host) -> None:
    host.config_copy = "debug: true\n"
    host.run()
    host.engine.records[host.legacy["Id"]]["State"]["StartedAt"] = "2027-01-01T00:00:00.000000000Z"
    host.go_back()
    assert not (host.data / _config_file.COPY_NAME).exists()


def test_an_attempt_that_needs_no_copy_leaves_none(host: Host) -> None:
    host.run()
    assert not (host.data / _config_file.COPY_NAME).exists()


def steps(host: Host, **facts: bool) -> list[str]:
    return [name for name, _step in _switch.steps_of(host.attempt().replaced(role="server", **facts))]


def test_an_external_database_is_saved_in_another_way_and_nobody_is_let_into_the_directory(host: Host) -> None:
    usual, external = steps(host), steps(host, external=True)
    assert external == [name for name in usual if name != "permissions"]
    found = dict(_switch.steps_of(host.attempt().replaced(role="server", external=True)))
    assert found["snapshot"] is not dict(_switch.SERVER_STEPS)["snapshot"]


def test_rows_go_over_once_their_copy_is_proven_and_before_the_old_container_loses_its_name(host: Host) -> None:
    filling = steps(host, fills=True)
    assert filling.index("verify_snapshot") + 1 == filling.index("fill") < filling.index("retire")
    assert "permissions" not in filling
