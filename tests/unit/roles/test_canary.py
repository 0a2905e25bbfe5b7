# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canary's READY must last, as the role's own files say: it speaks for all workers that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles" / "gpustack"
#: A server's look at a worker that began during its switch is written this many seconds later at most.
A_LOOK = 20


def templated(text: str, **variables: Any) -> Any:
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def role_vars() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))
    return found


def waits(tasks: Any) -> list[dict[str, Any]]:
    """The arguments of every look at the fleet, in blocks too."""
    found = []
    for task in tasks or []:
        if "fleetops.gpustack.fleet_info" in task:
            found.append(task["fleetops.gpustack.fleet_info"])
        for part in ("block", "rescue", "always"):
            found += waits(task.get(part))
    return found


def settle_of(name: str, **variables: Any) -> Any:
    (look,) = waits(yaml.safe_load((ROLE / "tasks" / name).read_text(encoding="utf-8")))
    return templated(look["settle"], gpustack_settle=role_vars()["gpustack_settle"], **variables)


@pytest.mark.parametrize(
    ("batch", "canary"), [(["w1"], True), (["w2"], False), (["w1", "w2"], False), (["w2", "w3"], False)]
)
def test_the_first_batch_of_one_host_is_the_canary_and_has_to_last(batch: list[str], canary: bool) -> None:
    hosts = ["w1", "w2", "w3"]
    is_canary = templated(role_vars()["gpustack_is_canary"], ansible_play_batch=batch, ansible_play_hosts_all=hosts)
    assert is_canary is canary
    assert settle_of("worker.yml", gpustack_is_canary=is_canary) == (A_LOOK if canary else 0)


@pytest.mark.parametrize(("action", "seconds"), [("switch", A_LOOK), ("resume", A_LOOK), ("none", 0)])
def test_the_verification_holds_all_to_it_after_a_switch(action: str, seconds: int) -> None:
    plan = {"hosts": {"s": {"action": "none"}, "w1": {"action": action}}}
    to_switch = templated(role_vars()["gpustack_hosts_to_switch"], gpustack_plan=plan)
    assert settle_of("verify_fleet.yml", gpustack_hosts_to_switch=to_switch) == seconds
    # A look of before the server's restart does not outlive it.
    assert settle_of("verify_fleet.yml", gpustack_hosts_to_switch=to_switch, gpustack_verify_since=1.5) == 0
