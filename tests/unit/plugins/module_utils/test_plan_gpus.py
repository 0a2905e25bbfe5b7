# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPU vendor of each host in the plan, and how its GPUs are compared after the upgrade."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.vendor_evidence import (
    HOSTS,
    devices,
    nvidia_smi,
    requested,
)


def plan_with(change: Any, **choices: Any) -> dict[str, Any]:
    """The plan of a fleet whose second worker has NVIDIA GPUs and one more change."""
    fleet = plan_evidence.fleet()
    fleet["w2"]["gpu"] = HOSTS["nvidia"]
    fleet["w2"]["engine"]["runtimes"] = ["nvidia", "runc"]
    change(fleet["w2"])
    return make_plan(fleet, plan_evidence.settings(choices={"w1": {"gpu_vendor": "cpu"}, "w2": choices}))


def restrict(node: dict[str, Any]) -> None:
    node["installations"][0]["device_requests"] = requested(ids=["1"])


def divide(node: dict[str, Any]) -> None:
    node["gpu"] = dict(HOSTS["nvidia"], tools=nvidia_smi(mig=[0]))


def test_a_worker_is_compared_exactly_with_the_vendors_equivalent_names() -> None:
    plan = plan_with(lambda node: None)
    worker = plan["hosts"]["w2"]["worker"]
    assert worker["gpu_gate"] == "exact"
    assert [gpu["same_names"] for gpu in worker["gpus"]] == [["(?:NVIDIA )?(.+)"]] * 2
    assert worker in plan["workers"]


def test_a_restricted_worker_may_list_more_and_that_is_said() -> None:
    plan = plan_with(restrict)
    assert plan["hosts"]["w2"]["gpu"]["flags"]["environment"] == {"NVIDIA_VISIBLE_DEVICES": "1"}
    assert plan["hosts"]["w2"]["worker"]["gpu_gate"] == "at_least"
    assert ("w2", "device_selection") in {(each["host"], each["code"]) for each in plan["warnings"]}


def test_the_devices_of_the_inventory_are_in_the_flags_that_are_tried() -> None:
    plan = plan_with(restrict, gpu_devices=["0"])
    assert plan["hosts"]["w2"]["gpu"]["flags"]["environment"] == {"NVIDIA_VISIBLE_DEVICES": "0"}


def test_mig_is_said_and_compared_by_vendor() -> None:
    plan = plan_with(divide)
    assert plan["hosts"]["w2"]["worker"]["gpu_gate"] == "vendor"
    assert plan["refusals"] == []
    assert ("w2", "mig") in {(each["host"], each["code"]) for each in plan["warnings"]}


def test_a_group_of_the_inventory_names_the_vendor() -> None:
    plan = plan_with(lambda node: None, groups=["all", "gpu_cpu"])
    assert (plan["hosts"]["w2"]["gpu"]["vendor"], plan["hosts"]["w2"]["gpu"]["how"]) == ("cpu", "group gpu_cpu")


def switched(runtime: str) -> dict[str, Any]:
    """The plan of a fleet whose second worker runs v2 already; its legacy container was restricted to one GPU."""
    fleet = plan_evidence.fleet()
    node = fleet["w2"]
    old = node["installations"][0]
    new = dict(old, id="v2", generation="v2", attempt="20261124T031500Z", runtime=runtime, devices=devices())
    node["installations"] = [new, dict(old, retired=True, device_requests=requested(ids=["1"]))]
    node["journal"].update(outcome="finalized", attempt="20261124T031500Z")
    node["gpu"] = HOSTS["nvidia"]
    return make_plan(fleet, plan_evidence.settings(choices={"w1": {"gpu_vendor": "cpu"}}))


@pytest.mark.parametrize(("runtime", "forgotten"), [("runc", True), ("nvidia", False)])
def test_a_forgotten_runtime_is_caught_by_looking_at_the_container(runtime: str, forgotten: bool) -> None:
    warned = [each for each in switched(runtime)["warnings"] if each["code"] == "runtime_forgotten"]
    assert [each["host"] for each in warned] == (["w2"] if forgotten else [])


def test_after_the_switch_the_retired_container_still_tells_how_to_compare() -> None:
    plan = switched("nvidia")
    assert plan["hosts"]["w2"]["action"] == "none"
    assert plan["hosts"]["w2"]["gpu"]["vendor"] is None
    assert plan["hosts"]["w2"]["worker"]["gpu_gate"] == "at_least"
