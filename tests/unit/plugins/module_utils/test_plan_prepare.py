# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to prepare, with a note of an earlier preparation and without."""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _plan, _prepared
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

Fleet = Dict[str, Dict[str, Any]]
DIGEST = "gpustack/gpustack@sha256:d"
NVIDIA = {"w1": {"gpu_vendor": "cpu"}, "w2": {"gpu_vendor": "nvidia"}}


def planned(fleet: Fleet, **settings: Any) -> dict[str, Any]:
    return _plan.make_plan(fleet, plan_evidence.settings(choices=NVIDIA, **settings))


def left(fleet: Fleet, host: str, **settings: Any) -> set[str]:
    return {part for part, needed in planned(fleet, **settings)["hosts"][host]["prepare"].items() if needed}


def prepared() -> Fleet:
    """The fleet with the notes that a preparation under its plan leaves; w2 has the GPUs."""
    fleet = plan_evidence.fleet()
    for host, decision in planned(fleet)["hosts"].items():
        node, trial = fleet[host], None
        node["installations"][0]["image_archive"] = "/var/backups/gpustack/legacy-image-0.tar"
        if decision["prepare"]["trial"]:
            gpus = decision["worker"]["gpus"]
            trial = _prepared.trial_proof(decision["gpu"]["flags"], gpus, node["host"]["boot_id"], node["gpu"])
        node["prepared"] = copy.deepcopy({"image": _prepared.image_proof("sha256:1", "2.2.3"), "trial": trial})
    return fleet


def test_without_a_note_the_image_is_asked_and_a_worker_with_gpus_tried() -> None:
    fleet = plan_evidence.fleet()
    assert planned(fleet)["pin"] is None
    assert left(fleet, "s") == left(fleet, "w1") == {"version", "legacy_image"}
    assert left(fleet, "w2") == {"version", "trial", "legacy_image"}
    assert "    to prepare: image, GPU trial" in planned(fleet)["text"]


def test_a_host_that_was_prepared_needs_nothing_and_is_held_to_the_servers_image() -> None:
    fleet = prepared()
    plan = planned(fleet)
    assert [left(fleet, host) for host in fleet] == [set(), set(), set()]
    assert plan["pin"] == "sha256:1"
    assert {decision["image_id"] for decision in plan["hosts"].values()} == {"sha256:1"}
    assert plan["text"].count("    to prepare: nothing") == 3


def without_image(node: dict[str, Any]) -> None:
    node["image"].update(present=False, id=None)


def with_another_image(node: dict[str, Any]) -> None:
    node["image"]["id"] = "sha256:2"


def with_a_note_of_another_release(node: dict[str, Any]) -> None:
    node["prepared"]["image"]["version"] = "2.2.2"


def with_a_note_of_another_form(node: dict[str, Any]) -> None:
    node["prepared"] = {"image": ["sha256:1"], "trial": "passed"}


@pytest.mark.parametrize(
    ("spoil", "also"),
    [
        (without_image, {"image"}),
        (with_another_image, set()),
        (with_a_note_of_another_release, set()),
        (with_a_note_of_another_form, set()),
    ],
)
def test_a_note_about_another_image_is_none(spoil: Callable[[dict[str, Any]], None], also: set[str]) -> None:
    fleet = prepared()
    spoil(fleet["w2"])
    assert left(fleet, "w2") == {"version", "trial", *also}
    assert left(fleet, "w1") == set()


def test_a_proven_image_that_is_not_the_servers_is_prepared_and_refused_there() -> None:
    fleet = prepared()
    fleet["w1"]["image"]["id"] = fleet["w1"]["prepared"]["image"]["id"] = "sha256:2"
    assert left(fleet, "w1") == {"version"}


def test_while_the_server_has_to_prove_its_image_nobody_is_held_to_it() -> None:
    fleet = prepared()
    fleet["s"]["prepared"] = None
    assert planned(fleet)["pin"] is None
    assert left(fleet, "w1") == {"version"}
    assert left(fleet, "w2") == {"version", "trial"}


def test_the_pin_is_the_digest_where_there_is_one() -> None:
    fleet = prepared()
    fleet["s"]["image"]["repo_digests"] = fleet["w1"]["image"]["repo_digests"] = [DIGEST]
    assert planned(fleet)["pin"] == DIGEST
    assert left(fleet, "w1") == set()
    # This one was loaded from an archive, and nothing says that it is the same.
    assert left(fleet, "w2") == {"version", "trial"}


