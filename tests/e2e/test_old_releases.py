# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real releases from before 0.7 to 2.2.3: rows against the database that the target's migrator raises, and workers
that had no uuid, of which some had no name either."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import outside, playbook, secrets
from tests.lab import hosts, legacy, lifecycle
from tests.lab.api import wait_until
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

NAME = f"{os.environ.get('LAB_FLEET', 'e2e')}-old"
RELEASE = "2.2.3"
#: Of a worker's own API.
WORKER_PORT = 10150
IDENTITY = ("worker_name", "worker_uuid")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """A server and three workers of 0.6.2: one as documented, one named by its command, one without a volume."""
    made = lifecycle.up(Options(NAME, workers=3, legacy="0.6.2", snapshot=False))
    _named_by_its_command(made, "worker2")
    _without_a_volume(made, "worker3")
    legacy.wait_ready(made.admin(), {"worker1", "worker2", "worker3"}, time.time())
    with secrets.sampled_arguments(made) as samples:
        yield made
    secrets.assert_none_shown(made, samples)
    if os.environ.get("LAB_KEEP") != "1":
        lifecycle.down(NAME)


def _recreate(fleet: Fleet, name: str, change: Any) -> None:
    """The worker's container again, by a changed `docker run`."""
    host, server = fleet.hosts[name], fleet.hosts["server"]
    token = legacy.read_secret(fleet.options, server, "token")
    hosts.execute(host, "docker", "rm", "--force", "gpustack")
    hosts.execute(host, "rm", "-rf", legacy.DIRECTORY)
    arguments = ["--server-url", f"http://{server.address}", "--token", token, "--worker-ip", host.address]
    hosts.execute(host, *change(legacy.run_command(fleet.options, host, arguments)))


def _named_by_its_command(fleet: Fleet, name: str) -> None:
    _recreate(fleet, name, lambda command: [*command, "--worker-name", name])


def _without_a_volume(fleet: Fleet, name: str) -> None:
    """As the guides of 0.3 and 0.4 had it: everything is in the container's layer."""

    def change(command: list[str]) -> list[str]:
        volume = command.index("-v")
        return command[:volume] + command[volume + 2 :]

    _recreate(fleet, name, change)


def identities(fleet: Fleet) -> dict[str, tuple[int, str]]:
    """Id and uuid of every worker in the v2 server's database."""
    rows = outside.psql(fleet.host("server"), "SELECT name, id, worker_uuid FROM workers")
    return {name: (int(number), uuid) for name, number, uuid in rows}


@pytest.mark.proves("installations", "0.6", RELEASE)
def test_three_workers_without_a_uuid_come_back_as_themselves(fleet: Fleet) -> None:
    worker2 = fleet.host("worker2").exec_root("ls", outside.DATA_DIR).split()
    assert not set(IDENTITY) & set(worker2)
    assert all(uuid in (None, "") for _id, uuid, _gpus in outside.recorded(fleet).values())

    planned = playbook.run(fleet, "assess.yml")
    assert planned.code == 0, planned.output[-4000:]
    done = playbook.run(fleet, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    raised = done.report["results"]["server"]["switched"]["raised"]
    assert (raised["from"], raised["to"], raised["dropped"]) == ("c45e397531d1", "d19176de3b74", {})
    assert done.report["results"]["server"]["switched"]["parity"]["equal"]

    now = identities(fleet)
    assert {name: number for name, (number, _uuid) in now.items()} == {
        name: number for name, (number, _uuid, _gpus) in outside.recorded(fleet).items()
    }
    uuids = {uuid for _number, uuid in now.values()}
    assert len(uuids) == 3
    assert "" not in uuids
    ready = {name: worker["state"] for name, worker in outside.workers(fleet.admin()).items()}
    assert ready == dict.fromkeys(now, "ready")
    seeded = {name: done.report["results"][name]["switched"]["worker"]["uuid"] for name in now}
    assert {name: uuid for name, (_number, uuid) in now.items()} == seeded


@pytest.mark.proves("installations", "0.6", RELEASE)
def test_a_second_run_changes_nothing_and_uuids_outlast_a_restart(fleet: Fleet) -> None:
    before = identities(fleet)
    for name in fleet.hosts:
        fleet.host(name).exec_root("docker", "restart", "gpustack")
    ready = dict.fromkeys(before, "ready")
    addresses = [fleet.hosts[name].address for name in before]
    wait_until(
        "every worker to be READY again",
        lambda: (
            all(outside.listens(address, WORKER_PORT) for address in addresses)
            and {name: each["state"] for name, each in outside.workers(fleet.admin()).items()} == ready
        ),
        timeout=180,
        way_out="look at the logs of the containers",
    )
    again = playbook.run(fleet, "upgrade.yml")
    assert again.code == 0, again.output[-4000:]
    assert again.recap("changed") == dict.fromkeys(fleet.hosts, 0)
    assert identities(fleet) == before


@pytest.mark.proves("installations", "0.6", RELEASE)
def test_the_fleet_goes_back_to_its_old_release(fleet: Fleet) -> None:
    back = playbook.run(fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert back.code == 0, back.output[-4000:]
    found = outside.workers(fleet.admin(), "/v1/workers")
    assert {name: worker["id"] for name, worker in found.items()} == {
        name: number for name, (number, _uuid, _gpus) in outside.recorded(fleet).items()
    }
    for name in fleet.hosts:
        assert outside.image_of(fleet.host(name)).startswith("gpustack/gpustack:v0.6.2"), name
        assert outside.is_running(fleet.host(name)), name
    assert not set(IDENTITY) & set(fleet.host("worker2").exec_root("ls", outside.DATA_DIR).split())
