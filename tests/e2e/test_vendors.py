# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of another vendor, and one that was restricted to some of its GPUs, upgraded with the whole fleet."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e import ascend, outside, playbook, secrets
from tests.lab import legacy
from tests.lab.fleet import Fleet, Reach


def replace_container(host: Reach, image: str, *flags: str) -> None:
    """The legacy worker again, with another image and other flags, and the arguments that it had."""
    old = outside.gpustack(host)
    host.exec_root("docker", "rm", "--force", "gpustack")
    options = ["--restart=unless-stopped", "--network=host", "--ipc=host", *flags]
    volume = f"{outside.DATA_DIR}:/var/lib/gpustack"
    host.exec_root("docker", "run", "-d", "--name", "gpustack", *options, "-v", volume, image, *old["Config"]["Cmd"])


@pytest.fixture(scope="module")
def vendors(fleet: Fleet) -> Fleet:
    """The fleet with an Ascend worker, and an NVIDIA worker that has one of the two GPUs of its host."""
    since = time.time()
    with secrets.unsampled(fleet):
        ascend.equip(fleet.host("worker2"))
        replace_container(fleet.host("worker2"), ascend.IMAGE, *ascend.FLAGS)
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
