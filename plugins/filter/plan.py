# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that turn what was registered for each host into the fleet's plan, and into the report of its outcome."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _plan,
    _plan_runner_images,
    _plan_text,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import Settings
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _settings

# Host variables that the plan looks at; of those that hold secrets it needs to know only whether they are set.
CHOICES = ("gpu_vendor", "legacy_container", "container_name", "network", "extra_args", "extra_env", "extra_volumes")
SECRET_CHOICES = ("token", "server_url")

# Variables that Ansible templates without the inventory when it forms batches.
EXTRA_ONLY = ("gpustack_batches", "gpustack_max_fail_percentage")


def plan(hostvars: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The plan of docs/architecture.md for the hosts of ``settings.servers`` and ``settings.workers``."""
    hosts = list(dict.fromkeys([*settings["servers"], *settings["workers"]]))
    evidence, unassessed = gathered(hostvars, hosts)
    try:
        return _plan.make_plan(
            evidence,
            Settings(
                release=str(settings["release"]),
                image=settings["image"],
                run_id=settings["run_id"],
                servers=tuple(settings["servers"]),
                workers=tuple(settings["workers"]),
                vendors=dict(settings["vendors"]),
                allow_unproven=_settings.flag(settings, "allow_unproven"),
                accept_losses=_settings.names(settings, "accept_losses"),
                ignore_workers=_settings.names(settings, "ignore_workers"),
                fix_permissions=_settings.flag(settings, "fix_permissions"),
                mend_wrecks=_settings.flag(settings, "mend_wrecks"),
                image_size=int(settings["image_size"]),
                image_archive=settings["image_archive"],
                archive_size=_archive_size(settings["image_archive"]),
                backup_fetch_dir=settings["backup_fetch_dir"],
                runner_image_size=int(settings["runner_image_size"]),
                runner_archive_size=_archive_size(settings["runner_images_archive"]),
                default_registry=settings["default_registry"],
                inventory_only_extra=_inventory_only(hosts, hostvars),
                unassessed=unassessed,
                choices={host: _choices(hostvars[host]) for host in hosts},
            ),
        )
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"fleetops.gpustack.plan: the evidence has an unexpected shape: {error!r}") from error


def _archive_size(path: str) -> int | None:
    """Size of the image archive where it lies on the controller; one that lies on the hosts is not copied."""
    archive = os.path.expanduser(path)
    return os.path.getsize(archive) if os.path.isfile(archive) else None


def gathered(hostvars: Mapping[str, Any], hosts: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The evidence of the hosts that could be assessed, and of the others why not."""
    evidence: dict[str, Any] = {}
    unassessed: dict[str, str] = {}
    for host in hosts:
        registered = hostvars[host].get("gpustack_node_info") or {}
        if "engine" in registered:
            evidence[host] = registered
        else:
            unassessed[host] = _reason(registered)
    return evidence, unassessed


def _reason(registered: Mapping[str, Any]) -> str:
    for key in ("msg", "module_stderr", "module_stdout"):
        if registered.get(key):
            return str(registered[key]).strip().splitlines()[-1]
    return "UNREACHABLE"


def _choices(variables: Mapping[str, Any]) -> dict[str, Any]:
    choices = {name: variables.get("gpustack_" + name) for name in CHOICES}
    choices.update({name: bool(variables.get("gpustack_" + name)) or None for name in SECRET_CHOICES})
    choices["gpu_devices"] = _devices(variables.get("gpustack_gpu_devices"))
    choices["runner_images"] = _runner_images(variables.get("gpustack_runner_images"))
    choices["groups"] = list(variables.get("group_names") or [])
    choices["token_digest"] = _digest(variables.get("gpustack_salt"), variables.get("gpustack_token"))
    return choices


def _devices(given: Any) -> list[str]:
    """The devices that a host is restricted to; none, or ``all``, for all."""
    found = _settings.names({"gpu_devices": given or []}, "gpu_devices")
    return [] if found == ("all",) else list(found)


def _runner_images(given: Any) -> Any:
    """None, a word, or references; a text is one whose elements are separated by commas."""
    if given is None or given in _plan_runner_images.WORDS:
        return given
    return list(_settings.names({"runner_images": given}, "runner_images"))


def _digest(salt: Any, token: Any) -> str | None:
    """The token that was given, in the form in which `node_info` reports those that it finds."""
    return hashlib.sha256(f"{salt}{token}".encode()).hexdigest() if salt and token else None


def _inventory_only(hosts: Iterable[str], hostvars: Mapping[str, Any]) -> tuple[str, ...]:
    """Batch variables that a host has from the inventory and the command line does not give."""
    extra = load_extra_vars(DataLoader())
    return tuple(name for name in EXTRA_ONLY if name not in extra and any(name in hostvars[host] for host in hosts))


def outcome(made_plan: Mapping[str, Any], hostvars: Mapping[str, Any]) -> list[str]:
    """The report at the end of an upgrade, as lines."""
    return _plan_text.outcome(made_plan, _results(made_plan, hostvars))


def report(made_plan: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """The same as data: the plan without its text, and what was registered for each host."""
    kept = {key: value for key, value in made_plan.items() if key != "text"}
    results = _results(made_plan, hostvars)
    server = results.get(made_plan["server"] or "", {})
    models = {
        "ran": made_plan["models"],
        "now": (server.get("fleet") or {}).get("model_judgements"),
        "recreated": (server.get("recreated") or {}).get("recreated", []),
    }
    return {"plan": kept, "results": results, "models": models}


def _results(made_plan: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    registered = {
        "switched": "gpustack_switched",
        "fleet": "gpustack_fleet",
        "finalized": "gpustack_finalized",
        "recreated": "gpustack_recreated",
    }
    return {
        host: {key: without_invocation(hostvars[host].get(name)) for key, name in registered.items()}
        for host in made_plan["hosts"]
    }


def without_invocation(result: Any) -> dict[str, Any]:
    """A registered result; a skipped task registers nothing of use."""
    if not result or result.get("skipped"):
        return {}
    return {key: value for key, value in result.items() if key not in ("invocation", "diff")}


def expected_workers(
    made_plan: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Iterable[str] | None = None
) -> list[dict[str, Any]]:
    """The server's records of the workers on those of ``hosts`` whose switch went well; of all workers without hosts.

    A worker that had no uuid has the one that its switch wrote for it.
    """
    decisions, written = made_plan["hosts"], {}
    for host, decision in decisions.items():
        identity = (hostvars[host].get("gpustack_switched") or {}).get("worker") or {}
        if decision["worker"] and identity.get("uuid"):
            written[decision["worker"]["id"]] = identity["uuid"]
    if hosts is None:
        workers = made_plan["workers"]
    else:
        went_well = [host for host in hosts if not hostvars[host].get("gpustack_switched", {}).get("failed")]
        workers = [decisions[host]["worker"] for host in went_well if decisions[host]["worker"]]
    return [{**worker, "uuid": worker["uuid"] or written.get(worker["id"], "")} for worker in workers]


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "plan": plan,
            "outcome": outcome,
            "report": report,
            "problem_line": _plan_text.problem_line,
            "expected_workers": expected_workers,
        }
