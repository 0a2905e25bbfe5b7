# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that turn what was registered for each host into the plan of a fleet's way back, and into its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.fleetops.gpustack.plugins.filter.plan import gathered, without_invocation
from ansible_collections.fleetops.gpustack.plugins.module_utils import _rollback_plan, _rollback_text
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _settings


def rollback_plan(hostvars: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The plan of docs/architecture.md for the hosts of ``settings.servers`` and ``settings.workers``."""
    servers, workers = tuple(settings["servers"]), tuple(settings["workers"])
    evidence, unassessed = gathered(hostvars, dict.fromkeys([*servers, *workers]))
    asked: Mapping[str, Any] = hostvars[servers[0]] if len(servers) == 1 else {}
    changes = asked.get("gpustack_changes") or {}
    try:
        return _rollback_plan.make_plan(
            evidence,
            _rollback_plan.Settings(
                servers=servers,
                workers=workers,
                ignore_workers=_settings.names(settings, "ignore_workers"),
                accept_losses=_settings.flag(settings, "accept_rollback_losses"),
                unassessed=unassessed,
                changes=changes.get("changes"),
                changes_error=changes.get("msg"),
                fleet=(asked.get("gpustack_v2_fleet") or {}).get("workers"),
            ),
        )
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"fleetops.gpustack.rollback_plan: the evidence has an unexpected shape: {error!r}"
        ) from error


def rollback_outcome(made_plan: Mapping[str, Any], hostvars: Mapping[str, Any]) -> list[str]:
    """The report at the end of the way back, as lines."""
    return _rollback_text.outcome(made_plan, _results(made_plan, hostvars))


def rollback_report(made_plan: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """The same as data: the plan without its text, and what was registered for each host."""
    kept = {key: value for key, value in made_plan.items() if key != "text"}
    return {"plan": kept, "results": _results(made_plan, hostvars)}


def _results(made_plan: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    registered = {"restored": "gpustack_restored", "fleet": "gpustack_legacy_fleet"}
    return {
        host: {key: without_invocation(hostvars[host].get(name)) for key, name in registered.items()}
        for host in made_plan["hosts"]
    }


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "rollback_plan": rollback_plan,
            "rollback_outcome": rollback_outcome,
            "rollback_report": rollback_report,
        }
