# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything back: v2's containers and files aside, the legacy files proven, the old container under its name.

Every action looks first whether it is done already, so that a way back that was interrupted is simply walked again.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _data_dir_changes, _endpoints, _gates, _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    NO_RESTART,
    SET_ASIDE_PREFIX,
    Attempt,
    SwitchError,
    Work,
    created_by,
    describe,
    free_name,
    from_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._carry_out import carry_out, facts_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import (
    DONE,
    STARTED,
    last_detail,
    newest_attempt,
    read_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import summary as journal_summary
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock


def run(params: Mapping[str, Any], check_mode: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """`state=legacy`. A host that was never switched, or is back already, stays as it is."""
    if check_mode:
        return _found(params)
    with HostLock(params["state_dir"], params["run_id"]) as lock:
        found = _found(params)
        if not found["changed"]:
            return found
        attempt = _newest(params)
        report(f"attempt {attempt.name}: back to the legacy container")
        return {**found, **carry_out(params, attempt, lock, lambda work: _back(work, found["outcome"]))}


def _newest(params: Mapping[str, Any]) -> Attempt:
    entries = read_entries(params["state_dir"])
    newest = newest_attempt(entries)
    return from_entries([entry for entry in entries if entry["attempt"] == newest])


def _found(params: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, and whether it differs from what is asked for."""
    summary = journal_summary(params["state_dir"])
    if summary["outcome"] == "none":
        return {"changed": False, "outcome": "none", "warnings": []}
    attempt = _newest(params)
    running = False
    if summary["outcome"] == "restored":
        record = DockerReader(params["docker_host"]).inspect(attempt.legacy_id)
        running = record is not None and is_running(record)
    changed = summary["outcome"] != "restored" or (params["start"] and not running)
    return {"changed": changed, "outcome": summary["outcome"], "warnings": [], **facts_of(attempt)}


def _back(work: Work, outcome: str) -> dict[str, Any]:
    start = work.params["start"]
    if outcome == "restored":
        _hand_over(work, start)
    else:
        undo(work, start)
    return {"outcome": "restored", "legacy_container": work.attempt.legacy_name}


def go_back(work: Work) -> None:
    """Back to the legacy files and container, stopped: where the same attempt can begin again."""
    _walk(work, WAY_BACK)


def undo(work: Work, start: bool) -> None:
    """All the way back, which ends the attempt; the old container serves again when ``start`` is set."""
    _walk(work, WAY_BACK)
    _hand_over(work, start)


def _hand_over(work: Work, start: bool) -> None:
    with work.journal.step("undo_start", {"start": start}):
        _start_legacy(work, start)
    with work.journal.step("undo_done"):
        pass


def _walk(work: Work, steps: Mapping[str, Callable[[Work], dict[str, Any]]]) -> None:
    for name, action in steps.items():
        with work.journal.step(name) as found:
            found.update(action(work))


def _require_legacy(work: Work) -> dict[str, Any]:
    return {"legacy": name_of(_legacy(work))}


def _legacy(work: Work) -> dict[str, Any]:
    record = work.engine.inspect(work.attempt.legacy_id)
    if record is None:
        raise SwitchError(
            f"The legacy container {work.attempt.legacy_name} ({work.attempt.legacy_id[:12]}) is gone, so it cannot be "
            f"started again. Its definition lies in {work.attempt.backup}/container.json and its files in "
            f"{work.attempt.data_dir}: create it anew from them, and remove nothing."
        )
    return record


def _stop_v2(work: Work) -> dict[str, Any]:
    """Stop whatever this attempt created, before any file is moved."""
    stopped = []
    for record in work.engine.with_label(created_by(work.attempt)):
        if record["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no"):
            work.engine.set_restart_policy(record["Id"], NO_RESTART)
        if is_running(record):
            work.engine.stop(record["Id"], work.params["stop_timeout"])
            stopped.append(name_of(record))
    return {"stopped": stopped}


def _set_aside(work: Work) -> dict[str, Any]:
    attempt = work.attempt
    found: dict[str, Any] = {"container": None, "files": []}
    for record in work.engine.with_label(created_by(attempt)):
        if name_of(record) == attempt.container_name:
            found["container"] = free_name(attempt.container_name, f"failed-{attempt.name}", work.engine.names())
            work.engine.rename(record["Id"], found["container"])
    before = last_detail(work.journal.entries(), "stop", DONE)
    if before is not None:
        # Another version of this collection may have noted no entries.
        only_v2s = "entries" not in before or _legacy_ran_since_stop(work)
        entries = before.get("entries", ())
        found["files"] = _data_dir_changes.set_aside(attempt.data_dir, entries, attempt.name, only_v2s)
    return found


def _legacy_ran_since_stop(work: Work) -> bool:
    """Whether the old container was started after we stopped it last: its files are then newer than the backup."""
    stops = [entry for entry in work.journal.entries() if (entry["step"], entry["state"]) == ("stop", DONE)]
    # Both are ISO 8601 in UTC, so that text compares as time does.
    return not stops or _legacy(work)["State"]["StartedAt"][:23] > stops[-1]["time"][:23]


def _put_files_back(work: Work) -> dict[str, Any]:
    attempt = work.attempt
    restored: list[str] = []
    if os.path.exists(attempt.manifest) and not _legacy_ran_since_stop(work):
        manifest = _snapshot.read_manifest(attempt.backup)
        aside = os.path.join(attempt.data_dir, SET_ASIDE_PREFIX + attempt.name)
        _keep_changed(attempt.data_dir, manifest, aside)
        restored = _snapshot.restore_files(attempt.backup, attempt.data_dir, manifest, aside=aside)
    permissions = last_detail(work.journal.entries(), "permissions", STARTED) or {}
    _data_dir_changes.apply_modes({path: int(mode, 8) for path, mode in permissions.get("modes", {}).items()})
    return {"restored": restored}


def _keep_changed(data_dir: str, manifest: dict[str, Any], aside: str) -> None:
    """What v2 wrote into a legacy file is put aside before the old bytes come back."""
    for difference in _snapshot.compare_with(data_dir, manifest):
        if difference.what == "content":
            _snapshot.make_backup_dir(aside)
            shutil.copy2(os.path.join(data_dir, difference.name), os.path.join(aside, difference.name))


def _take_name_back(work: Work) -> dict[str, Any]:
    attempt = work.attempt
    if name_of(_legacy(work)) != attempt.legacy_name:
        work.engine.rename(attempt.legacy_id, attempt.legacy_name)
    return {}


def _prove(work: Work) -> dict[str, Any]:
    """The database is what was saved, byte for byte; nothing is started before that."""
    attempt = work.attempt
    if not os.path.exists(attempt.manifest) or _legacy_ran_since_stop(work):
        return {"proven": False}  # nothing was created before the backup was complete; or the files are newer than it
    changed = [
        difference
        for difference in _snapshot.compare_with(attempt.data_dir, _snapshot.read_manifest(attempt.backup))
        if difference.what in ("content", "absent", "present")
    ]
    if changed:
        names = ", ".join(sorted({difference.name for difference in changed}))
        raise SwitchError(
            f"{names} in {attempt.data_dir} changed again after the old bytes were put back: something writes there. "
            "Stop it and run again; the old container was not started."
        )
    return {"proven": True}


def _start_legacy(work: Work, start: bool) -> None:
    attempt = work.attempt
    if start and not is_running(_legacy(work)):
        work.engine.start(attempt.legacy_id)
    work.engine.set_restart_policy(attempt.legacy_id, attempt.restart_policy)
    if start:
        _wait_for_legacy(work)


def _wait_for_legacy(work: Work) -> None:
    record = _legacy(work)
    endpoints = _endpoints.legacy_endpoints(record, describe(record).settings, work.attempt.role)
    _gates.wait_until_ready(endpoints, lambda: is_running(_legacy(work)), work.params["ready_timeout"])


WAY_BACK: dict[str, Callable[[Work], dict[str, Any]]] = {
    "undo_begin": _require_legacy,
    "undo_stop": _stop_v2,
    "undo_set_aside": _set_aside,
    "undo_files": _put_files_back,
    "undo_rename": _take_name_back,
    "undo_prove": _prove,
}
