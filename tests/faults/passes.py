# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains: every fault point once by kill -9 of the process that works, each run dying a step further."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.e2e import outside, playbook
from tests.faults import outcome
from tests.faults.points import CLEANED, INSPECTION, WORKER, Point, points
from tests.faults.rounds import CONTROLLER, KILL, RAISE, Meeting, order_of_back
from tests.faults.subject import Subject, show
from tests.faults.trials import AGAIN
from tests.faults.walk import HALF_WAY, Met, arrive
from tests.lab.fleet import Fleet

#: Where a way back is about to start the legacy container: the last moment at which its files must be what they were.
BEFORE_LEGACY_STARTS = "undo_start:before"
#: Where a worker waits for its server.
AT_THE_SERVER = [point for point in points(WORKER, "upgraded") if point.step in ("ready", "accept", "done")]


def die(subject: Subject, on_the_way: Sequence[Point], **changes: Any) -> list[Met]:
    """Die by kill -9 at every point in turn, each time one further."""
    met = []
    for point in on_the_way:
        met.append(Met(subject, Meeting(point, KILL), **changes))
        if str(point) == BEFORE_LEGACY_STARTS:
            subject.assert_files()
        elif point.state == "upgraded":
            subject.note_files()
    return met


def end(subject: Subject, state: str, met: Sequence[Met], **changes: Any) -> None:
    """Arrive at last, and keep what was met before."""
    came_to = arrive(subject, state, **changes)
    for each in met:
        each.keep(AGAIN, came_to)
    show(f"{subject.name}: {state} after {len(met)} deaths, {time.monotonic() - met[0].began:.0f} s")


def chain(subject: Subject, state: str, on_the_way: Sequence[Point], **changes: Any) -> None:
    """Die at every point in turn, then arrive."""
    end(subject, state, die(subject, on_the_way, **changes), **changes)


def chain_of_fleet(subjects: dict[str, Subject]) -> None:
    """Every fault point of a fleet once, by kill -9 of the process that does the work; in the end the fleet is v2.

    Server and workers die beside each other where neither needs the other alive.
    """
    server = subjects["server"]
    workers = [subject for subject in subjects.values() if subject.role == WORKER]
    shares = [slice(number, None, len(workers)) for number in range(len(workers))]
    with ThreadPoolExecutor(1 + len(workers)) as pool:
        begun = [pool.submit(_until_the_server_is_needed, *each) for each in zip(workers, shares, strict=True)]
        server.note_definition()
        chain(server, "upgraded", points(server.role, "upgraded"))
        before = [each.result() for each in begun]
        list(pool.map(_at_the_server, workers, shares, before))
        back = [pool.submit(_back, *each) for each in zip(workers, shares, strict=True)]
        _server_back_and_there(server)
        for each in back:
            each.result()
        list(pool.map(_left_for_inspection, workers, shares))
    chain(server, "finalized", points(server.role, "finalized"))
    look_at_fleet(server.fleet)


def _until_the_server_is_needed(worker: Subject, share: slice) -> list[Met]:
    worker.rest_in_legacy()
    return die(worker, [point for point in points(worker.role, "upgraded")[share] if point not in AT_THE_SERVER])


def _at_the_server(worker: Subject, share: slice, before: list[Met]) -> None:
    late = [point for point in points(worker.role, "upgraded")[share] if point in AT_THE_SERVER]
    end(worker, "upgraded", [*before, *die(worker, late)])


def _back(worker: Subject, share: slice) -> None:
    chain(worker, "legacy", points(worker.role, "legacy")[share], start=False)
    worker.tidy()


def _server_back_and_there(server: Subject) -> None:
    """Back; half the way there for the second look at the rows, and back; left for inspection, and there again."""
    back = points(server.role, "legacy")
    chain(server, "legacy", order_of_back(back))
    server.tidy()
    server.note_definition()
    server.meet(HALF_WAY.point, HALF_WAY.kind)
    chain(server, "legacy", [point for point in back if point not in order_of_back(back)])
    server.tidy()
    server.note_definition()
    chain(server, "upgraded", points(server.role, INSPECTION))


def _left_for_inspection(worker: Subject, share: slice) -> None:
    # What goes back here has run for seconds, and would not heed SIGTERM yet.
    chain(worker, "upgraded", points(worker.role, INSPECTION)[share], stop_timeout=10)


def look_at_fleet(fleet: Fleet) -> None:
    """The operator's command changes nothing, and everything is v2 and ready.

    In this order, because the command waits for every worker: the server has just been restarted, and may have looked
    at its workers in a moment in which nothing answered.
    """
    done = playbook.run(fleet, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    assert set(done.recap("changed").values()) == {0}
    outside.assert_upgraded(fleet, outcome.RELEASE)


def chain_of_cleanup(subjects: dict[str, Subject]) -> None:
    """The points of the clean-up, on every host of an upgraded fleet; there is no way back from it."""
    with ThreadPoolExecutor(len(subjects)) as pool:
        list(pool.map(_die_cleaning_up, subjects.values()))


def _die_cleaning_up(subject: Subject) -> None:
    met = [_met_with_something_to_remove(subject, point, KILL) for point in points(subject.role, CLEANED)]
    end(subject, CLEANED, met)


def _met_with_something_to_remove(subject: Subject, point: Point, kind: str) -> Met:
    """Where a run died late, all is removed; the next one would have nothing to do."""
    subject.leave_a_superfluous_backup()
    return Met(subject, Meeting(point, kind))


def cleanup_alone(subjects: dict[str, Subject], number: int) -> None:
    """A legacy fleet, upgraded and cleaned up by runs whose controller dies at one point; the first time fails before.

    Such a run goes on to its end by itself, so that a fleet has only one of them.
    """
    server = subjects["server"]
    server.reach_state("upgraded")
    with ThreadPoolExecutor(len(subjects)) as pool:
        list(pool.map(lambda subject: subject.reach_state("upgraded"), subjects.values()))
        server.reach_state("finalized")
        list(pool.map(lambda subject: _clean_up(subject, number), subjects.values()))


def _clean_up(subject: Subject, number: int) -> None:
    every = points(subject.role, CLEANED)
    failed = [_met_with_something_to_remove(subject, point, RAISE) for point in every] if number == 0 else []
    end(subject, CLEANED, [*failed, _met_with_something_to_remove(subject, every[number], CONTROLLER)])
