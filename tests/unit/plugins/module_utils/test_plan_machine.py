# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the inventory that are one machine."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

RUN = "20261124T235959Z"
PORTS = ["--worker-port", "10250", "--metrics-port", "10251", "--service-port-range", "40100-40163"]
RAY = ["--ray-port-range", "42000-42999"]


def sibling(node: dict[str, Any]) -> dict[str, Any]:
    return {key: node["installations"][0][key] for key in ("id", "name", "image", "generation", "role", "retired")}


def pair(*more: str) -> dict[str, dict[str, Any]]:
    """The fleet with both workers on one machine; the second has ports of its own, and more arguments."""
    evidence = plan_evidence.fleet()
    w1, w2 = evidence["w1"], evidence["w2"]
    second = w2["installations"][0]
    second.update(name="gpustack-2", args=[*second["args"], *PORTS, *more])
    second["data_dir"] = {**second["data_dir"], "host_path": "/data/gpustack-2"}
    w1.update(container="gpustack", siblings=[sibling(w2)])
    w2.update(container="gpustack-2", siblings=[sibling(w1)])
    return evidence


def plan(evidence: dict[str, Any], **choices: dict[str, Any]) -> dict[str, Any]:
    names = {"w1": {"legacy_container": "gpustack"}, "w2": {"legacy_container": "gpustack-2"}}
    chosen = {name: {**names[name], **choices.get(name, {})} for name in names}
    settings = dataclasses.replace(plan_evidence.settings(), run_id=RUN, choices=chosen)
    return make_plan(evidence, settings)


def codes(made: dict[str, Any], kind: str = "refusals") -> list[tuple[str, str]]:
    return [(each["host"], each["code"]) for each in made[kind]]


MOVED: dict[str, Any] = {"extra_args": RAY}


def test_two_workers_with_ports_of_their_own_are_upgraded() -> None:
    assert codes(plan(pair(), w2=MOVED)) == []


def test_attempts_of_one_machine_have_names_of_their_own() -> None:
    made = plan(pair(), w2=MOVED)["hosts"]
    assert {name: made[name]["run_id"] for name in made} == {"s": RUN, "w1": RUN, "w2": "20261125T000000Z"}


def test_the_range_that_v2_adds_is_refused_with_a_free_one() -> None:
    (refusal,) = plan(pair())["refusals"]
    assert (refusal["host"], refusal["code"]) == ("w2", "sibling_ports")
    assert "41000-41999 (Ray)" in refusal["cause"]
    assert '["--ray-port-range", "42000-42999"]' in refusal["way_out"]


def test_every_port_that_both_would_have_is_named() -> None:
    evidence = pair()
    evidence["w2"]["installations"][0]["args"] = evidence["w1"]["installations"][0]["args"]
    (refusal,) = [each for each in plan(evidence)["refusals"] if each["code"] == "sibling_ports"]
    for ports in ("10150 (worker API)", "10151 (worker metrics)", "40000-40063 (models)", "41000-41999 (Ray)"):
        assert ports in refusal["cause"]
    assert '"--worker-port", "10152"' in refusal["way_out"]


@pytest.mark.parametrize(("network", "found"), [("host", [("w1", "sibling_ports")]), ("bridge", [])])
def test_a_bridged_server_has_ports_of_its_own(network: str, found: list[tuple[str, str]]) -> None:
    evidence = plan_evidence.fleet()
    server, worker = evidence["s"], evidence["w1"]
    server["installations"][0].update(network_mode=network, name="gpustack-server")
    server["installations"][0]["data_dir"] = {**server["installations"][0]["data_dir"], "host_path": "/data/server"}
    worker["installations"][0]["args"] += ["--worker-port", "10161"]
    server.update(container="gpustack-server", siblings=[sibling(worker)])
    worker.update(container="gpustack", siblings=[sibling(server)])
    made = make_plan(evidence, dataclasses.replace(plan_evidence.settings(), run_id=RUN))
    assert [each for each in codes(made) if each[1] == "sibling_ports"] == found


