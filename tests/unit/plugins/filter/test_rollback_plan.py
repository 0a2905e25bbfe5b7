# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the way back take what the roles registered."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.fleetops.gpustack.plugins.filter import rollback_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

SETTINGS = {"servers": ["s"], "workers": ["w1"], "ignore_workers": [], "accept_rollback_losses": False}


def hostvars() -> dict[str, dict[str, Any]]:
    return {"s": {"gpustack_node_info": plan_evidence.server()}, "w1": {"gpustack_node_info": plan_evidence.worker(1)}}


def test_a_fleet_that_was_never_upgraded_has_nothing_to_take_back() -> None:
    plan = rollback_plan.rollback_plan(hostvars(), SETTINGS)
    assert plan["refusals"] == []
    assert {decision["action"] for decision in plan["hosts"].values()} == {"none"}


def test_why_a_host_could_not_be_assessed_is_said() -> None:
    found = hostvars()
    found["w1"] = {"gpustack_node_info": {"unreachable": True, "msg": "Failed to connect to the host"}}
    (refusal,) = rollback_plan.rollback_plan(found, SETTINGS)["refusals"]
    assert refusal["host"] == "w1"
    assert "Failed to connect" in refusal["cause"]


def test_evidence_of_another_shape_is_an_error_of_the_filter() -> None:
    found = hostvars()
    del found["s"]["gpustack_node_info"]["journal"]
    with pytest.raises(AnsibleFilterError, match="journal"):
        rollback_plan.rollback_plan(found, SETTINGS)


def test_the_report_holds_no_text_and_no_invocation() -> None:
    found = hostvars()
    plan = rollback_plan.rollback_plan(found, SETTINGS)
    found["s"]["gpustack_restored"] = {"changed": True, "outcome": "restored", "invocation": {"module_args": {}}}
    report = rollback_plan.rollback_report(plan, found)
    assert "text" not in report["plan"]
    assert report["results"]["s"]["restored"] == {"changed": True, "outcome": "restored"}


def test_a_consent_that_was_denied_on_the_command_line_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(rollback_plan._rollback_plan, "make_plan", lambda _evidence, settings: seen.append(settings))
    for given in ("false", "true"):
        rollback_plan.rollback_plan(
            hostvars(), {**SETTINGS, "accept_rollback_losses": given, "ignore_workers": "w7,w8"}
        )
    assert [settings.accept_losses for settings in seen] == [False, True]
    assert seen[0].ignore_workers == ("w7", "w8")
