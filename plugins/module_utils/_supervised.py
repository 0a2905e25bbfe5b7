# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy container that its stop deletes (--rm), or that a systemd unit keeps: taken over, and given back as it was.

Before such a container is stopped, a copy of it is made from its definition under the retired name, without --rm. It is
never started; it stands for the container on the way back, and because it mounts the same volumes, the engine does not
delete anonymous ones together with the container. What belongs to a running container alone, --rm and the unit, comes
back when it is started: the engine deletes a stopped --rm container when it starts itself.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gates, _systemd_unit, _way_back
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import NO_RESTART, SwitchError, Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import MissingError, is_running, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._recreate import legacy_record, recreate

NEVER_STARTED = "created"


def keep_copy(work: Work, definition: Mapping[str, Any]) -> str:
    """Make the copy where the container is still one that its stop deletes; the id of what will be left of it."""
    record = _legacy(work)
    if not record["HostConfig"]["AutoRemove"] and not is_running(record):
        return str(record["Id"])  # the copy of an earlier try
    drop_copy(work)
    host = {**definition["HostConfig"], "AutoRemove": False, "RestartPolicy": NO_RESTART}
    return recreate(work.engine, {**definition, "HostConfig": host}, work.attempt.retired_name)


def drop_copy(work: Work) -> None:
    """Remove a copy that was never started and that the container itself has made superfluous. Volumes stay."""
    if work.attempt.is_unit:
        return
    copy, record = work.engine.inspect(work.attempt.retired_name), legacy_record(work)
    if copy is None or record is None or copy["Id"] == record["Id"]:
        return
    if copy["State"]["Status"] == NEVER_STARTED:
        work.engine.remove(copy["Id"])


def stop(work: Work) -> str:
    """Stop the container so that nothing revives it; one that its stop deletes is gone then. When it was started."""
    if work.attempt.unit:
        _systemd_unit.switch_off(work.attempt.unit, work.params["run_command"])
    record = _legacy(work)
    if work.attempt.is_unit:
        return _ended(record)
    removes_itself = record["HostConfig"]["AutoRemove"] and record["State"]["Status"] != NEVER_STARTED
    with contextlib.suppress(MissingError):  # its unit may have removed it meanwhile
        if not record["HostConfig"]["AutoRemove"]:
            work.engine.set_restart_policy(record["Id"], NO_RESTART)
        work.engine.stop(record["Id"], work.params["stop_timeout"])
        if removes_itself:
            work.engine.wait_removed(record["Id"])
    return str(record["State"]["StartedAt"])


def _ended(record: Mapping[str, Any]) -> str:
    """Of a unit that does not run systemd knows no start; one that runs again was started by somebody."""
    if is_running(record):
        raise SwitchError(
            f"Unit {name_of(record)} was stopped and runs again: something starts it ('systemctl status "
            f"{name_of(record)}'). Take that away, then run again."
        )
    return str(record["State"]["StartedAt"])


def start(work: Work) -> None:
    """Start the container as it was started before: by the engine or by its unit, with --rm where it had that."""
    unit = work.attempt.unit
    if unit and work.attempt.is_unit:
        _systemd_unit.switch_on({**unit, "active": True}, work.params["run_command"])
        return
    by_unit = bool(unit and unit["active"])
    if unit and by_unit and unit["makes"]:
        _leave_name(work)
    else:
        record = _as_it_was(work)
        if not by_unit and not is_running(record):
            work.engine.start(record["Id"])
    if unit:
        _systemd_unit.switch_on(unit, work.params["run_command"])
    if by_unit:
        _note(work, _wait_until_it_runs(work))


def _legacy(work: Work) -> dict[str, Any]:
    record = legacy_record(work)
    if record is None:
        raise SwitchError(
            f"The legacy container {work.attempt.legacy_name} is gone. Its definition lies in "
            f"{work.attempt.backup}/container.json: create it anew from there, and remove nothing."
        )
    return record


def _leave_name(work: Work) -> None:
    """A unit that makes the container needs its name; the container that has it steps aside, unless it runs already."""
    record = _legacy(work)
    if not is_running(record) and name_of(record) != work.attempt.retired_name:
        work.engine.rename(record["Id"], work.attempt.retired_name)


def _as_it_was(work: Work) -> dict[str, Any]:
    """The container with --rm, where it was started with that; its copy stays until this one serves."""
    attempt, record = work.attempt, _legacy(work)
    if not attempt.kept_by.get("auto_remove") or record["HostConfig"]["AutoRemove"]:
        return record
    definition = _way_back.definition(attempt)
    if definition is None:
        return record  # it was not even stopped
    if name_of(record) != attempt.retired_name:
        work.engine.rename(record["Id"], attempt.retired_name)
    with work.journal.step("recreate") as found:
        found["container"] = recreate(
            work.engine, definition, attempt.legacy_name, _way_back.archive(attempt, definition)
        )
    return _legacy(work)


def _wait_until_it_runs(work: Work) -> str:
    """systemd starts `docker` and returns; the id of the container that this starts."""
    attempt, seconds = work.attempt, work.params["ready_timeout"]
    deadline = time.monotonic() + seconds
    while True:
        record = work.engine.inspect(attempt.legacy_name)
        if record is not None and is_running(record):
            return str(record["Id"])
        if time.monotonic() > deadline:
            unit = (attempt.unit or {})["name"]
            raise _gates.GateError(
                f"Unit {unit} was started, but container {attempt.legacy_name} does not run after {seconds:g} seconds; "
                f"see 'systemctl status {unit}'."
            )
        time.sleep(_gates.POLL_SECONDS)


def _note(work: Work, container: str) -> None:
    """The journal knows the container that a unit has made."""
    if container != work.attempt.legacy_id:
        with work.journal.step("recreate") as found:
            found["container"] = container