def test_a_gateway_on_both_is_refused() -> None:
    settings = dataclasses.replace(plan_evidence.settings(), run_id=RUN, release="2.0.0", choices={"w2": MOVED})
    refusals = [each for each in make_plan(pair(), settings)["refusals"] if each["code"] == "sibling_ports"]
    assert "from 2.0.1 on workers have no gateway" in refusals[0]["way_out"]


def test_each_worker_leaves_the_others_models_and_gpus_alone() -> None:
    made = plan(pair(), w1={"gpu_vendor": "nvidia"}, w2={**MOVED, "gpu_vendor": "cpu"})
    environments = {name: made["hosts"][name]["gpu"]["flags"]["environment"] for name in ("w1", "w2")}
    assert environments["w1"]["GPUSTACK_RUNTIME_DETECT"] == "NVIDIA"
    assert environments["w2"]["GPUSTACK_RUNTIME_DETECT"] == "CPU"
    for each in environments.values():
        assert each["GPUSTACK_WORKER_ORPHAN_WORKLOAD_CLEANUP_GRACE_PERIOD"] == "999999999"
    assert {("w1", "shared_engine"), ("w2", "shared_engine")} <= set(codes(made, "warnings"))


def test_a_worker_alone_on_its_machine_gets_none_of_that() -> None:
    made = make_plan(plan_evidence.fleet(), plan_evidence.settings())
    assert "GPUSTACK_RUNTIME_DETECT" not in str(made["hosts"]["w1"]["gpu"]["flags"])


def test_an_upgraded_worker_without_the_variable_is_told_of() -> None:
    evidence = pair()
    evidence["w1"]["installations"][0].update(generation="v2", release="2.2.3", attempt=RUN)
    evidence["w1"]["journal"].update(outcome="upgraded", attempt=RUN)
    assert ("w1", "orphans") in codes(plan(evidence, w2=MOVED), "warnings")


def test_two_hosts_for_one_container_are_refused() -> None:
    evidence = plan_evidence.fleet()
    evidence["w2"]["installations"][0]["id"] = evidence["w1"]["installations"][0]["id"]
    made = make_plan(evidence, dataclasses.replace(plan_evidence.settings(), run_id=RUN))
    assert ("w2", "same_container") in codes(made)


def test_two_containers_on_one_data_directory_are_refused() -> None:
    evidence = pair()
    evidence["w2"]["installations"][0]["data_dir"]["host_path"] = "/data/gpustack"
    assert ("w2", "shared_data_dir") in codes(plan(evidence, w2=MOVED))


@pytest.mark.parametrize("name", ["../etc", "a/b", "-w", "w w"])
def test_a_name_that_would_lead_elsewhere_is_refused(name: str) -> None:
    assert ("w1", "container_name") in codes(plan(pair(), w1={"legacy_container": name}, w2=MOVED))


def test_a_container_that_was_upgraded_without_the_variable_is_told_by_its_journal() -> None:
    evidence = pair()
    evidence["w1"]["installations"][0].update(generation="v2", release="2.2.3", attempt=RUN)
    (refusal,) = [each for each in plan(evidence, w2=MOVED)["refusals"] if each["code"] == "other_state_dir"]
    assert refusal["host"] == "w1"


def test_room_is_needed_for_both() -> None:
    evidence = pair()
    for name in ("w1", "w2"):
        evidence[name]["filesystems"]["docker_root"]["free"] = 300 * 1024**2
    assert codes(plan(evidence, w2=MOVED)) == [("w1", "disk")]


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    evidence = pair()
    evidence["w1"]["installations"] = []
    (refusal,) = [each for each in plan(evidence, w2=MOVED)["refusals"] if each["code"] == "no_legacy_installation"]
    assert "gpustack-2" in refusal["cause"]
