# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several GPUStack containers on one machine, each of them a host of the inventory.

worker1 has NVIDIA GPUs and Ascend NPUs (stand-ins both) and a worker for each, the server's host runs a worker of its
own beside it, without GPUs. What happens to one of them does not touch the other.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.e2e import ascend, outside, playbook, several
from tests.lab import legacy, lifecycle
from tests.lab.fleet import Fleet

STATE, BACKUPS = "/var/lib/fleetops-gpustack/containers", "/var/backups/gpustack/containers"
NPU_PORTS = ("--worker-port", "10250", "--metrics-port", "10251")
NPU_RANGES = ("--service-port-range", "40100-40163")
NPU_ARGUMENTS = (*NPU_PORTS, *NPU_RANGES)
NPU = several.Worker("worker1-npu", "worker1", "gpustack-npu", NPU_ARGUMENTS, ascend.IMAGE, ascend.FLAGS)
BESIDE_SERVER = several.Worker("server-worker", "server", "gpustack-worker")
#: Every host of the inventory: the host of the lab that it is, and its container.
PLACES = {
    "main": ("server", "gpustack"),
    "server-worker": ("server", "gpustack-worker"),
    "worker1-gpu": ("worker1", "gpustack"),
    "worker1-npu": ("worker1", "gpustack-npu"),
    "worker2": ("worker2", "gpustack"),
}
SEVERAL = [name for name in PLACES if name != "worker2"]


def variables(fleet: Fleet, name: str, **others: Any) -> dict[str, Any]:
    host, container = PLACES[name]
    named = {"gpustack_legacy_container": container} if name in SEVERAL else {}
    return {"ansible_host": fleet.hosts[host].address, **named, **others}


