# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a switch that was cut off behind the start of its new container can go on where it was; reads only.

A migration may have taken long, and people may use the new server already: what is whole is judged, not thrown away.
Whatever is not as the cut-off run left it speaks against that, and the attempt then goes back and begins again.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _container_spec
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import ATTEMPT_LABEL
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, label_of, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import (
    DONE,
    FAILED,
    STARTED,
    last_detail,
    since_begin,
)

Look = Callable[[str], "dict[str, Any] | None"]
#: What ends the way forward: a failure, and a way back that was begun.
_TURNS = (("undo_begin", STARTED), ("stopped", STARTED))


def is_possible(
    entries: list[dict[str, Any]],
    attempt: Attempt,
    wanted: Mapping[str, Any],
    image_id: str | None,
    inspect: Look,
) -> bool:
    """Whether the new container is the one that is wanted, and both it and the old one were left alone since.

    :param entries: the journal's, of this attempt
    :param wanted: what would be written for a new container: ``spec`` and ``rollout``
    :param image_id: what the wanted image is by now
    """
    if attempt.is_throwaway or _was_turned(entries) or _release(entries) != attempt.release:
        return False
    created, started, stopped = (_newest(entries, step) for step in ("create", "start", "stop"))
    if created is None or started is None or stopped is None:
        return False
    new, legacy = inspect(str(created.get("container"))), inspect(attempt.legacy_id)
    return (
        new is not None
        and legacy is not None
        and name_of(new) == attempt.container_name
        and label_of(new, ATTEMPT_LABEL) == attempt.name
        and new["Image"] == image_id
        and is_running(new)
        and new["State"]["StartedAt"] == started.get("started")
        and not is_running(legacy)
        and legacy["State"]["StartedAt"] == stopped.get("legacy_started")
        and _saved(attempt) == json.loads(json.dumps(wanted))
    )


def wanted(params: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """What is written for a new container: its definition, which nothing restarts yet, and what finalize removes."""
    unaccepted = _container_spec.with_restart_policy(spec, "no")
    return {"spec": unaccepted, "rollout": _rollout_variables(params, unaccepted)}


def _rollout_variables(params: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    """Variables of the new container that only the roll-out wants; what the operator set stays."""
    only_now = {*_container_spec.rollout_variables(), *(params["rollout_env"] or {})}
    return sorted((only_now & set(spec["environment"])) - set(params["extra_env"] or {}))


def _was_turned(entries: list[dict[str, Any]]) -> bool:
    failed = {entry["step"] for entry in entries if entry["state"] == FAILED}
    return any(since_begin(entries, mark) for mark in (*_TURNS, *((step, FAILED) for step in failed)))


def _release(entries: list[dict[str, Any]]) -> Any:
    return (last_detail(entries, "begin", STARTED) or {}).get("release")


def _newest(entries: list[dict[str, Any]], step: str) -> dict[str, Any] | None:
    done = since_begin(entries, (step, DONE))
    return done[-1]["detail"] if done else None


def _saved(attempt: Attempt) -> Any:
    try:
        with open(attempt.spec_file, encoding="utf-8") as saved:
            return json.load(saved)
    except (OSError, ValueError):
        return None
