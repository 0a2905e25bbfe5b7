# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet that was prepared before, and workers that fail: the canary takes the server with it, a later one nobody."""

from __future__ import annotations

import pytest

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet


def test_the_fleet_is_prepared_in_the_afternoon_while_it_serves(fleet: Fleet) -> None:
    running, before = outside.starts(fleet), outside.definitions(fleet)
    done = playbook.run(fleet, "upgrade.yml", "--tags", "gpustack_prepare")
    assert done.code == 0, done.output[-4000:]
    assert done.hosts_of(playbook.PREPARE) == set(fleet.hosts)
    again = playbook.run(fleet, "upgrade.yml", "--tags", "gpustack_prepare")
    assert again.code == 0, again.output[-4000:]
    assert again.recap("changed") == dict.fromkeys(fleet.hosts, 0)
    assert again.hosts_of(playbook.PREPARE) == set()
    assert (outside.starts(fleet), outside.definitions(fleet)) == (running, before)


def test_a_failed_canary_takes_the_server_back(fleet: Fleet) -> None:
    failed = playbook.run(fleet, "upgrade.yml", **playbook.failing("worker1"))
    assert failed.code != 0
    assert failed.said("It was the canary")
    # At night nothing was left to prepare.
    assert failed.hosts_of(playbook.PREPARE) == set()
    outside.assert_legacy_serves(fleet)
    for name in ("worker1", "worker2"):
        assert outside.is_legacy(fleet.host(name))
        assert outside.is_running(fleet.host(name))


def test_a_later_worker_fails_alone_and_stays_stopped(fleet: Fleet) -> None:
    failed = playbook.run(fleet, "upgrade.yml", **playbook.failing("worker2"))
    assert failed.code != 0
    assert failed.recap("failed") == {"server": 0, "worker1": 0, "worker2": 1}
    assert outside.image_of(fleet.host("server")).endswith("v2.2.3")
    assert outside.image_of(fleet.host("worker1")).endswith("v2.2.3")
    assert outside.is_legacy(fleet.host("worker2"))
    assert not outside.is_running(fleet.host("worker2"))


@pytest.mark.proves("installations", "bind", "2.2.3")
def test_the_same_command_brings_it_along(fleet: Fleet) -> None:
    done = playbook.run(fleet, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.2.3")
    again = playbook.run(fleet, "upgrade.yml")
    assert again.code == 0
    assert set(again.recap("changed").values()) == {0}
