# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy container by its original name: in service, retired, or gone; and the way from one to another.

A container that is retired keeps everything but its name and its restart policy; both are noted in the state directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _journal
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import NO_RESTART, SwitchError, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import write_atomically
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import LEGACY
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine, is_running, name_of

ACTIVE, RETIRED, ABSENT = "active", "retired", "absent"
NOTES = "retired"


class Found(NamedTuple):
    """The container, whether it has its original name, and the restart policy that belongs to it."""

    record: dict[str, Any] | None
    has_name: bool
    policy: Mapping[str, Any]


def find(reader: DockerReader, name: str, state_dir: str) -> Found:
    """The legacy container of this name, in service or retired."""
    named = reader.inspect(name)
    retired = _retired_containers(reader, name)
    if named is not None and describe(named).facts["generation"] == LEGACY:
        return Found(named, True, _policy_of(named, state_dir))
    if len(retired) > 1:
        names = ", ".join(name_of(record) for record in retired)
        raise SwitchError(f"Several retired containers belong to {name}: {names}. Remove those that are not wanted.")
    if not retired:
        if named is not None:
            raise SwitchError(
                f"Container {name} is no legacy GPUStack, and no retired one belongs to it. To have a legacy one in "
                f"its place, stop it and set it aside: docker stop {name}; docker rename {name} {name}-failed-"
                "$(date -u +%Y%m%dT%H%M%SZ)"
            )
        return Found(None, False, NO_RESTART)
    return Found(retired[0], False, _policy_of(retired[0], state_dir))


def change(found: Found, name: str, wanted: str, run_id: str, start: bool = True) -> dict[str, dict[str, Any]] | None:
    """What has to change, as before and after; None when nothing has. A container that runs is not stopped here."""
    if found.record is None:
        if wanted == ABSENT:
            return None
        raise SwitchError(f"There is no legacy container {name} on this host, in service or retired.")
    before = _facts(found.record)
    after = _wanted_facts(found, name, wanted, run_id, start)
    return None if before == after else {"before": before, "after": after}


def apply(engine: Engine, found: Found, after: Mapping[str, Any], wanted: str, state_dir: str, seconds: int) -> None:
    """Make it so."""
    record = found.record
    if record is None:
        return
    note = note_path(state_dir, record["Id"])
    if wanted == ABSENT:
        engine.remove(record["Id"])
        with contextlib.suppress(FileNotFoundError):
            os.unlink(note)
    elif wanted == RETIRED:
        os.makedirs(os.path.dirname(note), mode=0o700, exist_ok=True)
        write_atomically(note, {"restart_policy": dict(found.policy)})
        engine.set_restart_policy(record["Id"], NO_RESTART)
        engine.stop(record["Id"], seconds)
        _rename(engine, record, after["name"])
    else:
        _rename(engine, record, after["name"])
        if after["running"]:
            engine.start(record["Id"])
        if not record["HostConfig"]["AutoRemove"]:  # with --rm the engine takes no restart policy
            engine.set_restart_policy(record["Id"], found.policy if after["running"] else NO_RESTART)


def _rename(engine: Engine, record: Mapping[str, Any], name: str) -> None:
    if name_of(record) != name:
        engine.rename(record["Id"], name)


def _retired_containers(reader: DockerReader, name: str) -> list[dict[str, Any]]:
    pattern = re.compile(re.escape(name) + r"-legacy-\d{8}T\d{6}Z")
    found = (reader.inspect(container["Id"]) for container in reader.containers() if _is_called(container, pattern))
    return [record for record in found if record is not None]


def _is_called(container: Mapping[str, Any], pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(name.lstrip("/")) for name in container.get("Names") or [])


def _policy_of(record: Mapping[str, Any], state_dir: str) -> Mapping[str, Any]:
    """The restart policy from before a retirement, ours or a switch's; else the one that the container has."""
    try:
        with open(note_path(state_dir, record["Id"]), encoding="utf-8") as note:
            return dict(json.load(note)["restart_policy"])
    except FileNotFoundError:
        pass
    for entry in reversed(_journal.read_entries(state_dir)):
        if entry["step"] == "begin" and entry["detail"].get("legacy_id") == record["Id"]:
            return dict(entry["detail"]["restart_policy"])
    return dict(record["HostConfig"]["RestartPolicy"])


def note_path(state_dir: str, container: str) -> str:
    return os.path.join(state_dir, NOTES, container + ".json")


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    policy = record["HostConfig"]["RestartPolicy"]["Name"] or "no"
    return {"name": name_of(record), "running": is_running(record), "restart_policy": policy}


def _wanted_facts(found: Found, name: str, wanted: str, run_id: str, start: bool) -> dict[str, Any]:
    record: Mapping[str, Any] = found.record or {}
    if wanted == ACTIVE:
        runs = start or is_running(record)
        return {"name": name, "running": runs, "restart_policy": (found.policy["Name"] or "no") if runs else "no"}
    if wanted == RETIRED:
        retired = f"{name}-legacy-{run_id}" if found.has_name else name_of(record)
        return {"name": retired, "running": False, "restart_policy": "no"}
    if found.has_name or is_running(record):
        raise SwitchError(
            f"Legacy container {name_of(record)} is not retired; retire it first (state=retired), so that nothing that "
            "still serves is removed."
        )
    return {}
