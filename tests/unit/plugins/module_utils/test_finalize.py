# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finalize: the roll-out variables go in one restart, or the container stays as it was.

The engine is the in-memory one of `fake_engine`; files, journal and the HTTP answer are real.
"""

from __future__ import annotations

import http.server
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _container_spec,
    _finalize,
    _journal,
    _releases,
    _switch,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import write_atomically
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

ATTEMPT = "20261124T031500Z"
ROLLOUT = {"GPUSTACK_MODEL_INSTANCE_RESCHEDULE_GRACE_PERIOD": "86400"}
STEPS = ["begin", "stop", "retire", "create", "start", "ready", "done"]


class Ready(http.server.BaseHTTPRequestHandler):
    """Answers /readyz."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Print nothing."""


class Server:
    """A host whose server was switched and accepted."""

    def __init__(self, root: Path, port: int) -> None:
        self.state, self.backup = root / "state", root / "backup"
        self.backup.mkdir()
        legacy = engine_records.container(command=["--disable-worker", "--port", str(port)])
        self.engine = FakeEngine()
        self.attempt = Attempt(
            name=ATTEMPT,
            role="server",
            release="2.2.3",
            image="gpustack/gpustack:v2.2.3",
            container_name="gpustack",
            legacy_id=legacy["Id"],
            legacy_name="gpustack",
            restart_policy={"Name": "always", "MaximumRetryCount": 0},
            was_running=True,
            data_dir=str(root / "data"),
            backup=str(self.backup),
        )
        settings = {
            "image": self.attempt.image,
            "attempt": ATTEMPT,
            "migrate": True,
            "rollout_env": ROLLOUT,
            "extra_env": {"KEPT": "1"},
            # The API answers where the users' port does, so that one stand-in server is both.
            "extra_args": ["--api-port", str(port)],
        }
        built = _container_spec.build(legacy, {}, _releases.find("2.2.3"), "server", {}, settings)
        self.spec = _container_spec.with_restart_policy(built.spec, "no")
        names = ["GPUSTACK_DATA_MIGRATION", *ROLLOUT]
        write_atomically(self.attempt.spec_file, {"spec": self.spec, "rollout": sorted(names)})
        self.first = self.engine.create("gpustack", _container_spec.create_body(self.spec))
        self.engine.start(self.first)
        self.engine.set_restart_policy(self.first, self.attempt.restart_policy)
        self.work().journal.record("begin", "started", self.attempt.__dict__)
        self.work().journal.record("done", "done")

    def run(self, fault: str | None = None) -> dict[str, Any]:
        return _finalize._finalize(self.work(fault))

    def work(self, fault: str | None = None) -> Work:
        journal = _journal.Journal(str(self.state), ATTEMPT, _journal.parse_fault(fault))
        params = {"stop_timeout": 1, "ready_timeout": 0}
        return Work(params, self.attempt, self.engine, journal, lambda warning: None)  # type: ignore[arg-type]

    def current(self) -> dict[str, Any]:
        record = self.engine.inspect("gpustack")
        assert record is not None
        return record


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    yield Server(tmp_path, listener.server_port)
    listener.shutdown()
    listener.server_close()


def assert_serves(server: Server) -> None:
    assert server.current()["State"]["Running"]
    assert server.current()["HostConfig"]["RestartPolicy"]["Name"] == "always"


def assert_finalized(server: Server) -> None:
    assert_serves(server)
    environment = server.current()["Config"]["Env"]
    assert "KEPT=1" in environment
    assert not [entry for entry in environment if entry.partition("=")[0] in (*ROLLOUT, "GPUSTACK_DATA_MIGRATION")]
    assert f"gpustack-rollout-{ATTEMPT}" not in server.engine.names()


def test_the_variables_go_and_nothing_else(server: Server) -> None:
    result = server.run()
    assert result["outcome"] == "finalized"
    assert result["removed_environment"] == ["GPUSTACK_DATA_MIGRATION", *ROLLOUT]
    assert result["container"]["id"] == server.current()["Id"]
    assert result["container"]["started"] == _journal.seconds_of(server.current()["State"]["StartedAt"])
    assert_finalized(server)
    assert server.engine.names() == {"gpustack"}
    lasting = {key: value for key, value in server.spec.items() if key not in ("environment", "restart_policy")}
    now = _container_spec.from_inspect(server.current())
    assert {key: now[key] for key in ("command", "labels", "image", "ulimits")} == {
        key: lasting[key] for key in ("command", "labels", "image", "ulimits")
    }


def test_nothing_restarts_the_new_container_before_it_is_proven(server: Server) -> None:
    seen: list[str] = []
    server.engine.on_start = lambda record: seen.append(record["HostConfig"]["RestartPolicy"]["Name"])
    server.run()
    assert seen == ["no"]


def test_the_old_container_is_removed_only_after_the_new_one_answered(server: Server) -> None:
    result = server.run("finalize_ready:before:raise")
    assert result["failed"] is True
    assert server.current()["Id"] == server.first
    assert_serves(server)
    assert f"gpustack-failed-{ATTEMPT}" in server.engine.names()


