# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be tried: every fault point, in every kind that it knows, with each of the two ways on from it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.points import CLEANED, INSPECTION, KINDS, STATES, Point, points

AGAIN, BACK = "again", "back"


@dataclass(frozen=True)
class Trial:
    """One point met in one way, and what is done then: the same command again, or the way back."""

    point: Point
    kind: str
    then: str

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return f"{self.point.name}:{self.kind}:{self.then}"


def trials(role: str) -> list[Trial]:
    """Everything that can be tried at the points of a role, in the order in which a run passes them."""
    return [
        Trial(point, kind, then)
        for state in STATES
        for point in points(role, state)
        for kind in KINDS
        for then in (AGAIN, BACK)
        if possible(point, kind, then)
    ]


def possible(point: Point, kind: str, then: str) -> bool:
    """Whether a point can be met so, and left so.

    The way back has no other way back, and a clean-up removes what one needs. A switch that is left for inspection has
    failed by itself already, so that no exception can be raised in it.
    """
    if point.state in ("legacy", CLEANED):
        return then == AGAIN
    return (point.state, kind) != (INSPECTION, "raise")
