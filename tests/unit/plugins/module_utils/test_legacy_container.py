# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The legacy container between service, retirement and removal. The engine is the in-memory one of `fake_engine`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _journal, _legacy_container
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

RUN = "20261124T031500Z"
RETIRED = f"gpustack-legacy-{RUN}"
ALWAYS = {"Name": "always", "MaximumRetryCount": 0}


class Host:
    """An engine that is also read, as `DockerReader` reads it."""

    def __init__(self, state_dir: Path, *records: dict[str, Any]) -> None:
        self.state_dir = str(state_dir)
        self.engine = FakeEngine(*records)

    def inspect(self, container: str) -> dict[str, Any] | None:
        return self.engine.inspect(container)

    def containers(self) -> list[dict[str, Any]]:
        return [{"Id": record["Id"], "Names": [record["Name"]]} for record in self.engine.records.values()]

    def run(self, wanted: str, run_id: str = RUN) -> bool:
        """Whether something was changed."""
        found = _legacy_container.find(self, "gpustack", self.state_dir)  # type: ignore[arg-type]
        diff = _legacy_container.change(found, "gpustack", wanted, run_id)
        if diff is None:
            return False
        engine: Any = self.engine
        _legacy_container.apply(engine, found, diff["after"], wanted, self.state_dir, 1)
        return True

    def state(self, name: str) -> tuple[bool, str]:
        record = self.inspect(name)
        assert record is not None
        return record["State"]["Running"], record["HostConfig"]["RestartPolicy"]["Name"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "state", engine_records.container(RestartPolicy=ALWAYS))


def test_an_active_container_stays_as_it_is(host: Host) -> None:
    assert host.run("active") is False


def test_retired_and_back(host: Host) -> None:
    assert host.run("retired") is True
    assert host.state(RETIRED) == (False, "no")
    assert host.run("retired", "20270101T000000Z") is False
    assert host.run("active") is True
    assert host.state("gpustack") == (True, "always")
    assert host.run("active") is False


def test_one_whose_data_is_to_come_back_first_is_kept_from_starting_by_itself(tmp_path: Path) -> None:
    host = Host(tmp_path, engine_records.container(running=False, RestartPolicy=ALWAYS))
    found = _legacy_container.find(host, "gpustack", host.state_dir)  # type: ignore[arg-type]
    diff = _legacy_container.change(found, "gpustack", "active", RUN, start=False)
    assert diff is not None
    engine: Any = host.engine
    _legacy_container.apply(engine, found, diff["after"], "active", host.state_dir, 1)
    assert host.state("gpustack") == (False, "no")


def test_a_container_with_rm_is_started_without_a_restart_policy(tmp_path: Path) -> None:
    policy = {"Name": "no", "MaximumRetryCount": 0}
    host = Host(tmp_path, engine_records.container(running=False, AutoRemove=True, RestartPolicy=policy))
    asked: list[str] = []
    host.engine.set_restart_policy = lambda container, _policy: asked.append(container)  # type: ignore[method-assign]
    assert host.run("active") is True
    assert host.state("gpustack") == (True, "no")
    assert asked == []


def test_a_container_in_service_is_not_removed(host: Host) -> None:
    with pytest.raises(SwitchError, match="retire it first"):
        host.run("absent")


def test_a_retired_one_is_removed(host: Host) -> None:
    host.run("retired")
    assert host.run("absent") is True
    assert host.engine.names() == set()
    assert host.run("absent") is False


def test_the_policy_of_a_container_that_a_switch_retired_is_in_the_journal(tmp_path: Path) -> None:
    record = engine_records.container(name=RETIRED, running=False, RestartPolicy={"Name": "no"})
    detail = {"legacy_id": record["Id"], "restart_policy": ALWAYS}
    _journal.Journal(str(tmp_path), RUN).record("begin", "started", detail)
    host = Host(tmp_path, record)
    host.run("active")
    assert host.state("gpustack") == (True, "always")


def test_the_new_release_under_the_name_is_left_alone(tmp_path: Path) -> None:
    new = engine_records.container(image="gpustack/gpustack:v2.2.3", entry_point=engine_records.V2_ENTRY_POINT)
    with pytest.raises(SwitchError, match="is no legacy GPUStack"):
        Host(tmp_path, new).run("retired")


def test_a_name_that_the_new_release_has_is_not_taken(tmp_path: Path) -> None:
    new = engine_records.container(image="gpustack/gpustack:v2.2.3", entry_point=engine_records.V2_ENTRY_POINT)
    host = Host(tmp_path, new, engine_records.container(name=RETIRED, running=False))
    with pytest.raises(Exception, match="in use"):
        host.run("active")


def test_nothing_there(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.run("absent") is False
    with pytest.raises(SwitchError, match="no legacy container gpustack"):
        host.run("retired")


def test_two_retired_ones_are_not_guessed_between(tmp_path: Path) -> None:
    other = engine_records.container(name="gpustack-legacy-20260101T000000Z", running=False)
    other["Id"] = "b" * 64
    host = Host(tmp_path, engine_records.container(name=RETIRED, running=False), other)
    with pytest.raises(SwitchError, match="Several retired containers"):
        host.run("active")