@pytest.mark.parametrize("step", STEPS[1:6])
def test_a_failure_leaves_the_container_as_it_was(server: Server, step: str) -> None:
    result = server.run(f"finalize_{step}:after:raise")
    assert result["outcome"] == "upgraded"
    assert "failover of" in result["msg"]
    assert server.current()["Id"] == server.first
    assert_serves(server)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_interrupted_anywhere_the_next_run_finalizes(
    server: Server, step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(server, step, when, monkeypatch)
    assert server.run()["outcome"] == "finalized"
    assert_finalized(server)


@pytest.mark.parametrize("step", ["stop", "retire", "create", "start"])
def test_interrupted_it_does_not_start_the_container_that_goes(
    server: Server, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(server, step, "after", monkeypatch)
    started: list[str] = []
    server.engine.on_start = lambda record: started.append(record["Id"])
    server.run()
    assert started == [server.current()["Id"]]
    assert server.first not in started


@pytest.mark.parametrize("step", ["stop", "retire", "create", "start"])
def test_interrupted_and_then_failing_the_container_that_was_serves_again(
    server: Server, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(server, step, "after", monkeypatch)
    assert server.run("finalize_begin:after:raise")["outcome"] == "upgraded"
    assert server.current()["Id"] == server.first
    assert_serves(server)


@pytest.mark.parametrize("when", ["before", "after"])
def test_interrupted_at_its_end_it_does_not_restart_the_server_again(
    server: Server, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(server, "done", when, monkeypatch)
    second = server.current()["Id"]
    result = server.run()
    assert result["removed_environment"] == ["GPUSTACK_DATA_MIGRATION", *ROLLOUT]
    assert server.current()["Id"] == second
    assert_finalized(server)


@pytest.mark.parametrize(("step", "outcome"), [("start", "upgraded"), ("done", "finalized")])
def test_an_upgrade_brings_an_interrupted_finalize_to_one_of_its_ends(
    server: Server, step: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(server, step, "before", monkeypatch)
    assert _switch._finish(server.work())["outcome"] == outcome
    assert (server.current()["Id"] == server.first) == (outcome == "upgraded")
    assert_serves(server)
    assert server.run()["outcome"] == "finalized"
    assert_finalized(server)


class KilledError(BaseException):
    """What a kill is to the code in it: no handler runs."""


def interrupt(server: Server, step: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(_fault: _journal.Fault, at_step: str, at: str) -> None:
        if (at_step, at) == (f"finalize_{step}", when):
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(_journal.Fault, "hit", kill)
        with pytest.raises(KilledError):
            server.run(f"finalize_{step}:{when}:kill")


def test_a_definition_that_is_gone_is_told(server: Server) -> None:
    Path(server.attempt.spec_file).unlink()
    with pytest.raises(Exception, match="cannot be recreated as it was"):
        server.run()


@pytest.fixture
def found(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """What is there to do, as it is asked before anything is touched."""
    monkeypatch.setattr(_finalize, "DockerReader", lambda _docker_host: server.engine)
    return lambda: _finalize._found({"state_dir": str(server.state), "docker_host": ""})


def test_a_server_that_was_accepted_is_finalized(server: Server, found: Callable[[], dict[str, Any]]) -> None:
    assert found()["changed"] is True
    server.run()
    assert found()["changed"] is False


def test_a_server_whose_variables_are_all_the_operators_is_finalized_too(
    server: Server, found: Callable[[], dict[str, Any]]
) -> None:
    """A clean-up asks for it."""
    write_atomically(server.attempt.spec_file, {"spec": server.spec, "rollout": []})
    assert found()["changed"] is True
    assert server.run()["outcome"] == "finalized"
    assert server.current()["Id"] == server.first
    assert found()["changed"] is False


def test_a_finalized_server_needs_its_definition_no_more(server: Server, found: Callable[[], dict[str, Any]]) -> None:
    server.run()
    Path(server.attempt.spec_file).unlink()
    assert found()["changed"] is False


@pytest.mark.parametrize("marks", [[("begin", "started")], [("accept", "done"), ("undo_begin", "started")]])
def test_before_acceptance_and_on_the_way_back_there_is_nothing_to_finalize(
    server: Server, found: Callable[[], dict[str, Any]], marks: list[tuple[str, str]]
) -> None:
    """The name may be the legacy container's then, and what a finalize replaces it removes in the end."""
    for step, state in marks:
        server.work().journal.record(step, state, server.attempt.__dict__)
    with pytest.raises(SwitchError, match=r"nothing to finalize.*upgrade\.yml"):
        found()


@pytest.mark.parametrize("outcome", ["upgraded", "unfinished"])
def test_a_container_of_somebody_else_is_not_replaced(
    server: Server, found: Callable[[], dict[str, Any]], outcome: str
) -> None:
    if outcome == "unfinished":
        for step, state in (("accept", "done"), ("finalize_begin", "started")):
            server.work().journal.record(step, state)
    server.engine.records[server.first]["Config"]["Labels"] = {}
    with pytest.raises(SwitchError, match="Container gpustack is not the one"):
        found()
    server.engine.remove(server.first)
    with pytest.raises(SwitchError, match="Container gpustack is gone"):
        found()
