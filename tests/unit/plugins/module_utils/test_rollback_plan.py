# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who goes back, and every reason against it: one thing wrong, one refusal, one way out."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _rollback_plan, _rollback_text
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

Fleet = Dict[str, Dict[str, Any]]
ATTEMPT = "20261124T000000Z"
STOPPED_AT = 1000.0
ADDED_USER = {"kind": "user", "change": "added", "count": 1, "names": ["jörg"]}


def switched(node: dict[str, Any], role: str, outcome: str = "upgraded", in_use: bool = True) -> None:
    node["installations"][0].update(generation="v2", release="2.2.3", attempt=ATTEMPT)
    node["journal"].update(
        attempt=ATTEMPT,
        outcome=outcome,
        release="2.2.3",
        legacy_name="gpustack",
        container_name="gpustack",
        data_dir="/data/gpustack",
        backup="/var/backups/gpustack/" + ATTEMPT,
        role=role,
        stopped_at=STOPPED_AT,
        accepted=in_use,
        in_use=in_use,
    )
    node["way_back"] = {"legacy_container": "present", "obstacle": None}


def is_back(node: dict[str, Any], running: bool = True) -> None:
    """The host is on its legacy container again."""
    node["journal"].update(outcome="restored", in_use=False)
    node["installations"] = [plan_evidence.installation(node["journal"]["role"])]
    node["installations"][0]["running"] = running


@pytest.fixture
def fleet() -> Fleet:
    """A fleet that was upgraded as a whole."""
    found = plan_evidence.fleet()
    switched(found["s"], "server", "finalized")
    switched(found["w1"], "worker")
    switched(found["w2"], "worker")
    return found


def settings(**changes: Any) -> _rollback_plan.Settings:
    values: dict[str, Any] = {"servers": ("s",), "workers": ("w1", "w2"), "changes": [], "fleet": heard_of(1, 2)}
    values.update(changes)
    return _rollback_plan.Settings(**values)


def heard_of(*numbers: int, heartbeat: float = STOPPED_AT + 60) -> list[dict[str, Any]]:
    """Workers that reported to the v2 server."""
    return [
        {**plan_evidence.worker_row(number, gpus=2 if number == 2 else 0), "heartbeat": heartbeat} for number in numbers
    ]


def codes(evidence: Fleet, **changes: Any) -> set[tuple[str, str]]:
    plan = _rollback_plan.make_plan(evidence, settings(**changes))
    return {(refusal["host"], refusal["code"]) for refusal in plan["refusals"]}


def actions(plan: dict[str, Any]) -> dict[str, str]:
    return {host: decision["action"] for host, decision in plan["hosts"].items()}


def test_an_upgraded_fleet_goes_back_whole_also_after_it_was_finalized(fleet: Fleet) -> None:
    plan = _rollback_plan.make_plan(fleet, settings())
    assert plan["refusals"] == []
    assert actions(plan) == {"s": "back", "w1": "back", "w2": "back"}
    assert [worker["name"] for worker in plan["workers"]] == ["worker-1", "worker-2"]


@pytest.mark.parametrize("outcome", ["unfinished", "failed", "upgraded", "finalized"])
def test_it_goes_back_from_every_state(fleet: Fleet, outcome: str) -> None:
    fleet["w1"]["journal"]["outcome"] = outcome
    assert actions(_rollback_plan.make_plan(fleet, settings()))["w1"] == "back"


def test_a_host_that_was_never_upgraded_is_told_of_and_is_no_error(fleet: Fleet) -> None:
    fleet["w2"] = plan_evidence.worker(2)
    plan = _rollback_plan.make_plan(fleet, settings())
    assert plan["refusals"] == []
    assert actions(plan)["w2"] == "none"
    assert any(line.startswith("w2: nothing to take back") for line in plan["text"])


