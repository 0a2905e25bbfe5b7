# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roll-out variables leave the container: it is recreated without them in one short restart, or stays as it was."""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _container_spec, _switch_steps
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    NO_RESTART,
    Attempt,
    SwitchError,
    Work,
    free_name,
    from_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._carry_out import carry_out_if_needed, facts_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, label_of, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import (
    CLEANED,
    DONE,
    STARTED,
    newest_entries,
    outcome_of,
    seconds_of,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._situation import accepted


def run(params: Mapping[str, Any], check_mode: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """`state=finalized`."""
    return carry_out_if_needed(params, check_mode, _found, report, lambda work, _before: _finalize(work))


def settle(work: Work) -> bool:
    """Bring a finalize that was interrupted to one of its two ends; whether that was the good one."""
    interrupted, answered = _interrupted(work)
    if answered:
        _complete(work)
    elif interrupted:
        _put_back(work)
    return answered


def _interrupted(work: Work) -> tuple[bool, bool]:
    """Whether a finalize was begun and not ended, and whether its new container had answered by then."""
    marks = [(entry["step"], entry["state"]) for entry in work.journal.entries()]
    begun = _last(marks, ("finalize_begin", STARTED))
    ended = max(_last(marks, ("finalize_done", DONE)), _last(marks, ("finalize_undone", DONE)))
    if begun < 0 or begun < ended:
        return False, False
    return True, _last(marks, ("finalize_ready", DONE)) > begun


def _last(marks: list[tuple[str, str]], wanted: tuple[str, str]) -> int:
    return max((index for index, mark in enumerate(marks) if mark == wanted), default=-1)


def _found(params: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, and whether it differs from what is asked for."""
    entries = newest_entries(params["state_dir"])
    outcome = outcome_of(entries)
    if outcome not in ("upgraded", "finalized", CLEANED, "unfinished"):
        raise SwitchError("This host was not upgraded by fleetops.gpustack, so there is nothing to finalize.")
    if outcome == "unfinished" and not accepted(entries):
        raise SwitchError(
            f"Attempt {entries[0]['attempt']} was interrupted before its new container was accepted, or on its way "
            "back, so there is nothing to finalize. Run playbooks/upgrade.yml or playbooks/rollback.yml again."
        )
    attempt = from_entries(entries)
    result: dict[str, Any] = {"changed": False, "outcome": outcome, "warnings": [], **facts_of(attempt)}
    if outcome in ("finalized", CLEANED):
        return result
    saved = _saved(attempt)
    result["changed"] = outcome == "unfinished" or bool(saved["rollout"]) or attempt.serves
    if result["changed"]:
        inspect = DockerReader(params["docker_host"]).inspect
        _require_own(attempt, [inspect(name) for name in (attempt.container_name, attempt.rollout_name)])
        lasting = _lasting(attempt, saved)
        result["diff"] = _container_spec.difference(_with_policy(saved["spec"], attempt), lasting)
    return result


def _require_own(attempt: Attempt, records: list[dict[str, Any] | None]) -> None:
    """Nothing but the attempt's own containers may be stopped, renamed or removed."""
    there = [record for record in records if record is not None]
    foreign = [name_of(record) for record in there if label_of(record, _container_spec.ATTEMPT_LABEL) != attempt.name]
    if foreign or not there:
        what = f"Container {foreign[0]} is not the one" if foreign else f"Container {attempt.container_name} is gone"
        raise SwitchError(
            f"{what} that attempt {attempt.name} made; nothing was changed. Put that one back under the name "
            f"{attempt.container_name}, or go back with state=legacy."
        )


def _saved(attempt: Attempt) -> dict[str, Any]:
    """The definition under which the v2 container was created."""
    try:
        with open(attempt.spec_file, encoding="utf-8") as saved:
            found: dict[str, Any] = json.load(saved)
    except FileNotFoundError:
        raise SwitchError(
            f"{attempt.spec_file} is gone, so the container cannot be recreated as it was. Its roll-out variables are "
            "harmless once all workers are back, but failover stays off; recreate the container by hand without them."
        ) from None
    return found


def _lasting(attempt: Attempt, saved: Mapping[str, Any]) -> dict[str, Any]:
    environment = {name: value for name, value in saved["spec"]["environment"].items() if name not in saved["rollout"]}
    return _with_policy({**saved["spec"], "environment": environment}, attempt)


def _with_policy(spec: Mapping[str, Any], attempt: Attempt) -> dict[str, Any]:
    policy = attempt.lasting_policy
    return _container_spec.with_restart_policy(spec, policy["Name"], policy.get("MaximumRetryCount", 0))


def _finalize(work: Work) -> dict[str, Any]:
    saved = _saved(work.attempt)
    _begun, answered = _interrupted(work)
    try:
        if not answered:
            with work.journal.step("finalize_begin"):
                # An interrupted one is done again from its beginning, without a start of the container that will go.
                _take_name_back(work)
            if saved["rollout"]:
                _recreate(work, saved)
    except Exception as error:  # the server must serve, with or without these variables
        _put_back(work)
        return {
            "failed": True,
            "outcome": "upgraded",
            "msg": f"{error} The container with the roll-out variables serves again; until it is finalized, failover "
            "of model instances is off. Remove the cause and run again.",
        }
    _complete(work)
    return _finalized(work, saved)


def _finalized(work: Work, saved: Mapping[str, Any]) -> dict[str, Any]:
    name = work.attempt.container_name
    record = work.engine.inspect(name)
    if record is None:
        raise SwitchError(f"Container {name} was removed right after it was finalized; see who did, and go back.")
    container = {
        "name": name,
        "id": record["Id"],
        "image": work.attempt.image,
        "started": seconds_of(record["State"]["StartedAt"]),
    }
    return {"outcome": "finalized", "removed_environment": saved["rollout"], "container": container}


def _recreate(work: Work, saved: Mapping[str, Any]) -> None:
    attempt, engine, journal = work.attempt, work.engine, work.journal
    spec = _container_spec.with_restart_policy(_lasting(attempt, saved), "no")
    with journal.step("finalize_stop"):
        engine.set_restart_policy(attempt.container_name, NO_RESTART)
        engine.stop(attempt.container_name, work.params["stop_timeout"])
    with journal.step("finalize_retire"):
        engine.rename(attempt.container_name, attempt.rollout_name)
    with journal.step("finalize_create"):
        container = engine.create(attempt.container_name, _container_spec.create_body(spec))
    with journal.step("finalize_start"):
        engine.start(container)
    with journal.step("finalize_ready"):
        _switch_steps.wait_for_container(work, container)


def _complete(work: Work) -> None:
    """The new container is proven: it gets the lasting restart policy, and its predecessor goes. Volumes stay."""
    with work.journal.step("finalize_done"):
        work.engine.set_restart_policy(work.attempt.container_name, work.attempt.lasting_policy)
        if work.engine.inspect(work.attempt.rollout_name) is not None:
            work.engine.remove(work.attempt.rollout_name)


def _put_back(work: Work) -> None:
    """The container with the roll-out variables serves again; its successor is put aside."""
    attempt, engine = work.attempt, work.engine
    with work.journal.step("finalize_undone"):
        _take_name_back(work)
        record = engine.inspect(attempt.container_name)
        if record is None or label_of(record, _container_spec.ATTEMPT_LABEL) != attempt.name:
            raise SwitchError(
                f"Neither {attempt.container_name} nor {attempt.rollout_name} is the container of attempt "
                f"{attempt.name}; put it back under the name {attempt.container_name}."
            )
        engine.start(record["Id"])
        engine.set_restart_policy(record["Id"], attempt.lasting_policy)
        _switch_steps.wait_for_container(work, record["Id"])


def _take_name_back(work: Work) -> None:
    """The container with the roll-out variables has its name again, running or not, where it had given it away."""
    attempt, engine = work.attempt, work.engine
    if engine.inspect(attempt.rollout_name) is not None:
        _put_successor_aside(work)
        engine.rename(attempt.rollout_name, attempt.container_name)


def _put_successor_aside(work: Work) -> None:
    attempt, engine = work.attempt, work.engine
    successor = engine.inspect(attempt.container_name)
    if successor is None:
        return
    if is_running(successor):
        engine.stop(successor["Id"], work.params["stop_timeout"])
    engine.rename(successor["Id"], free_name(attempt.container_name, f"failed-{attempt.name}", engine.names()))
