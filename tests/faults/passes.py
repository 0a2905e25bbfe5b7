# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways over the fault points: a chain in which every run dies a step further, and each point by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.e2e import outside, playbook
from tests.faults import ledger, outcome
from tests.faults.points import (
    CLEANED,
    FINALIZE_ENDS,
    INSPECTION,
    KINDS,
    ROWS_AGAIN,
    SERVER,
    STATES,
    WORKER,
    Point,
    hand_over_steps,
    points,
)
from tests.faults.subject import Subject, show
from tests.lab.fleet import Fleet

AGAIN, BACK, CHAIN = "same command again", "back to legacy", "same command again, killed one point further"
#: Where a way back is about to start the legacy container: the last moment at which its files must be what they were.
BEFORE_LEGACY_STARTS = "undo_start:before"
#: Where a worker waits for its server.
AT_THE_SERVER = [point for point in points(WORKER, "upgraded") if point.step in ("ready", "accept", "done")]
#: Finalize goes back only from a restart that was interrupted.
UNDONE, BEFORE_UNDONE = FINALIZE_ENDS[0], Point(SERVER, "finalized", "finalize_stop", "after")


class Met:
    """A fault that was met; kept in the ledger when it has come to a good end."""

    def __init__(self, subject: Subject, point: Point, kind: str, **changes: Any) -> None:
        self.began = time.monotonic()
        self.subject, self.point, self.kind = subject, point, kind
        self.saw = subject.meet(point, kind, **changes).message
        show(f"{subject.name}: {point} {kind}")

    def keep(self, then: str, came_to: str) -> None:
        """Write it into the ledger."""
        ledger.add(
            ledger.Entry(
                fault=str(self.point),
                host=self.subject.role,
                kind=self.kind,
                saw=ledger.first_sentence(self.saw),
                then=then,
                outcome=came_to,
                release=outcome.RELEASE,
                seconds=round(time.monotonic() - self.began, 1),
                section=self.point.state,
            )
        )


def die(subject: Subject, on_the_way: Sequence[Point], **changes: Any) -> list[Met]:
    """Die by kill -9 at every point in turn, each time one further."""
    met = []
    for point in on_the_way:
        met.append(Met(subject, point, "kill", **changes))
        if str(point) == BEFORE_LEGACY_STARTS:
            subject.assert_files()
        elif point.state == "upgraded":
            subject.note_files()
    return met


def arrive(subject: Subject, state: str, met: Sequence[Met], **changes: Any) -> None:
    """Reach a state at last, look at it, and keep what was met before it."""
    subject.reach_state(state, **changes)
    if state == "legacy" and changes.get("start", True):
        subject.assert_serving()
        came_to = f"{ledger.LEGACY}, serving"
    else:
        came_to = subject.assert_state(state)
    for each in met:
        each.keep(AGAIN if each is met[-1] else CHAIN, came_to)
    subject.assert_unchanged_by_another_run(state)
    show(f"{subject.name}: {state} after {len(met)} deaths, {time.monotonic() - met[0].began:.0f} s")


def chain(subject: Subject, state: str, on_the_way: Sequence[Point], **changes: Any) -> None:
    """Die at every point in turn, then arrive."""
    arrive(subject, state, die(subject, on_the_way, **changes), **changes)


def chain_of_server(server: Subject) -> None:
    """All points of a server: there, back, left for inspection and there again, finalized."""
    server.note_definition()
    chain(server, "upgraded", points(server.role, "upgraded"))
    chain(server, "legacy", once_in_a_chain(points(server.role, "legacy")))
    server.tidy()
    server.note_definition()
    chain(server, "upgraded", points(server.role, INSPECTION))
    left = [point for point in points(server.role, "legacy") if point.step == ROWS_AGAIN][1:]
    if left:
        chain(server, "legacy", left)
        server.tidy()
        server.reach_state("upgraded")
    chain(server, "finalized", points(server.role, "finalized"))


def chain_of_worker(worker: Subject, share: slice) -> None:
    """A worker's points that need no server: there up to its first breath, and back, where it rests."""
    worker.rest_in_legacy()
    met = die(worker, [point for point in points(worker.role, "upgraded")[share] if point not in AT_THE_SERVER])
    arrive(worker, "legacy", [*met, *die(worker, points(worker.role, "legacy")[share], start=False)], start=False)
    worker.tidy()


