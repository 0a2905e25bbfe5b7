# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks a round on a host: meets its faults, looks at what came of each, and keeps what it proved."""

from __future__ import annotations

import time
from typing import Any

from tests.faults import ledger, outcome
from tests.faults.points import INSPECTION, UNDONE, Point
from tests.faults.rounds import BEFORE_UNDONE, KILL, Meeting, Round, goes_back_by_itself
from tests.faults.subject import Subject, show
from tests.faults.trials import AGAIN, BACK, Trial

#: Where a way back begins when nothing else is asked for: v2's container is there, and has not run.
HALF_WAY = Meeting(Point("", "upgraded", "create", "after"), KILL)


class Met:
    """A fault that was met; kept in the ledger when it has come to a good end."""

    def __init__(self, subject: Subject, met: Meeting, **changes: Any) -> None:
        self.began = time.monotonic()
        self.role, self.met = subject.role, met
        self.saw = subject.meet(met.point, met.kind, **changes).message
        show(f"{subject.name}: {met.point} {met.kind}")

    def keep(self, then: str, came_to: str) -> None:
        """Write it into the ledger."""
        ledger.add(
            ledger.Entry(
                fault=str(self.met.point),
                host=self.role,
                kind=self.met.kind,
                saw=ledger.first_sentence(self.saw),
                then=then,
                outcome=came_to,
                release=outcome.RELEASE,
                seconds=round(time.monotonic() - self.began, 1),
                section=self.met.point.state,
            )
        )


def walk(subject: Subject, each: Round) -> None:
    """From a legacy installation at rest: everything that the round says, and at rest again for the next one."""
    began = time.monotonic()
    met = [*_go_there(subject, each), *_finalize(subject, each), *_go_back(subject, each)]
    outcomes = {BACK: ledger.LEGACY, AGAIN: ledger.CONVERGED.format(release=outcome.RELEASE)}
    proven = set(each.proves())
    for one in met:
        for then, came_to in outcomes.items():
            if Trial(one.met.point, one.met.kind, then) in proven:
                back = one.met.point.state == "legacy"
                keeps_still = ledger.LEGACY_SERVES if each.serves else ledger.LEGACY
                one.keep(then, keeps_still if back else came_to)
    subject.tidy()
    show(f"{subject.name}: {describe(each)}: came to a good end, {time.monotonic() - began:.0f} s")


def describe(each: Round) -> str:
    """A round for whoever watches."""
    legs = ((each.there, each.arrives), (each.finalize, each.finalizes), (each.back, True))
    words = [
        f"{' '.join(f'{one.point}:{one.kind}' for one in leg)}{'' if ends else ' and'}" for leg, ends in legs if leg
    ]
    return ", ".join(words) or "there and back"


def arrive(subject: Subject, state: str, **changes: Any) -> str:
    """Reach a state by the same command, look at it, see that once more changes nothing; what the table calls it."""
    subject.reach_state(state, **changes)
    if state == "legacy" and changes.get("start", True):
        subject.assert_serving()
        came_to = ledger.LEGACY_SERVES
    else:
        came_to = subject.assert_state(state)
    subject.assert_unchanged_by_another_run(state)
    return came_to


def _go_there(subject: Subject, each: Round) -> list[Met]:
    found = []
    for number, met in enumerate(each.there):
        found.append(Met(subject, met))
        if goes_back_by_itself(met):
            # The way back was the run's own; nothing is left for the command.
            assert not subject.go_back().changed
            subject.assert_state("legacy")
        assert number + 1 == len(each.there) or met.point.state != INSPECTION
    if each.arrives:
        arrive(subject, "upgraded")
    elif not each.there:
        subject.meet(HALF_WAY.point, HALF_WAY.kind)
    return found


def _finalize(subject: Subject, each: Round) -> list[Met]:
    found = []
    for met in each.finalize:
        if met.point.step == UNDONE:
            subject.meet(BEFORE_UNDONE, KILL)
        found.append(Met(subject, met))
    if each.finalizes:
        arrive(subject, "finalized")
    return found


def _go_back(subject: Subject, each: Round) -> list[Met]:
    changes = {"start": each.serves}
    found = [Met(subject, met, **changes) for met in each.back]
    arrive(subject, "legacy", **changes)
    if each.serves:
        subject.rest_in_legacy()
    return found
