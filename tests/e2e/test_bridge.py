# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on a bridge network, of which users reach the published port alone, and a worker beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import outside, playbook
from tests.e2e.conftest import NAME
from tests.lab import lifecycle
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

BRIDGED = f"{NAME}-bridge"


@pytest.fixture(scope="module")
def bridged() -> Iterator[Fleet]:
    """A server behind one published port, and one worker."""
    yield lifecycle.up(Options(BRIDGED, workers=1, gpu_workers=0, server_network="bridge", snapshot=False))
    lifecycle.down(BRIDGED)


@pytest.mark.proves("installations", "bridge", "2.2.3")
def test_a_bridged_server_is_upgraded_behind_the_same_published_port(bridged: Fleet) -> None:
    server = bridged.host("server")
    assert outside.gpustack(server)["HostConfig"]["NetworkMode"] in ("bridge", "default")

    done = playbook.run(bridged, "upgrade.yml")

    assert done.code == 0, done.output[-4000:]
    # Rows were compared through the container's own address: PostgreSQL is not published.
    parity = done.report["results"]["server"]["switched"]["parity"]
    assert parity["equal"]
    assert {table["table"] for table in parity["tables"]} >= {"users", "models"}
    container = outside.gpustack(server)
    assert container["HostConfig"]["NetworkMode"] == "bridge"
    assert container["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}
    outside.assert_upgraded(bridged, "2.2.3")
    users = {user["username"] for user in bridged.admin().items("/v2/users")}
    assert users >= {user["username"] for user in bridged.data["users"]}

    # The plan had said which services of v2 are not published, and had no new port of the host to warn of.
    leftovers = done.report["plan"]["hosts"]["server"]["leftovers"]
    assert ("port", "10161/tcp") in {(leftover["item"], leftover["value"]) for leftover in leftovers}
    assert "new_listeners" not in {warning["code"] for warning in done.report["plan"]["warnings"]}


def test_nothing_new_is_open_to_the_network(bridged: Fleet) -> None:
    address = bridged.hosts["server"].address
    assert outside.listens(address, 80)
    assert not outside.listens(address, 5432)
    assert not outside.listens(address, 30080)


def test_rows_and_workers_are_verified_through_the_containers_address(bridged: Fleet) -> None:
    done = playbook.run(bridged, "verify.yml")
    assert done.code == 0, done.output[-4000:]
    assert done.said("every row of the backup is there")


def test_a_second_run_changes_nothing(bridged: Fleet) -> None:
    done = playbook.run(bridged, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    assert set(done.recap("changed").values()) == {0}
