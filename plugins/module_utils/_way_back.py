# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back of a host, by reading alone: whether it can be gone, and what going it did."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Iterable

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _data_dir_changes,
    _journal,
    _legacy_image,
    _os_errors,
    _recreate,
    _snapshot,
    _unit_install,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    Attempt,
    SwitchError,
    Work,
    created_by,
    from_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import ATTEMPT_LABEL
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import label_of, name_of

PRESENT, REMOVED = "present", "removed"

Look = Callable[[str], "dict[str, Any] | None"]


def evidence(docker_host: str, state_dir: str, run: RunCommand) -> dict[str, Any] | None:
    """The evidence ``way_back`` of the newest attempt; None where nothing is switched. Never fails."""
    try:
        entries = _journal.newest_entries(state_dir)
        if _journal.outcome_of(entries) == "none":
            return None
        attempt, reader = from_entries(entries), DockerReader(docker_host)
        inspect = _unit_install.look(reader.inspect, run)
        record = _recreate.find(inspect, attempt, entries)
        return {
            "legacy_container": REMOVED if record is None else PRESENT,
            "obstacle": obstacle(attempt, entries, inspect, reader.image),
        }
    except (SwitchError, DockerReaderError, OSError) as error:
        return {"legacy_container": None, "obstacle": _os_errors.explain(error)}
    except KeyError as error:
        cause = f"The journal does not say {error} of its newest attempt; it was written by another version."
        return {"legacy_container": None, "obstacle": f"{cause} Go back with that version."}


def definition(attempt: Attempt) -> dict[str, Any] | None:
    """The legacy container's definition as it was saved; None when it is not there."""
    try:
        with open(definition_path(attempt), encoding="utf-8") as saved:
            record: dict[str, Any] = json.load(saved)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SwitchError(
            f"{definition_path(attempt)} is damaged ({error}), so the legacy container cannot be made again from it. "
            "Put an intact copy there, such as the one in gpustack_backup_fetch_dir, or make the container by hand as "
            f"{attempt.legacy_name}, then run again."
        ) from error
    return record


def definition_path(attempt: Attempt) -> str:
    """Where the legacy container's definition lies."""
    return os.path.join(attempt.backup, _snapshot.DEFINITION)


def archive(attempt: Attempt, record: dict[str, Any]) -> str | None:
    """The archive of the legacy image, beside the backup of the attempt."""
    return _legacy_image.find(os.path.dirname(attempt.backup), record)


def obstacle(attempt: Attempt, entries: list[dict[str, Any]], inspect: Look, image: Look) -> str | None:
    """What stands in the way back, with the way out; None when nothing does."""
    if _journal.outcome_of(entries) == _journal.CLEANED:
        return (
            f"Attempt {attempt.name} was cleaned up: its legacy container is gone, so there is no way back to it. The "
            f"data from before the upgrade lies in {attempt.backup}. To have the legacy release on it again, stop "
            f"v2 and set it aside (docker stop {attempt.container_name}; docker rename {attempt.container_name} "
            f"{attempt.container_name}-failed-{attempt.name}), then run playbooks/restore.yml with "
            f"gpustack_restore_from={attempt.backup} and gpustack_restore_force=true."
        )
    legacy = _recreate.find(inspect, attempt, entries)
    intruder = _intruder(attempt, legacy, inspect)
    if intruder is not None:
        return (
            f"Container {intruder} is not the one that attempt {attempt.name} made; somebody replaced it. Stop it, "
            "give it another name with docker rename, and run again."
        )
    return None if legacy is not None else _obstacle_to_recreate(attempt, image)


def _intruder(attempt: Attempt, legacy: dict[str, Any] | None, inspect: Look) -> str | None:
    """A container that has a name which the way back needs, and is neither the legacy one nor v2's."""
    for name in dict.fromkeys((attempt.legacy_name, attempt.container_name)):
        record = inspect(name)
        if record is None or (legacy is not None and record["Id"] == legacy["Id"]):
            continue
        if label_of(record, ATTEMPT_LABEL) != attempt.name:
            return name
    return None


def _obstacle_to_recreate(attempt: Attempt, image: Look) -> str | None:
    if attempt.is_unit:
        return (
            f"The unit {attempt.legacy_name}, which ran the legacy release, is gone from this host. Its arguments and "
            f"variables lie in {definition_path(attempt)}, its files in {attempt.data_dir}: write the unit again, load "
            "it (systemctl daemon-reload) without starting it, and run again."
        )
    record = definition(attempt)
    if record is None:
        return (
            f"The legacy container {attempt.legacy_name} ({attempt.legacy_id[:12]}) was removed, and its definition "
            f"{definition_path(attempt)} is not there either. Its files in {attempt.data_dir} are: create it anew from "
            "your own notes, with that directory mounted, and remove nothing."
        )
    if image(record["Image"]) is None and archive(attempt, record) is None:
        return _recreate.missing_image(record, None)
    return None


def summary(work: Work) -> dict[str, Any]:
    """What the way back did, the parts of it that earlier runs did included."""
    attempt, entries = work.attempt, work.journal.entries()
    announced = [entry["detail"] for entry in _journal.since_begin(entries, ("undo_files", _journal.STARTED))]
    stopped = [entry["detail"] for entry in _journal.since_begin(entries, ("undo_stop", _journal.DONE))]
    databases = [entry["detail"] for entry in _journal.since_begin(entries, ("undo_database", _journal.DONE))]
    found = work.engine.with_label(created_by(attempt))
    return {
        "restored_files": _unique(
            f"{each['name']} ({each['what']})" for detail in announced for each in detail["differs"]
        ),
        "restored_modes": {path: mode for detail in announced for path, mode in detail["modes"].items()},
        "set_aside": {
            "containers": sorted(name_of(record) for record in found),
            "directories": _data_dir_changes.set_aside_directories(attempt.data_dir, attempt.name),
            "databases": databases[-1]["databases"] if databases else [],
        },
        "stopped_models": _unique(name for detail in stopped for name in detail["models"]),
        "recreated": any(_journal.since_begin(entries, ("recreate", _journal.DONE))),
        "downtime": _journal.seconds_between(entries, ("undo_stop", _journal.STARTED), ("undo_start", _journal.DONE)),
    }


def _unique(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))
