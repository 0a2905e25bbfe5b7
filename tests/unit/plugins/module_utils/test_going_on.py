# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a switch that was cut off goes on with the container that it had started: only when all is as it left it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _container_spec, _going_on, _journal, _releases
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

RUN = "20261124T031500Z"
ROLLOUT = {"GPUSTACK_MODEL_INSTANCE_RESCHEDULE_GRACE_PERIOD": "3600"}


class Host:
    """A worker's host on which a run was cut off while it waited for the container that it had started."""

    def __init__(self, root: Path) -> None:
        self.legacy = engine_records.container(command=["--server-url", "http://server", "--token", "legacy-secret"])
        self.legacy["State"] = {"Running": False, "Status": "exited", "StartedAt": "2026-01-01T00:00:00.000000000Z"}
        self.params: dict[str, Any] = {"rollout_env": {}, "extra_env": {}}
        self.spec = self.specify()
        self.attempt = Attempt(
            name=RUN,
            role="worker",
            release="2.2.3",
            image="gpustack/gpustack:v2.2.3",
            container_name="gpustack",
            legacy_id=self.legacy["Id"],
            legacy_name="gpustack",
            restart_policy={"Name": "unless-stopped", "MaximumRetryCount": 0},
            was_running=True,
            data_dir=str(root / "data"),
            backup=str(root / "backup"),
        )
        self.engine = FakeEngine(dict(self.legacy, Name=f"/{self.attempt.retired_name}"))
        self.engine.images[self.attempt.image] = engine_records.image()
        self.image_id: str | None = "sha256:1"
        self.writer = _journal.Journal(str(root / "state"), RUN)
        self.writer.record("begin", "started", {"release": self.attempt.release})
        self.writer.record("stop", "done", {"legacy_started": self.legacy["State"]["StartedAt"]})
        self.new = self.engine.create("gpustack", _container_spec.create_body(self.wanted()["spec"]))
        self.writer.record("create", "done", {"container": self.new})
        self.engine.start(self.new)
        self.writer.record("start", "done", {"started": self.state(self.new)["StartedAt"]})
        self.writer.record("ready", "started")
        (root / "backup").mkdir()
        Path(self.attempt.spec_file).write_text(json.dumps(self.wanted()))

    def specify(self, **settings: Any) -> dict[str, Any]:
        settings = {"image": "gpustack/gpustack:v2.2.3", "attempt": RUN, **settings}
        return _container_spec.build(self.legacy, {}, _releases.find("2.2.3"), "worker", {}, settings).spec

    def wanted(self) -> dict[str, Any]:
        return _going_on.wanted(self.params, self.spec)

    def state(self, container: str) -> dict[str, Any]:
        return self.engine.records[container]["State"]  # type: ignore[no-any-return]

    def goes_on(self) -> bool:
        entries = self.writer.entries()
        return _going_on.is_possible(entries, self.attempt, self.wanted(), self.image_id, self.engine.inspect)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_was_left_alone_goes_on(host: Host) -> None:
    assert host.goes_on()


def test_an_earlier_turn_of_the_same_attempt_does_not_matter(host: Host) -> None:
    entries = host.writer.entries()
    turned = [
        {"time": entries[0]["time"], "attempt": RUN, "step": step, "state": state, "detail": {}}
        for step, state in (("begin", "started"), ("ready", "failed"), ("undo_begin", "started"))
    ]
    assert _going_on.is_possible([*turned, *entries], host.attempt, host.wanted(), host.image_id, host.engine.inspect)


def restart(host: Host) -> None:
    host.engine.records[host.new]["State"]["StartedAt"] = "2026-12-01T00:00:00.000000000Z"


def stop(host: Host) -> None:
    host.engine.stop(host.new, 1)


def remove(host: Host) -> None:
    del host.engine.records[host.new]


def rename(host: Host) -> None:
    host.engine.records[host.new]["Name"] = "/other"


def relabel(host: Host) -> None:
    host.engine.records[host.new]["Config"]["Labels"] = {}


def load_another_image(host: Host) -> None:
    host.image_id = "sha256:2"


def lose_the_image(host: Host) -> None:
    host.image_id = None


def ask_for_something_else(host: Host) -> None:
    host.spec = host.specify(extra_args=["--worker-port", "12345"])


def ask_for_another_roll_out(host: Host) -> None:
    host.params["extra_env"] = ROLLOUT
    host.spec["environment"].update(ROLLOUT)


def ask_for_another_release(host: Host) -> None:
    host.attempt = host.attempt.replaced(release="2.0.3")


def lose_the_definition(host: Host) -> None:
    Path(host.attempt.spec_file).unlink()


def tear_the_definition(host: Host) -> None:
    Path(host.attempt.spec_file).write_text('{"spec": ')


def run_the_legacy_container(host: Host) -> None:
    host.state(host.legacy["Id"]).update(Running=True)


def have_run_the_legacy_container(host: Host) -> None:
    host.state(host.legacy["Id"]).update(StartedAt="2026-12-01T00:00:00.000000000Z")


def lose_the_legacy_container(host: Host) -> None:
    del host.engine.records[host.legacy["Id"]]


def fail(host: Host) -> None:
    host.writer.record("ready", "failed")


def begin_the_way_back(host: Host) -> None:
    host.writer.record("undo_begin", "started")


def leave_it_for_inspection(host: Host) -> None:
    host.writer.record("stopped", "started")


def begin_again(host: Host) -> None:
    host.writer.record("begin", "started", {"release": host.attempt.release})


def be_kept_by_something(host: Host) -> None:
    host.attempt = host.attempt.replaced(kept_by={"auto_remove": True})


@pytest.mark.parametrize(
    "change",
    [
        restart,
        stop,
        remove,
        rename,
        relabel,
        load_another_image,
        lose_the_image,
        ask_for_something_else,
        ask_for_another_roll_out,
        ask_for_another_release,
        lose_the_definition,
        tear_the_definition,
        run_the_legacy_container,
        have_run_the_legacy_container,
        lose_the_legacy_container,
        fail,
        begin_the_way_back,
        leave_it_for_inspection,
        begin_again,
        be_kept_by_something,
    ],
    ids=lambda change: change.__name__,
)
def test_what_is_not_as_it_was_left_begins_again(host: Host, change: Callable[[Host], None]) -> None:
    change(host)
    assert not host.goes_on()


@pytest.mark.parametrize("step", ["stop", "create", "start"])
def test_what_an_older_version_noted_less_of_begins_again(tmp_path: Path, step: str) -> None:
    host = Host(tmp_path)
    entries = [dict(entry, detail={}) if entry["step"] == step else entry for entry in host.writer.entries()]
    assert not _going_on.is_possible(entries, host.attempt, host.wanted(), host.image_id, host.engine.inspect)


@pytest.mark.parametrize("step", ["stop", "create", "start"])
def test_before_the_new_container_runs_there_is_nothing_to_go_on_with(tmp_path: Path, step: str) -> None:
    host = Host(tmp_path)
    entries = [entry for entry in host.writer.entries() if entry["step"] != step]
    assert not _going_on.is_possible(entries, host.attempt, host.wanted(), host.image_id, host.engine.inspect)