def hosts(fleet: Fleet, **of_npu: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Servers and workers; NVIDIA's worker is the canary."""
    workers = {name: variables(fleet, name) for name in ("worker1-gpu", "server-worker", "worker2")}
    workers["worker1-npu"] = variables(fleet, "worker1-npu", **of_npu)
    return {"main": variables(fleet, "main")}, workers


@pytest.fixture(scope="module")
def crowded(fleet: Fleet) -> dict[str, Any]:
    """The containers of the fleet by host of the inventory, once all of them serve."""
    since = time.time()
    ascend.equip(fleet.host("worker1"))
    several.start(fleet, NPU)
    several.start(fleet, BESIDE_SERVER)
    names = {"worker1", "worker2", NPU.name, BESIDE_SERVER.name}
    found = legacy.wait_ready(fleet.admin(), names, since)
    fleet.data["workers"] = [lifecycle.worker_facts(worker) for worker in found]
    return containers(fleet)


def containers(fleet: Fleet) -> dict[str, Any]:
    return {name: outside.containers(fleet.host(host))[container] for name, (host, container) in PLACES.items()}


def untouched(found: dict[str, Any]) -> dict[str, Any]:
    """What stays the same of containers that nobody touches."""
    return {name: (each["Id"], each["State"]["StartedAt"], outside.definition(each)) for name, each in found.items()}


def attempt(fleet: Fleet, name: str) -> str:
    host, container = PLACES[name]
    journal = fleet.host(host).exec_root("cat", f"{STATE}/{container}/journal.jsonl")
    return str(json.loads(journal.splitlines()[-1])["attempt"])


def assert_all_v2(fleet: Fleet) -> None:
    for name, container in containers(fleet).items():
        assert container["Config"]["Image"] == "gpustack/gpustack:v2.2.3", name
        assert container["State"]["Running"], name
        mirrored = outside.environment_of(container).get("GPUSTACK_RUNTIME_DEPLOY_MIRRORED_NAME")
        assert mirrored == (None if name == "main" else PLACES[name][1]), name
    found = outside.workers(fleet.admin())
    uuids = dict(outside.psql(fleet.host("server"), "SELECT name, worker_uuid FROM workers"))
    seen = {name: (each["id"], uuids[name], outside.gpus(each)) for name, each in found.items()}
    assert seen == outside.recorded(fleet)
    assert {each["state"] for each in found.values()} == {"ready"}


def test_without_a_choice_it_is_explained(fleet: Fleet, crowded: dict[str, Any]) -> None:
    run = playbook.run(fleet, "upgrade.yml")
    assert run.code != 0
    assert run.said("several GPUStack installations could be the one to upgrade")
    assert run.said("name its container there with gpustack_legacy_container")
    assert untouched(containers(fleet)) == untouched(crowded)


def test_ports_that_v2_adds_are_refused_with_others(fleet: Fleet, crowded: dict[str, Any]) -> None:
    with several.inventory(fleet, *hosts(fleet)):
        run = playbook.run(fleet, "upgrade.yml")
    assert run.code != 0
    assert run.said("both would have the ports 41000-41999 (Ray)")
    assert re.search(r"--ray-port-range\W+42000-42999", run.output)
    assert untouched(containers(fleet)) == untouched(crowded)


MOVED: dict[str, Any] = {"gpustack_extra_args": ["--ray-port-range", "42000-42999"]}


def test_one_that_fails_does_not_touch_the_other(fleet: Fleet, crowded: dict[str, Any]) -> None:
    fault = {"gpustack_module_environment": {"FLEETOPS_GPUSTACK_FAULT": "ready:before:raise"}}
    with several.inventory(fleet, *hosts(fleet, **MOVED, **fault)):
        run = playbook.run(fleet, "upgrade.yml")
    assert run.code != 0
    assert {name for name, count in run.recap("failed").items() if count} == {"worker1-npu"}, run.output[-6000:]
    now = containers(fleet)
    assert {name for name, each in now.items() if ":v2." in each["Config"]["Image"]} == set(PLACES) - {"worker1-npu"}
    assert now["worker1-gpu"]["State"]["Running"]
    assert now["worker1-npu"]["Id"] == crowded["worker1-npu"]["Id"]
    assert not now["worker1-npu"]["State"]["Running"]
    outside_attempts = {name: attempt(fleet, name) for name in SEVERAL}
    assert outside_attempts["worker1-gpu"] != outside_attempts["worker1-npu"]
    assert outside_attempts["main"] != outside_attempts["server-worker"]


@pytest.mark.proves("installations", "two_workers", "2.2.3")
@pytest.mark.proves("installations", "server_and_worker", "2.2.3")
def test_every_container_goes_over(fleet: Fleet, crowded: dict[str, Any]) -> None:
    before = containers(fleet)["worker1-gpu"]
    with several.inventory(fleet, *hosts(fleet, **MOVED)):
        run = playbook.run(fleet, "upgrade.yml")
    assert run.code == 0, run.output[-6000:]
    assert_all_v2(fleet)
    now = containers(fleet)
    assert now["worker1-gpu"]["Id"] == before["Id"]
    runtimes = {name: now[name]["HostConfig"]["Runtime"] for name in ("worker1-gpu", "worker1-npu")}
    assert runtimes == {"worker1-gpu": "nvidia", "worker1-npu": "ascend"}
    environments = {name: outside.environment_of(now[name]) for name in ("worker1-gpu", "worker1-npu")}
    detect = {name: each["GPUSTACK_RUNTIME_DETECT"] for name, each in environments.items()}
    assert detect == {"worker1-gpu": "NVIDIA", "worker1-npu": "ASCEND"}
    for each in environments.values():
        assert each["GPUSTACK_WORKER_ORPHAN_WORKLOAD_CLEANUP_GRACE_PERIOD"] == "999999999"
    for name in SEVERAL:
        host, container = PLACES[name]
        fleet.host(host).exec_root("test", "-f", f"{BACKUPS}/{container}/{attempt(fleet, name)}/manifest.json")


def test_a_second_run_changes_nothing(fleet: Fleet, crowded: dict[str, Any]) -> None:
    before = containers(fleet)
    with several.inventory(fleet, *hosts(fleet, **MOVED)):
        again = playbook.run(fleet, "upgrade.yml")
        verified = playbook.run(fleet, "verify.yml")
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}
    assert verified.code == 0, verified.output[-4000:]
    assert untouched(containers(fleet)) == untouched(before)


def test_both_run_after_a_reboot(fleet: Fleet, crowded: dict[str, Any]) -> None:
    fleet.host("worker1").reboot()
    running = {name for name, each in outside.containers(fleet.host("worker1")).items() if each["State"]["Running"]}
    assert running == {"gpustack", "gpustack-npu"}


@pytest.mark.proves("installations", "two_workers", "2.2.3")
@pytest.mark.proves("installations", "server_and_worker", "2.2.3")
def test_every_container_comes_back(fleet: Fleet, crowded: dict[str, Any]) -> None:
    since = time.time()
    with several.inventory(fleet, *hosts(fleet, **MOVED)):
        run = playbook.run(fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert run.code == 0, run.output[-6000:]
    legacy.wait_ready(fleet.admin(), {worker["name"] for worker in fleet.data["workers"]}, since)
    now = containers(fleet)
    assert {name: each["Id"] for name, each in now.items()} == {name: each["Id"] for name, each in crowded.items()}
    for name, each in now.items():
        assert each["State"]["Running"], name
        assert outside.definition(each) == outside.definition(crowded[name]), name
    outside.assert_legacy_serves(fleet)
