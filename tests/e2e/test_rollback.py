# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a fleet of three workers: from what a failure left, from a finalized upgrade, and forward again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import outside, playbook, secrets
from tests.lab import lifecycle
from tests.lab.api import wait_until
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

NAME = f"{os.environ.get('LAB_FLEET', 'e2e')}-rollback"
DATABASE = tuple(f"{outside.DATA_DIR}/{name}" for name in ("database.db", "database.db-wal"))
NEW_USER = {"username": "späte Änderung", "password": "Late-Change-2026!", "full_name": "Added on v2"}
ACCEPTED: dict[str, Any] = {"gpustack_accept_rollback_losses": True}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """A fleet of its own: with two workers one cannot see that the others go on."""
    lifecycle.up(Options(NAME, workers=3))
    fresh = lifecycle.reset(NAME)
    with secrets.sampled_arguments(fresh) as samples:
        yield fresh
    secrets.assert_none_shown(fresh, samples)
    if os.environ.get("LAB_KEEP") != "1":
        lifecycle.down(NAME)


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """What `docker inspect` says of the legacy containers before anything was done to them."""
    return outside.definitions(fleet)


def images(fleet: Fleet) -> dict[str, bool]:
    """Whether each host's installation is the legacy one."""
    return {name: outside.is_legacy(fleet.host(name)) for name in fleet.hosts}


def assert_back(fleet: Fleet, before: dict[str, dict[str, Any]]) -> None:
    """Every host is what it was, and the legacy server serves every worker."""
    assert outside.definitions(fleet) == before
    outside.assert_legacy_serves(fleet)
    ready = dict.fromkeys(outside.recorded(fleet), "ready")
    wait_until(
        "every worker to be READY on the legacy server",
        lambda: {name: each["state"] for name, each in outside.workers(fleet.admin(), "/v1/workers").items()} == ready,
        timeout=60,
        way_out="look at the workers' logs",
    )
    users = {user["username"] for user in fleet.admin().items("/v1/users")}
    assert users >= {user["username"] for user in fleet.data["users"]}
    assert fleet.data["late_user"]["username"] in users


def test_a_failed_canary_takes_the_server_back_and_nobody_is_asked(
    fleet: Fleet, before: dict[str, dict[str, Any]]
) -> None:
    failed = playbook.run(fleet, "upgrade.yml", **playbook.failing("worker1"))
    assert failed.code != 0
    assert failed.said("It was the canary")
    assert_back(fleet, before)


def test_a_worker_that_failed_and_stayed_stopped_serves_again_after_the_way_back(
    fleet: Fleet, before: dict[str, dict[str, Any]]
) -> None:
    failed = playbook.run(fleet, "upgrade.yml", **playbook.failing("worker2"))
    assert failed.code != 0
    assert images(fleet) == {"server": False, "worker1": False, "worker2": True, "worker3": False}
    assert not outside.is_running(fleet.host("worker2"))

    back = playbook.run(fleet, "rollback.yml")
    assert back.code == 0, back.output[-4000:]
    assert_back(fleet, before)


def test_a_finalized_upgrade_with_people_s_changes_is_taken_back_only_when_that_is_accepted(
    fleet: Fleet, before: dict[str, dict[str, Any]]
) -> None:
    server = fleet.host("server")
    # The module is killed right after the legacy server has stopped: this is the moment to note its bytes.
    killed = playbook.run(fleet, "upgrade.yml", **playbook.failing("server", "stop:after:kill"))
    assert killed.code != 0
    stopped = outside.sha256(server, *DATABASE)
    assert DATABASE[0] in stopped
    done = playbook.run(fleet, "upgrade.yml", gpustack_backup_legacy_image="{{ inventory_hostname == 'worker3' }}")
    assert done.code == 0, done.output[-4000:]
    # Everywhere else the preparation from before the first upgrade still holds.
    assert done.hosts_of(playbook.PREPARE) == {"worker3"}
    outside.assert_upgraded(fleet, "2.2.3")
    fleet.admin().call("POST", "/v2/users", NEW_USER)
    running = outside.starts(fleet)

    alone = playbook.run(fleet, "rollback.yml", "--limit", "server", **ACCEPTED)
    assert alone.code != 0
    assert alone.said("is in no host of this run")
    asked = playbook.run(fleet, "rollback.yml")
    assert asked.code != 0
    assert asked.said(f"user added: {NEW_USER['username']}")
    assert asked.said("gpustack_accept_rollback_losses: true")
    shown = playbook.run(fleet, "rollback.yml", "--check", **ACCEPTED)
    assert shown.code == 0, shown.output[-4000:]
    assert shown.recap("changed") == dict.fromkeys(fleet.hosts, 1)
    assert outside.starts(fleet) == running

    # Somebody prunes one retired container together with its image.
    worker = fleet.host("worker3")
    retired = next(name for name in outside.containers(worker) if name.startswith("gpustack-legacy-"))
    image = outside.containers(worker)[retired]["Config"]["Image"]
    worker.exec_root("docker", "rm", retired)
    worker.exec_root("docker", "image", "rm", "--force", image)

    # The way back is cut off just before the legacy server starts: its bytes are those of its stop.
    cut = playbook.run(fleet, "rollback.yml", **ACCEPTED, **playbook.failing("server", "undo_start:before:kill"))
    assert cut.code != 0
    assert outside.sha256(server, *DATABASE) == stopped
    assert images(fleet) == {"server": True, "worker1": False, "worker2": False, "worker3": False}

    # The same command goes on. What people changed was accepted already, and v2 serves nobody any more.
    back = playbook.run(fleet, "rollback.yml")
    assert back.code == 0, back.output[-4000:]
    assert_back(fleet, before)
    assert NEW_USER["username"] not in {user["username"] for user in fleet.admin().items("/v1/users")}
    assert back.report["results"]["worker3"]["restored"]["recreated"]
    for name in fleet.hosts:
        aside = back.report["results"][name]["restored"]["set_aside"]
        kept = outside.containers(fleet.host(name))
        assert aside["containers"]
        for container in aside["containers"]:
            assert kept[container]["HostConfig"]["RestartPolicy"]["Name"] == "no"
            assert not kept[container]["State"]["Running"]
    (directory,) = back.report["results"]["server"]["restored"]["set_aside"]["directories"]
    assert "postgresql" in server.exec_root("ls", directory).split()


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    again = playbook.run(fleet, "rollback.yml")
    assert again.code == 0, again.output[-4000:]
    assert again.recap("changed") == dict.fromkeys(fleet.hosts, 0)


def test_the_way_leads_forward_again_and_back_from_a_v2_server_that_does_not_run(
    fleet: Fleet, before: dict[str, dict[str, Any]]
) -> None:
    done = playbook.run(fleet, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.2.3")

    fleet.host("server").exec_root("docker", "stop", "gpustack")
    asked = playbook.run(fleet, "rollback.yml")
    assert asked.code != 0
    assert asked.said("cannot be listed")
    back = playbook.run(fleet, "rollback.yml", **ACCEPTED)
    assert back.code == 0, back.output[-4000:]
    assert_back(fleet, before)
