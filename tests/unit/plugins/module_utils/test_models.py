# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that ran: which they were, and whether v2's records prove that they run again."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _models, _plan, _plan_text
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence


def model(number: int = 1, **changes: Any) -> dict[str, Any]:
    record = {"id": number, "name": f"m{number}", "source": "huggingface", "reference": "x/y", "backend": "vllm"}
    return {**record, "backend_version": None, "replicas": 1, "ready_replicas": 1, **changes}


def instance(number: int = 1, of: int = 1, **changes: Any) -> dict[str, Any]:
    record = {"id": number, "name": f"m{of}-{number}", "model_id": of, "model_name": f"m{of}", "worker_name": "w"}
    return {**record, "state": "running", "state_message": "", "updated": 100.0, **changes}


def judged(before: tuple[Any, Any], after: tuple[Any, Any]) -> dict[str, Any]:
    return _models.judge(_models.ran_before(*before), *after)[0]


def test_only_models_with_running_instances_ran() -> None:
    models = [model(1), model(2), model(3)]
    instances = [instance(1, of=1), instance(2, of=1), instance(3, of=2, state="pending")]
    found = _models.ran_before(models, instances)
    assert [(each["name"], [one["id"] for one in each["instances"]]) for each in found] == [("m1", [1, 2])]


def test_a_model_runs_when_v2_itself_says_so() -> None:
    verdict = judged(([model()], [instance()]), ([model()], [instance(updated=200.0)]))
    assert (verdict["runs"], verdict["problems"]) == (1, [])


def test_the_state_that_was_copied_along_proves_nothing() -> None:
    verdict = judged(([model()], [instance()]), ([model()], [instance()]))
    assert verdict["problems"] == [
        "0 of 1 instances run",
        "m1-1 on worker w is running, as it was copied, and not looked at by v2 since",
    ]


def test_a_new_instance_counts_for_one_that_is_gone() -> None:
    verdict = judged(([model()], [instance(1)]), ([model()], [instance(7, updated=200.0)]))
    assert verdict["problems"] == []


def test_what_does_not_run_is_listed_with_worker_state_and_message_without_markup() -> None:
    failed = instance(updated=200.0, state="error", state_message='No <a href="x">space</a> left')
    verdict = judged(([model()], [instance()]), ([model()], [failed]))
    assert verdict["problems"][1] == "m1-1 on worker w is error (No space left)"
    assert not verdict["hopeless"]


def test_fewer_replicas_by_choice_are_no_problem() -> None:
    before = ([model(replicas=2)], [instance(1), instance(2)])
    assert judged(before, ([model(replicas=1)], [instance(1, updated=200.0)]))["problems"] == []
    assert judged(before, ([model(replicas=0)], []))["problems"] == []
    assert judged(before, ([model(replicas=2)], [instance(1, updated=200.0)]))["problems"][0] == "1 of 2 instances run"


@pytest.mark.parametrize(
    ("changes", "after", "said"),
    [
        ({"backend": "llama-box"}, [model(backend="llama-box")], "llama-box"),
        ({"source": "ollama_library", "backend": None}, [], "Ollama library"),
        ({}, [], "has no such model"),
    ],
)
def test_what_cannot_come_back_says_why_and_is_not_waited_for(
    changes: dict[str, Any], after: list[Any], said: str
) -> None:
    verdict = judged(([model(**changes)], [instance()]), (after, []))
    assert said in verdict["problems"][0]
    assert verdict["hopeless"]


def test_a_version_that_v2_may_not_know_is_named() -> None:
    failed = [instance(updated=200.0, state="error")]
    verdict = judged(([model(backend_version="0.8.2")], [instance()]), ([model(backend_version="0.8.2")], failed))
    assert verdict["problems"][-1] == "it asks for version 0.8.2 of vllm, which v2 has to know"


def test_the_plan_has_them_from_the_servers_database() -> None:
    fleet = plan_evidence.fleet()
    database = fleet["s"]["installations"][0]["database"]
    database["models"], database["model_instances"] = [model()], [instance(worker_id=2, subordinate_worker_ids=[])]
    plan = _plan.make_plan(fleet, plan_evidence.settings())
    assert [each["name"] for each in plan["models"]] == ["m1"]
    assert "Models that ran: m1 (1)" in plan["text"]


def test_the_outcome_says_of_each_whether_it_runs_and_where_to_look() -> None:
    verdicts = _models.judge(
        _models.ran_before([model(1), model(2)], [instance(1, of=1), instance(2, of=2)]),
        [model(1), model(2)],
        [instance(1, of=1, updated=2.0), instance(2, of=2, updated=2.0, state="error", state_message="no room")],
    )
    lines = list(_plan_text.model_lines(verdicts))
    assert "  m1: ran 1 times, runs 1 times" in lines
    assert "  m2: DOES NOT RUN as before: 0 of 1 instances run; m2-2 on worker w is error (no room)" in lines
    assert "log/serve" in lines[-2]


def test_where_nothing_ran_nothing_is_said() -> None:
    assert list(_plan_text.model_lines([])) == []