def chain_at_the_server(worker: Subject, share: slice) -> None:
    """A worker's points that need a v2 server."""
    late = [point for point in points(worker.role, "upgraded")[share] if point in AT_THE_SERVER]
    chain(worker, "upgraded", [*points(worker.role, INSPECTION)[share], *late])


def chain_of_fleet(subjects: dict[str, Subject]) -> None:
    """Every fault point of a fleet once, by kill -9 of the process that does the work; in the end the fleet is v2."""
    server = subjects["server"]
    workers = [subject for subject in subjects.values() if subject.role == WORKER]
    shares = [slice(number, None, len(workers)) for number in range(len(workers))]
    with ThreadPoolExecutor(1 + len(workers)) as pool:
        chains = [pool.submit(chain_of_worker, *each) for each in zip(workers, shares, strict=True)]
        for each in [pool.submit(chain_of_server, server), *chains]:
            each.result()
        list(pool.map(chain_at_the_server, workers, shares))
    look_at_fleet(server.fleet)


def once_in_a_chain(back: Sequence[Point]) -> list[Point]:
    """The way back in an order in which each run comes to the next point; the second look at rows needs another one."""
    rows = [point for point in back if point.step == ROWS_AGAIN]
    order = [point for point in back if point.step != ROWS_AGAIN]
    after = [str(point) for point in order].index(BEFORE_LEGACY_STARTS) + 1
    return [*order[:after], *rows[:1], *order[after:]]


def look_at_fleet(fleet: Fleet) -> None:
    """Everything is v2 and ready, and the operator's command changes nothing."""
    outside.assert_upgraded(fleet, outcome.RELEASE)
    done = playbook.run(fleet, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    assert set(done.recap("changed").values()) == {0}


def chain_of_cleanup(subjects: dict[str, Subject]) -> None:
    """The points of the clean-up, on every host of an upgraded fleet; there is no way back from it."""
    with ThreadPoolExecutor(len(subjects)) as pool:
        chains = [pool.submit(chain, subject, CLEANED, points(subject.role, CLEANED)) for subject in subjects.values()]
        for each in chains:
            each.result()


@dataclass(frozen=True)
class Trial:
    """One point met in one way, and what is done then."""

    point: Point
    kind: str
    then: str

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return f"{self.point.name}:{self.kind}:{'again' if self.then == AGAIN else 'back'}"


def trials(role: str) -> list[Trial]:
    """Everything that can be tried at the points of a role: each kind, and each of the two ways on from it."""
    return [
        Trial(point, kind, then)
        for state in STATES
        for point in points(role, state)
        for kind in KINDS
        for then in (AGAIN, BACK)
        if possible(point, kind, then)
    ]


def possible(point: Point, kind: str, then: str) -> bool:
    """The way back has no other way back; a switch that is left for inspection has failed by itself already.

    What a clean-up removed is gone, so its points are met in the chain alone.
    """
    if point.state == CLEANED:
        return False
    if point.state == "legacy":
        return then == AGAIN
    return not (point.state == INSPECTION and kind == "raise")


def try_one(subject: Subject, trial: Trial) -> None:
    """From a legacy installation at rest: meet the fault, go on, look, and be at rest again for the next one."""
    point = trial.point
    if point.state in ("legacy", "finalized"):
        subject.reach_state("upgraded")
    if point.step == UNDONE:
        subject.meet(BEFORE_UNDONE, "kill")
    serves = subject.role == SERVER and point.step in hand_over_steps()
    changes = {"start": serves} if point.state == "legacy" else {}
    met = Met(subject, point, trial.kind, **changes)
    if trial.then == AGAIN:
        arrive(subject, "upgraded" if point.state == INSPECTION else point.state, [met], **changes)
    if serves:
        subject.rest_in_legacy()
        return
    subject.go_back()
    came_to = subject.assert_state("legacy")
    if trial.then == BACK:
        met.keep(trial.then, came_to)
    subject.tidy()
