# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of another vendor, and one that was restricted to some of its GPUs, upgraded with the whole fleet.

Stand-ins, because there is no such hardware: device nodes of an Ascend host that lead nowhere, and its runtime as
another name of runc. Its legacy worker lists no NPUs for that reason, and neither does v2's.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.e2e import outside, playbook, secrets
from tests.lab import legacy
from tests.lab.fleet import Fleet, Reach

NODES = ("davinci0", "davinci1", "davinci_manager", "devmm_svm", "hisi_hdc")
RUNTIMES = {"runtimes": {"ascend": {"path": "runc"}}}


def replace_container(host: Reach, image: str, *flags: str) -> None:
    """The legacy worker again, with another image and other flags, and the arguments that it had."""
    old = outside.gpustack(host)
    host.exec_root("docker", "rm", "--force", "gpustack")
    options = ["--restart=unless-stopped", "--network=host", "--ipc=host", *flags]
    volume = f"{outside.DATA_DIR}:/var/lib/gpustack"
    host.exec_root("docker", "run", "-d", "--name", "gpustack", *options, "-v", volume, image, *old["Config"]["Cmd"])


def make_ascend(host: Reach) -> None:
    """A host with two NPUs, and the documented container on it."""
    for name in NODES:
        host.exec_root("mknod", f"/dev/{name}", "c", "1", "3")
    host.exec_root("sh", "-c", f"echo '{json.dumps(RUNTIMES)}' > /etc/docker/daemon.json")
    host.exec_root("systemctl", "restart", "docker")
    host.exec_root("docker", "tag", "gpustack/gpustack:v0.7.1-cpu", "gpustack/gpustack:v0.7.1-npu")
    replace_container(host, "gpustack/gpustack:v0.7.1-npu", *(f"--device=/dev/{name}" for name in NODES))


@pytest.fixture(scope="module")
def vendors(fleet: Fleet) -> Fleet:
    """The fleet with an Ascend worker, and an NVIDIA worker that has one of the two GPUs of its host."""
    since = time.time()
    with secrets.unsampled(fleet):
        make_ascend(fleet.host("worker2"))
        replace_container(fleet.host("worker1"), "gpustack/gpustack:v0.7.1", "--gpus", '"device=1"')
    legacy.wait_ready(fleet.admin(), {"worker1", "worker2"}, since)
    return fleet


@pytest.fixture(scope="module")
def upgraded(vendors: Fleet) -> playbook.Run:
    """The run of the upgrade."""
    done = playbook.run(vendors, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    return done


def gpu_of(run: playbook.Run, host: str) -> dict[str, Any]:
    found: dict[str, Any] = run.report["plan"]["hosts"][host]["gpu"]
    return found


def test_the_ascend_worker_has_its_runtime_and_names_a_device(vendors: Fleet, upgraded: playbook.Run) -> None:
    container = outside.gpustack(vendors.host("worker2"))
    assert container["Config"]["Image"] == "gpustack/gpustack:v2.2.3"
    assert (container["HostConfig"]["Runtime"], container["HostConfig"]["Privileged"]) == ("ascend", True)
    assert outside.environment_of(container)["ASCEND_VISIBLE_DEVICES"] == "0"
    assert container["HostConfig"]["Devices"] == []
    assert (gpu_of(upgraded, "worker2")["vendor"], gpu_of(upgraded, "worker2")["how"]) == ("ascend", "legacy container")


def test_the_restriction_to_a_gpu_is_carried_over_and_said(vendors: Fleet, upgraded: playbook.Run) -> None:
    container = outside.gpustack(vendors.host("worker1"))
    assert container["HostConfig"]["Runtime"] == "nvidia"
    assert outside.environment_of(container)["NVIDIA_VISIBLE_DEVICES"] == "1"
    assert upgraded.said("the legacy container was restricted to the devices 1")
    assert upgraded.report["plan"]["hosts"]["worker1"]["worker"]["gpu_gate"] == "at_least"


def test_every_worker_is_ready_under_its_old_identity(vendors: Fleet, upgraded: playbook.Run) -> None:
    found = outside.workers(vendors.admin())
    assert {name: worker["state"] for name, worker in found.items()} == dict.fromkeys(
        outside.recorded(vendors), "ready"
    )
    assert {name: worker["id"] for name, worker in found.items()} == {
        name: known[0] for name, known in outside.recorded(vendors).items()
    }


def test_verification_and_another_run_agree(vendors: Fleet, upgraded: playbook.Run) -> None:
    assert playbook.run(vendors, "verify.yml").code == 0
    again = playbook.run(vendors, "upgrade.yml")
    assert (again.code, set(again.recap("changed").values())) == (0, {0})