@pytest.mark.parametrize(("running", "action"), [(True, "none"), (False, "start")])
def test_a_host_that_is_back_is_only_started_where_it_does_not_run(fleet: Fleet, running: bool, action: str) -> None:
    is_back(fleet["w1"], running)
    assert actions(_rollback_plan.make_plan(fleet, settings()))["w1"] == action


def test_a_fleet_that_is_back_needs_nothing_and_asks_nothing(fleet: Fleet) -> None:
    for node in fleet.values():
        is_back(node)
    plan = _rollback_plan.make_plan(fleet, settings(changes=None, fleet=None))
    assert plan["refusals"] == []
    assert set(actions(plan).values()) == {"none"}


def test_the_server_alone_is_refused_by_the_name_of_each_worker_that_is_left(fleet: Fleet) -> None:
    plan = _rollback_plan.make_plan({"s": fleet["s"]}, settings(workers=()))
    assert [refusal["code"] for refusal in plan["refusals"]] == ["worker_not_in_run"] * 2
    assert "worker-1" in plan["refusals"][0]["cause"]
    assert "gpustack_ignore_workers" in plan["refusals"][0]["way_out"]


def test_a_worker_that_is_left_out_by_name_is_not_missed(fleet: Fleet) -> None:
    del fleet["w2"]
    assert codes(fleet, workers=("w1",), ignore_workers=("worker-2",)) == set()


def test_a_worker_that_the_v2_server_never_heard_of_is_not_missed(fleet: Fleet) -> None:
    del fleet["w2"]
    assert codes(fleet, workers=("w1",), fleet=heard_of(1) + heard_of(2, heartbeat=STOPPED_AT - 1)) == set()
    assert codes(fleet, workers=("w1",), fleet=heard_of(1)) == set()


def test_without_the_v2_server_every_worker_that_was_ready_is_missed(fleet: Fleet) -> None:
    del fleet["w2"]
    assert codes(fleet, workers=("w1",), fleet=None) == {("fleet", "worker_not_in_run")}


def test_before_acceptance_no_worker_can_have_followed(fleet: Fleet) -> None:
    switched(fleet["s"], "server", "unfinished", in_use=False)
    assert codes({"s": fleet["s"]}, workers=(), fleet=None, changes=None) == set()


def test_workers_without_their_server_are_refused(fleet: Fleet) -> None:
    del fleet["s"]
    assert codes(fleet, servers=()) == {("fleet", "server_not_in_run")}


def test_a_v2_server_of_somebody_else_is_refused(fleet: Fleet) -> None:
    fleet["s"]["journal"].update(outcome="none")
    assert codes(fleet) == {("s", "server_not_switched")}


def test_two_servers_in_one_run_are_refused(fleet: Fleet) -> None:
    assert ("fleet", "several_servers") in codes(fleet, servers=("s", "t"))


def test_a_locked_host_is_refused_with_who_and_since_when(fleet: Fleet) -> None:
    fleet["w1"]["lock"] = {"held": True, "pid": 7, "since": "2026-11-24T00:00:00Z", "run": "20261124T000001Z"}
    plan = _rollback_plan.make_plan(fleet, settings())
    (refusal,) = plan["refusals"]
    assert (refusal["host"], refusal["code"]) == ("w1", "locked")
    assert "process 7" in refusal["cause"]
    assert "since 2026-11-24T00:00:00Z" in refusal["cause"]


def test_a_host_without_a_way_back_is_refused_before_any_other_is_touched(fleet: Fleet) -> None:
    fleet["w2"]["way_back"].update(legacy_container="removed", obstacle="The image is gone. Bring it back.")
    plan = _rollback_plan.make_plan(fleet, settings())
    (refusal,) = plan["refusals"]
    assert refusal == {"host": "w2", "code": "no_way_back", "cause": "The image is gone", "way_out": "Bring it back."}