@pytest.mark.parametrize(
    "change",
    [
        {"host": {"boot_id": "another"}},
        {"host": {"boot_id": None}},
        {"gpu": {"modules": ["nvidia"]}},
    ],
)
def test_another_boot_or_other_gpus_want_another_trial(change: dict[str, dict[str, Any]]) -> None:
    fleet = prepared()
    for part, values in change.items():
        fleet["w2"][part].update(values)
        fleet["w1"][part].update(values)
    assert left(fleet, "w2") == {"trial"}
    assert left(fleet, "w1") == set()


def test_a_boot_that_nobody_knows_proves_nothing() -> None:
    fleet = prepared()
    fleet["w2"]["host"]["boot_id"] = fleet["w2"]["prepared"]["trial"]["boot_id"] = None
    assert left(fleet, "w2") == {"trial"}


def test_other_flags_want_another_trial() -> None:
    fleet = prepared()
    fleet["w2"]["prepared"]["trial"]["flags"]["runtime"] = "runc"
    assert left(fleet, "w2") == {"trial"}


def test_another_legacy_record_wants_another_trial() -> None:
    fleet = prepared()
    fleet["s"]["installations"][0]["database"]["workers"][1]["gpus"].pop()
    assert left(fleet, "w2") == {"trial"}


def test_gpus_on_the_host_are_tried_though_the_inventory_says_cpu() -> None:
    fleet = prepared()
    fleet["w1"]["gpu"]["devices"] = ["/dev/nvidia0", "/dev/nvidiactl"]
    assert left(fleet, "w1") == {"trial"}


@pytest.mark.parametrize(
    ("docker", "psycopg"), [(None, "3.2.3"), ("5.0.3", "3.2.3"), ("7.1.0", None), ("7.1.0", "3.1")]
)
def test_libraries_that_are_missing_or_too_old_are_left(docker: str | None, psycopg: str | None) -> None:
    fleet = prepared()
    for host in fleet:
        fleet[host]["libraries"].update(docker=docker, psycopg=psycopg)
    assert left(fleet, "s") == {"libraries"}
    assert left(fleet, "w1") == ({"libraries"} if docker != "7.1.0" else set())


@pytest.mark.parametrize(("pymysql", "needed"), [("1.1.2", set()), (None, {"libraries"})])
def test_a_server_with_an_external_mysql_needs_its_library(pymysql: str | None, needed: set[str]) -> None:
    fleet = prepared()
    fleet["s"]["libraries"].update(psycopg=None, pymysql=pymysql)
    fleet["s"]["installations"][0]["database"]["external"] = {"kind": "mysql"}
    assert left(fleet, "s") & {"libraries"} == needed


def test_a_legacy_image_that_is_not_saved_is_left() -> None:
    fleet = prepared()
    fleet["w1"]["installations"][0]["image_archive"] = None
    assert left(fleet, "w1") == {"legacy_image"}


def upgraded(node: dict[str, Any], image_id: str) -> None:
    node["installations"][0].update(generation="v2", release="2.2.3", attempt="20261124T031500Z", image_id=image_id)
    node["journal"].update(outcome="upgraded", attempt="20261124T031500Z")


@pytest.mark.parametrize("running", ["sha256:1", "sha256:9"])
def test_workers_that_follow_later_are_held_to_what_the_upgraded_server_runs(running: str) -> None:
    fleet = prepared()
    upgraded(fleet["s"], running)
    fleet["s"]["prepared"] = None
    assert planned(fleet)["pin"] == running
    assert left(fleet, "s") == set()
    assert left(fleet, "w1") == (set() if running == "sha256:1" else {"version"})


ARGUMENTS = ["--ray-port-range", "42000-42999"]


def with_arguments(fleet: Fleet) -> set[str]:
    choices = {**NVIDIA, "w1": {**NVIDIA["w1"], "extra_args": ARGUMENTS}}
    plan = _plan.make_plan(fleet, plan_evidence.settings(choices=choices))
    return {part for part, needed in plan["hosts"]["w1"]["prepare"].items() if needed}


def test_arguments_of_the_operator_want_the_image_s_opinion_once() -> None:
    fleet = prepared()
    assert with_arguments(fleet) == {"version"}
    fleet["w1"]["prepared"]["arguments"] = ARGUMENTS
    assert with_arguments(fleet) == set()
    # Without them, the note speaks of another container.
    assert left(fleet, "w1") == {"version"}
