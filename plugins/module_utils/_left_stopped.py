# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy release that a failed attempt took back and left stopped, as a 0.x worker is: how it was before that.

What belongs to a running one alone, its unit and --rm, did not come back with it. The next attempt has to know both: by
them it chooses v2's restart policy, and on its own way back they are to come back.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _recreate, _systemd_unit, _way_back
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    Attempt,
    ForeignAttemptError,
    from_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand

_LEFT = "restored"


class Before(NamedTuple):
    """The attempt and the legacy container's record, as they would be had nothing failed."""

    attempt: Attempt
    legacy: dict[str, Any]


def as_before(
    attempt: Attempt,
    legacy: dict[str, Any],
    own: list[dict[str, Any]],
    outcome: str,
    inspect: Callable[[str], dict[str, Any] | None],
    run: RunCommand,
) -> Before:
    """A new attempt and its legacy, with what the one before it knew; the same where that left nothing stopped.

    :param own: the journal's entries of the attempt before
    :param outcome: how that one ended
    """
    if outcome != _LEFT or attempt.was_running:
        return Before(attempt, legacy)
    try:
        earlier = from_entries(own)
    except ForeignAttemptError:  # of an attempt of another version nothing can be known, and it is over
        return Before(attempt, legacy)
    left = _recreate.find(inspect, earlier, own)
    if left is None or left["Id"] != attempt.legacy_id:
        return Before(attempt, legacy)
    auto_remove = bool(earlier.kept_by.get("auto_remove"))
    kept_by = {**attempt.kept_by, "auto_remove": auto_remove, "unit": _unit(attempt, earlier, run)}
    known = attempt.replaced(kept_by=kept_by, restart_policy=dict(earlier.restart_policy))
    return Before(known, _definition(earlier, legacy) if known.is_throwaway else legacy)


def _unit(attempt: Attempt, earlier: Attempt, run: RunCommand) -> Mapping[str, Any] | None:
    """The unit as it was, unless somebody has enabled it again, or has removed its file, since."""
    if earlier.unit is None or (attempt.unit or {}).get("enabled"):
        return attempt.unit
    return earlier.unit if _systemd_unit.is_loaded(earlier.unit["name"], run) else attempt.unit


def _definition(earlier: Attempt, legacy: dict[str, Any]) -> dict[str, Any]:
    """The container as it was saved, with --rm; what is left of it is a copy without."""
    saved = _way_back.definition(earlier)
    if saved is None:
        return legacy
    return {**saved, "Id": legacy["Id"], "Name": legacy["Name"], "State": legacy["State"]}
