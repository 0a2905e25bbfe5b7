# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything back: v2's containers and files aside, the legacy files proven, the old container under its name.

A legacy container that somebody removed is made again first. Every action looks whether it is done already, so that a
way back that was interrupted is simply walked again.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _data_dir_changes,
    _database_url,
    _discovery,
    _endpoints,
    _fill_external,
    _gates,
    _legacy_gate,
    _libraries,
    _recreate,
    _snapshot,
    _supervised,
    _switch_external,
    _unit_install,
    _way_back,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    NO_RESTART,
    Attempt,
    SwitchError,
    Work,
    created_by,
    describe,
    free_name,
    from_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._carry_out import carry_out_if_needed, facts_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import (
    DONE,
    STARTED,
    last_detail,
    newest_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import summary as journal_summary
from ansible_collections.fleetops.gpustack.plugins.module_utils._supervised import NEVER_STARTED

#: The label of every container that gpustack-runtime deploys for a model.
MODEL_LABEL = "runtime.gpustack.ai/workload"


def run(params: Mapping[str, Any], check_mode: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """`state=legacy`. A host that was never switched, or is back already, stays as it is."""
    return carry_out_if_needed(params, check_mode, _found, report, lambda work, before: _back(work, before["outcome"]))


def libraries(params: Mapping[str, Any]) -> list[str]:
    """What a way back has to import: an external database is put back, too."""
    begun = last_detail(newest_entries(params["state_dir"]), "begin", STARTED) or {}
    if not (begun.get("external") or begun.get("fills")):
        return ["docker"]
    kind = begun.get("database_kind", _database_url.POSTGRESQL)
    return [each.module for each in _libraries.required(server=True, database=kind)]


def _found(params: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, and whether it differs from what is asked for."""
    summary = journal_summary(params["state_dir"])
    if summary["outcome"] == "none":
        return {"changed": False, "outcome": "none", "warnings": []}
    entries, reader = newest_entries(params["state_dir"]), DockerReader(params["docker_host"])
    attempt, inspect = from_entries(entries), _unit_install.look(reader.inspect, params["run_command"])
    record = _recreate.find(inspect, attempt, entries)
    running = record is not None and is_running(record)
    changed = summary["outcome"] != "restored" or (params["start"] and not running)
    obstacle = _way_back.obstacle(attempt, entries, inspect, reader.image) if changed else None
    if obstacle:
        raise SwitchError(obstacle)
    return {"changed": changed, "outcome": summary["outcome"], "warnings": [], **facts_of(attempt)}


def _back(work: Work, outcome: str) -> dict[str, Any]:
    attempt, start = work.attempt, work.params["start"]
    try:
        if outcome == "restored":
            _have_legacy(work)
            _step(work, "undo_rename", _take_name_back)
            _hand_over(work, start)
        else:
            undo(work, start)
    except _gates.GateError as error:
        raise SwitchError(
            f"{error} v2 is set aside and {attempt.legacy_name} was started; see why with: {_log_of(attempt)}. Then "
            "run the same command again."
        ) from error
    data_dir = describe(_legacy(work)).facts["data_dir"]["read_path"]
    return {
        "outcome": "restored",
        "legacy_container": attempt.legacy_name,
        "data_dir": data_dir,
        **_way_back.summary(work),
    }


def _log_of(attempt: Attempt) -> str:
    """Where a legacy release says why it does not serve: a container in its log, a unit in systemd's or a file."""
    name = attempt.legacy_name
    if attempt.is_unit:
        return f"systemctl status {name}, and the file that StandardOutput= names in systemctl cat {name}"
    return f"docker logs {name}"


def go_back(work: Work) -> Work:
    """Back to the legacy files and container, stopped: where the same attempt can begin again, with what it finds."""
    _walk(work)
    return dataclasses.replace(work, attempt=work.attempt.replaced(legacy_id=_legacy(work)["Id"]))


def undo(work: Work, start: bool) -> None:
    """All the way back, which ends the attempt; the old container serves again when ``start`` is set."""
    _walk(work)
    _hand_over(work, start)


def _hand_over(work: Work, start: bool) -> None:
    unused = not _legacy_ran_since_stop(work)
    with work.journal.step("undo_start", {"start": start}):
        _start_legacy(work, start)
    if start and unused and work.attempt.serves:
        with work.journal.step("undo_rows") as found:
            found.update(_same_rows(work))
    with work.journal.step("undo_done"):
        pass


def _walk(work: Work) -> None:
    for name, action in WAY_BACK.items():
        _step(work, name, action)
        if name == "undo_stop" and work.attempt.leaves_directory:
            with work.journal.step("undo_database") as found:
                found.update(_put_database_back(work))


def _step(work: Work, name: str, action: Callable[[Work], dict[str, Any]]) -> None:
    announced = ANNOUNCED[name](work) if name in ANNOUNCED else {}
    with work.journal.step(name, announced) as found:
        found.update(action(work))


def _have_legacy(work: Work) -> dict[str, Any]:
    """A legacy container that somebody removed is made again, under the name that a retired one has."""
    if _recreate.legacy_record(work) is None:
        with work.journal.step("recreate") as found:
            found["container"] = _recreated(work)
    return {"legacy": name_of(_legacy(work))}


def _recreated(work: Work) -> str:
    attempt = work.attempt
    half_done = work.engine.inspect(attempt.retired_name)
    if half_done is not None and half_done["State"]["Status"] != "created":
        return str(half_done["Id"])  # somebody made it again by hand
    if half_done is not None:
        work.engine.remove(half_done["Id"])
    record = _way_back.definition(attempt)
    if record is None:
        raise SwitchError(f"{_way_back.definition_path(attempt)} is gone; the container cannot be made again.")
    # Nothing may start it before it is to serve again, a restart of the engine neither.
    host = {**record["HostConfig"], "AutoRemove": False, "RestartPolicy": NO_RESTART}
    pinned = {**record, "HostConfig": host}
    return _recreate.recreate(work.engine, pinned, attempt.retired_name, _way_back.archive(attempt, record))


def _legacy(work: Work) -> dict[str, Any]:
    record = _recreate.legacy_record(work)
    if record is None:
        raise SwitchError(
            f"The legacy container {work.attempt.legacy_name} was removed while the way back was under way. Run the "
            "same command again: it is made again from its definition."
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
    return {"stopped": stopped, "models": _stop_models(work)}


def _stop_models(work: Work) -> list[str]:
    """The containers in which v2's worker ran its models: they go on without it, and hold the GPUs."""
    stopped = []
    for record in work.engine.with_label(MODEL_LABEL) if work.attempt.works else []:
        if record["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no"):
            work.engine.set_restart_policy(record["Id"], NO_RESTART)
        if is_running(record):
            work.engine.stop(record["Id"], work.params["stop_timeout"])
            stopped.append(name_of(record))
    return stopped


def _set_aside(work: Work) -> dict[str, Any]:
    attempt = work.attempt
    found: dict[str, Any] = {"container": None, "files": []}
    for record in work.engine.with_label(created_by(attempt)):
        if name_of(record) == attempt.container_name:
            found["container"] = free_name(attempt.container_name, f"failed-{attempt.name}", work.engine.names())
            work.engine.rename(record["Id"], found["container"])
    entries = work.journal.entries()
    before = last_detail(entries, "copy_out", DONE) or last_detail(entries, "stop", DONE)
    if before is not None:
        # Another version of this collection may have noted no entries.
        only_v2s = "entries" not in before or _legacy_ran_since_stop(work)
        entries = before.get("entries", ())
        found["files"] = _data_dir_changes.set_aside(attempt.data_dir, entries, attempt.name, only_v2s)
    return found


def _put_database_back(work: Work) -> dict[str, Any]:
    """What v2 made of an external database is kept under another name."""
    if work.attempt.fills:
        return _fill_external.put_aside(work)
    return _switch_external.put_back(work, _legacy(work))


def _legacy_ran_since_stop(work: Work) -> bool:
    """Whether the old container was started after we stopped it last: its files are then newer than the backup.

    Its start is compared with the one that the stop ended, not with a time of ours: clocks are set back.
    """
    stops = [entry for entry in work.journal.entries() if (entry["step"], entry["state"]) == ("stop", DONE)]
    if not stops:
        return True
    state = _legacy(work)["State"]
    if state["Status"] == NEVER_STARTED:
        return False  # made anew since then
    started = state["StartedAt"]
    if work.attempt.is_unit and not started:
        # systemd forgets the starts of a unit that does not run. v2 never writes the database, so the legacy did.
        return _database_differs(work.attempt)
    if "legacy_started" in stops[-1]["detail"]:
        return bool(started != stops[-1]["detail"]["legacy_started"])
    # The journal of an older version knows times alone; both are ISO 8601 in UTC, so that text compares as time does.
    return bool(started[:23] > stops[-1]["time"][:23])


def _database_differs(attempt: Attempt) -> bool:
    if not os.path.exists(attempt.manifest):
        return False
    differences = _snapshot.compare_with(attempt.data_dir, _snapshot.read_manifest(attempt.backup))
    return any(each.name in _snapshot.DATABASE_FILES and each.what in _snapshot.BYTES for each in differences)


def _what_differs(work: Work) -> dict[str, Any]:
    """What `undo_files` is about to put right; journaled before it does."""
    modes = {path: now for path, now in _modes_before(work).items() if _data_dir_changes.has_other_mode(path, now)}
    return {
        "differs": [difference._asdict() for difference in _differences(work)],
        "modes": {path: f"{mode:04o}" for path, mode in modes.items()},
    }


def _differences(work: Work) -> list[_snapshot.Difference]:
    attempt = work.attempt
    if not os.path.exists(attempt.manifest) or _legacy_ran_since_stop(work):
        return []
    return _snapshot.compare_with(attempt.data_dir, _snapshot.read_manifest(attempt.backup))


def _modes_before(work: Work) -> dict[str, int]:
    permissions = last_detail(work.journal.entries(), "permissions", STARTED) or {}
    return {path: int(mode, 8) for path, mode in permissions.get("modes", {}).items()}


def _put_files_back(work: Work) -> dict[str, Any]:
    attempt = work.attempt
    differences = _differences(work)
    if differences:
        manifest = _snapshot.read_manifest(attempt.backup)
        aside = _keep_what_v2_wrote(attempt, differences)
        _snapshot.restore_files(attempt.backup, attempt.data_dir, manifest, aside=aside)
    _data_dir_changes.apply_modes(_modes_before(work))
    return {}


def _keep_what_v2_wrote(attempt: Attempt, differences: list[_snapshot.Difference]) -> str | None:
    """Copy what v2 wrote into legacy files before the old bytes come back; the directory for what must make way."""
    changed = [difference.name for difference in differences if difference.what == "content"]
    appeared = [difference.name for difference in differences if difference.what == "present"]
    if not changed and not appeared:
        return None
    # Not where an earlier try has put such files: nothing is written over.
    aside = _data_dir_changes.set_aside_directory(attempt.data_dir, [*changed, *appeared], attempt.name)
    _snapshot.copy_stopped(attempt.data_dir, aside, changed)
    return aside


def _take_name_back(work: Work) -> dict[str, Any]:
    record = _legacy(work)
    if name_of(record) != work.attempt.legacy_name:
        work.engine.rename(record["Id"], work.attempt.legacy_name)
    return {}


def _prove(work: Work) -> dict[str, Any]:
    """The database is what was saved, byte for byte; nothing is started before that."""
    attempt = work.attempt
    if _legacy_ran_since_stop(work):
        return {"proven": False}  # the files are newer than the backup
    if not os.path.exists(attempt.manifest):
        _warn_without_backup(work)
        return {"proven": False}
    changed = [difference for difference in _differences(work) if difference.what in _snapshot.BYTES]
    if changed:
        names = ", ".join(sorted({difference.name for difference in changed}))
        raise SwitchError(
            f"{names} in {attempt.data_dir} changed again after the old bytes were put back: something writes there. "
            "Stop it and run again; the old container was not started."
        )
    return {"proven": True}


def _warn_without_backup(work: Work) -> None:
    """Nothing is created before the backup is complete; one that is gone afterwards was removed by somebody."""
    if last_detail(work.journal.entries(), "create", STARTED) is not None:
        work.warn(
            f"The backup {work.attempt.backup} is not there any more, so the legacy files in {work.attempt.data_dir} "
            "could not be held against it; they were left as they are."
        )


def _start_legacy(work: Work, start: bool) -> None:
    if start:
        _supervised.start(work)
    record = _legacy(work)
    if not record["HostConfig"]["AutoRemove"] and not work.attempt.is_unit:
        work.engine.set_restart_policy(record["Id"], work.attempt.restart_policy)
    if start:
        _wait_for_legacy(work)
    _supervised.drop_copy(work)


def _same_rows(work: Work) -> dict[str, Any]:
    attempt = work.attempt
    if not os.path.exists(attempt.manifest):
        return {}
    saved = _snapshot.read_manifest(attempt.backup)["database"]["counts"]
    if attempt.external:
        return {"tables": _switch_external.same_rows(_legacy(work), saved)}
    directory = _discovery.inside(_legacy(work), attempt.layer) if attempt.layer else attempt.data_dir
    return {"tables": _legacy_gate.rows(directory, saved)}


def _wait_for_legacy(work: Work) -> None:
    record = _legacy(work)
    endpoints = _endpoints.legacy_endpoints(record, describe(record).settings, work.attempt.role)
    _gates.wait_until_ready(endpoints, lambda: is_running(_legacy(work)), work.params["ready_timeout"])


WAY_BACK: dict[str, Callable[[Work], dict[str, Any]]] = {
    "undo_begin": _have_legacy,
    "undo_stop": _stop_v2,
    "undo_set_aside": _set_aside,
    "undo_files": _put_files_back,
    "undo_rename": _take_name_back,
    "undo_prove": _prove,
}
#: What the journal must hold before a step changes it.
ANNOUNCED: dict[str, Callable[[Work], dict[str, Any]]] = {"undo_files": _what_differs}