def test_after_the_clean_up_there_is_no_way_back(fleet: Fleet) -> None:
    fleet["w1"]["journal"]["outcome"] = "cleaned"
    fleet["w1"]["way_back"].update(legacy_container="removed", obstacle="It was cleaned up. Restore a backup.")
    assert codes(fleet) == {("w1", "no_way_back")}


def test_a_removed_container_that_can_be_made_again_is_announced(fleet: Fleet) -> None:
    fleet["w2"]["way_back"]["legacy_container"] = "removed"
    plan = _rollback_plan.make_plan(fleet, settings())
    assert plan["refusals"] == []
    assert any("made again from its saved definition" in line for line in plan["text"])


def test_a_host_that_could_not_be_assessed_is_refused(fleet: Fleet) -> None:
    del fleet["w2"]
    found = codes(fleet, unassessed={"w2": "UNREACHABLE"}, ignore_workers=("worker-2",))
    assert found == {("w2", "not_assessed")}


def test_what_people_changed_is_listed_and_refused_by_the_name_of_the_variable(fleet: Fleet) -> None:
    plan = _rollback_plan.make_plan(fleet, settings(changes=[ADDED_USER]))
    (refusal,) = plan["refusals"]
    assert refusal["code"] == "rollback_losses"
    assert "user added: jörg" in refusal["cause"]
    assert "gpustack_accept_rollback_losses: true" in refusal["way_out"]


def test_accepted_changes_are_listed_and_no_refusal(fleet: Fleet) -> None:
    plan = _rollback_plan.make_plan(fleet, settings(changes=[ADDED_USER], accept_losses=True))
    assert plan["refusals"] == []
    assert "  user added: jörg" in plan["text"]


def test_a_v2_server_that_does_not_answer_asks_for_the_same_variable(fleet: Fleet) -> None:
    changed = {"changes": None, "changes_error": "connection refused."}
    plan = _rollback_plan.make_plan(fleet, settings(**changed))
    (refusal,) = plan["refusals"]
    assert refusal["code"] == "rollback_losses_unknown"
    assert "(connection refused)" in refusal["cause"]
    assert codes(fleet, accept_losses=True, **changed) == set()


def test_a_way_back_that_was_begun_does_not_ask_again(fleet: Fleet) -> None:
    fleet["s"]["journal"].update(outcome="unfinished", in_use=False)
    assert codes(fleet, changes=None) == set()


RESTORED = {
    "outcome": "restored",
    "legacy_container": "gpustack",
    "downtime": 12.34,
    "restored_files": ["token (content)"],
    "restored_modes": {"/data/gpustack": "0750"},
    "set_aside": {"containers": ["gpustack-failed-x"], "directories": ["/data/gpustack/.gpustack-v2-x"]},
    "stopped_models": [],
    "recreated": True,
}


def test_it_says_what_was_put_right_and_where_v2s_things_are(fleet: Fleet) -> None:
    plan = _rollback_plan.make_plan(fleet, settings())
    text = "\n".join(_rollback_text.outcome(plan, {"s": {"restored": RESTORED}}))
    for part in ("down for 12.3 s", "token (content)", "0750", "gpustack-failed-x", ".gpustack-v2-x", "made again"):
        assert part in text


def test_workers_are_shown_before_and_after(fleet: Fleet) -> None:
    plan = _rollback_plan.make_plan(fleet, settings())
    text = "\n".join(_rollback_text.outcome(plan, {"s": {"fleet": {"workers": heard_of(1, 2)}}}))
    assert "worker-2 (id 2): was ready, 2 GPUs (H100); is ready, 2 GPUs (H100)" in text


def test_a_host_that_did_not_get_back_is_said_to_be_so(fleet: Fleet) -> None:
    plan = _rollback_plan.make_plan(fleet, settings())
    text = _rollback_text.outcome(plan, {"s": {"restored": RESTORED}, "w1": {"restored": {"failed": True}}})
    assert [line for line in text if line.startswith("w1: NOT back")]
