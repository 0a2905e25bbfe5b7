# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that something else keeps are taken over, and come back exactly as they were.

The server is --rm with its data in an anonymous volume, worker1 is run with --rm by a systemd unit, worker2 bears the
labels of Compose, is watched by a Watchtower, and has its data in its own layer.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.e2e import outside, playbook, supervised
from tests.lab import lifecycle
from tests.lab.fleet import Fleet, Reach

ACCEPTED: dict[str, Any] = {"gpustack_accept_rollback_losses": True}


@pytest.fixture(scope="module")
def kept(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """The containers of the fleet once something else keeps them and they serve."""
    since = time.time()
    supervised.convert(fleet)
    lifecycle.wait_serving(fleet, since)
    return {name: outside.gpustack(fleet.host(name)) for name in fleet.hosts}


def unit_state(host: Reach) -> tuple[str, str]:
    """Whether the unit is enabled and active, in systemd's words."""
    # Both exit with a code of their own for every answer but the best one.
    states = host.exec_root(
        "sh", "-c", f"systemctl is-enabled {supervised.UNIT}; systemctl is-active {supervised.UNIT}; true"
    )
    enabled, active = states.split()
    return enabled, active


def retired(host: Reach) -> dict[str, Any]:
    name = f"gpustack-legacy-{outside.attempt(host)}"
    return outside.containers(host)[name]


def definition(container: dict[str, Any]) -> dict[str, Any]:
    """What the engine shows of a container, but for ids, times, state, and how its anonymous volume is named."""
    host = {key: value for key, value in container["HostConfig"].items() if key != "Binds"}
    mounts = [(mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) for mount in container["Mounts"]]
    return {"config": container["Config"], "host": host, "mounts": sorted(mounts)}


def test_what_is_taken_over_is_said_before(fleet: Fleet, kept: dict[str, Any]) -> None:
    run = playbook.run(fleet, "assess.yml")
    assert run.code == 0, run.output[-4000:]
    for said in (
        "was started with --rm",
        f"systemd unit {supervised.UNIT}",
        f"take the service out of {supervised.COMPOSE_FILE}",
    ):
        assert run.said(said), said


def test_a_worker_of_a_unit_fails_and_is_left_off(fleet: Fleet, kept: dict[str, Any]) -> None:
    volume = supervised.volume_path(fleet.host("server"))
    # In one batch, so that it is no canary, with which the server would go back.
    failed = playbook.run(fleet, "upgrade.yml", gpustack_batches=["100%"], **playbook.failing("worker1"))
    assert failed.recap("failed") == {"server": 0, "worker1": 1, "worker2": 0}, failed.output[-6000:]
    assert supervised.volume_path(fleet.host("server")) == volume
    assert unit_state(fleet.host("worker1")) == ("disabled", "inactive")
    assert outside.is_legacy(fleet.host("worker1"))
    assert not outside.is_running(fleet.host("worker1"))


@pytest.mark.proves("installations", "anonymous", "2.2.3")
@pytest.mark.proves("installations", "unit", "2.2.3")
@pytest.mark.proves("installations", "compose", "2.2.3")
@pytest.mark.proves("installations", "layer", "2.2.3")
@pytest.mark.proves("installations", "env_file", "2.2.3")
def test_the_fleet_goes_over(fleet: Fleet, kept: dict[str, Any]) -> None:
    run = playbook.run(fleet, "upgrade.yml")
    assert run.code == 0, run.output[-6000:]
    outside.assert_upgraded(fleet, "2.2.3")

    assert unit_state(fleet.host("worker1")) == ("disabled", "inactive")
    fleet.host("worker1").exec_root("test", "-f", supervised.UNIT_FILE)
    labels = outside.gpustack(fleet.host("worker2"))["Config"]["Labels"]
    assert not set(labels) & set(supervised.COMPOSE_LABELS)
    assert labels["com.centurylinklabs.watchtower.enable"] == "false"
    assert "gpustack-data-" in supervised.volume_path(fleet.host("worker2"))
    for name in fleet.hosts:
        container = retired(fleet.host(name))
        assert not container["HostConfig"]["AutoRemove"]
        assert container["HostConfig"]["RestartPolicy"]["Name"] == "no"
        assert container["Config"] == kept[name]["Config"]


def test_a_second_run_changes_nothing(fleet: Fleet, kept: dict[str, Any]) -> None:
    again = playbook.run(fleet, "upgrade.yml")
    assert again.code == 0
    assert set(again.recap("changed").values()) == {0}


def test_a_reboot_revives_nothing_legacy(fleet: Fleet, kept: dict[str, Any]) -> None:
    worker = fleet.host("worker1")
    worker.reboot()
    assert unit_state(worker) == ("disabled", "inactive")
    running = [name for name, each in outside.containers(worker).items() if each["State"]["Running"]]
    assert running == ["gpustack"]
    assert not outside.is_legacy(worker)


@pytest.mark.proves("installations", "anonymous", "2.2.3")
@pytest.mark.proves("installations", "unit", "2.2.3")
@pytest.mark.proves("installations", "compose", "2.2.3")
@pytest.mark.proves("installations", "layer", "2.2.3")
@pytest.mark.proves("installations", "env_file", "2.2.3")
def test_everything_comes_back_as_it_was(fleet: Fleet, kept: dict[str, Any]) -> None:
    since = time.time()
    run = playbook.run(fleet, "rollback.yml", **ACCEPTED)
    assert run.code == 0, run.output[-6000:]
    lifecycle.wait_serving(fleet, since)
    outside.assert_legacy_serves(fleet)
    assert unit_state(fleet.host("worker1")) == ("enabled", "active")
    for name in fleet.hosts:
        assert definition(outside.gpustack(fleet.host(name))) == definition(kept[name]), name
        assert outside.is_running(fleet.host(name))
    again = playbook.run(fleet, "rollback.yml")
    assert set(again.recap("changed").values()) == {0}


@pytest.mark.proves("installations", "layer", "2.2.3")
def test_a_server_whose_data_is_in_its_layer(fleet: Fleet, kept: dict[str, Any]) -> None:
    server, since = fleet.host("server"), time.time()
    supervised.in_layer(server)
    lifecycle.wait_serving(fleet, since)
    before = outside.gpustack(server)
    run = playbook.run(fleet, "upgrade.yml")
    assert run.code == 0, run.output[-6000:]
    outside.assert_upgraded(fleet, "2.2.3")
    assert "gpustack-data-" in supervised.volume_path(server)
    manifest = json.loads(server.exec_root("cat", f"/var/backups/gpustack/{outside.attempt(server)}/manifest.json"))
    saved = {each["name"]: each["sha256"] for each in manifest["files"] if each["name"].startswith("database.db")}
    layer = supervised.layer_path(retired(server))
    found = outside.sha256(server, *(f"{layer}/{name}" for name, sha256 in saved.items() if sha256))
    assert found == {f"{layer}/{name}": sha256 for name, sha256 in saved.items() if sha256}

    since = time.time()
    back = playbook.run(fleet, "rollback.yml", **ACCEPTED)
    assert back.code == 0, back.output[-6000:]
    lifecycle.wait_serving(fleet, since)
    outside.assert_legacy_serves(fleet)
    assert outside.gpustack(server)["Id"] == before["Id"]
    assert definition(outside.gpustack(server)) == definition(before)
