# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One piece of work on an attempt, detached and under the host's lock: for switch, way back and finalize alike."""

from __future__ import annotations

import os
import traceback
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _os_errors
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, Work, from_entries
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import run_detached
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import (
    FAULT_VARIABLE,
    Journal,
    newest_entries,
    outcome_of,
    parse_fault,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock


def carry_out_if_needed(
    params: Mapping[str, Any],
    check_mode: bool,
    find: Callable[[Mapping[str, Any]], dict[str, Any]],
    report: Callable[[str], None],
    action: Callable[[Work, dict[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Work on the newest attempt, unless what ``find`` sees under the lock is what was asked for already."""
    if check_mode:
        return find(params)
    with HostLock(params["state_dir"], params["run_id"]) as lock:
        found = find(params)
        if not found["changed"]:
            return found
        attempt = from_entries(newest_entries(params["state_dir"]))
        report(f"attempt {attempt.name}: {params['state']}")
        return {**found, **carry_out(params, attempt, lock, lambda work: action(work, found))}


def carry_out(
    params: Mapping[str, Any], attempt: Attempt, lock: HostLock, action: Callable[[Work], dict[str, Any]]
) -> dict[str, Any]:
    """Do the work in a detached process, wait for it, and return its result."""
    fault = parse_fault(os.environ.get(FAULT_VARIABLE))

    def work_as_child() -> dict[str, Any]:
        warnings: list[str] = []
        journal = Journal(params["state_dir"], attempt.name, fault)
        try:
            lock.sign()
            result = action(Work(params, attempt, Engine(params["docker_host"]), journal, warnings.append))
        except Exception as error:  # the operator has to learn what follows from it
            traceback.print_exc()  # into the log of the attempt
            result = _cut_off(error, outcome_of(journal.entries()))
        return {"changed": True, **facts_of(attempt), **result, "steps": journal.steps, "warnings": warnings}

    return run_detached(work_as_child, params["state_dir"], attempt.name, keep=[lock.fd])


def _cut_off(error: Exception, outcome: str) -> dict[str, Any]:
    return {
        "failed": True,
        "outcome": outcome,
        "msg": f"{sentence(error)} The work stopped there, and the journal knows how far it came: remove the cause and "
        "run the same command again, it continues or goes back.",
    }


def sentence(error: Exception) -> str:
    """What an exception says, as a sentence to which others can be added."""
    text = _os_errors.explain(error)
    return text if text.endswith((".", "!", "?")) else text + "."


def facts_of(attempt: Attempt) -> dict[str, Any]:
    """What every result says of an attempt."""
    return {"attempt": attempt.name, "backup": attempt.backup, "release": attempt.release, "role": attempt.role}
