# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trials, packed into rounds: from a legacy installation at rest to v2 and back, with faults on the whole way.

A start of v2 takes minutes on a small machine, and nearly every trial needs one; so each round takes along as many
trials as it can prove. What `kill` leaves to be done by the same command again is proven by the chains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tests.faults.points import CLEANED, INSPECTION, ROWS_AGAIN, SERVER, Point, hand_over_steps, points
from tests.faults.trials import AGAIN, BACK, Trial, trials

KILL, CONTROLLER, RAISE = "kill", "controller", "raise"
#: Where a finalize is interrupted so that there is something to be undone.
BEFORE_UNDONE = Point(SERVER, "finalized", "finalize_stop", "after")
#: How many exceptions in a row one round takes. Each costs a way there as far as its point, or a start of the server.
IN_A_ROW, IN_A_ROW_OF_FINALIZE = 4, 2


@dataclass(frozen=True)
class Meeting:
    """One fault point, met in one way."""

    point: Point
    kind: str


@dataclass(frozen=True)
class Round:
    """What is met on one way there and back. Each leg but the first begins where the one before has ended."""

    #: On the way to v2. After an exception the host is looked at: it must be legacy again by itself.
    there: tuple[Meeting, ...] = ()
    #: Whether the same command again brings the host to v2 before anything else.
    arrives: bool = True
    #: While the roll-out variables are removed, and whether the same command again ends that.
    finalize: tuple[Meeting, ...] = ()
    finalizes: bool = False
    #: On the way back; the same command again ends that always.
    back: tuple[Meeting, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether the legacy server gets its service back in the end, and so goes on writing its files."""
        return any(hands_over(meeting.point) for meeting in self.back)

    def proves(self) -> list[Trial]:
        """The trials that a round stands for when it has come to a good end."""
        found = []
        if self.arrives:
            found += [Trial(met.point, met.kind, AGAIN) for met in self.there]
        if self.finalizes:
            found += [Trial(met.point, met.kind, AGAIN) for met in self.finalize]
        found += [Trial(met.point, met.kind, AGAIN) for met in self.back]
        if not self.serves:
            found += [Trial(met.point, met.kind, BACK) for met in [*self._there_and_back(), *self._finalize_and_back()]]
        return found

    def _there_and_back(self) -> Iterable[Meeting]:
        """Where the way back began in what the fault had left, or in what the work that went on without it had."""
        if not self.arrives:
            return self.there
        return [met for met in self.there if goes_back_by_itself(met) or goes_on_by_itself(met)]

    def _finalize_and_back(self) -> Iterable[Meeting]:
        return self.finalize if not self.finalizes else [met for met in self.finalize if goes_on_by_itself(met)]


def hands_over(point: Point) -> bool:
    """Whether the legacy server is about to serve again, or serves, at a point."""
    return point.role == SERVER and point.step in hand_over_steps()


def goes_back_by_itself(met: Meeting) -> bool:
    """Whether a run ends in a legacy installation. What fails behind the acceptance of v2 does not."""
    return met.kind == RAISE and met.point.state == "upgraded" and met.point.step != "done"


def goes_on_by_itself(met: Meeting) -> bool:
    """Whether the work reaches its end although nobody waits for it."""
    return met.kind == CONTROLLER and met.point.state != INSPECTION


def rounds(role: str) -> list[Round]:
    """Rounds that prove, with the chains, everything that can be tried at the points of a role."""
    arriving = [*_alone(role), *_exceptions_there(role)]
    return [
        *_filled(arriving, _finalize_legs(role), [(met,) for met in _back(role, CONTROLLER)]),
        *_killed_and_back(role),
        *_exceptions_back(role),
        *_handing_over(role),
    ]


def in_the_chains(trial: Trial) -> bool:
    """Whether a chain proves it: by kill, with the same command again, or from which there is no way back."""
    return (trial.kind, trial.then) == (KILL, AGAIN) or trial.point.state == CLEANED


def order_of_back(back: Sequence[Point]) -> list[Point]:
    """The way back in an order in which each run comes to the next point; the second look at rows needs another one."""
    rows = [point for point in back if point.step == ROWS_AGAIN]
    order = [point for point in back if point.step != ROWS_AGAIN]
    after = 1 + next(number for number, point in enumerate(order) if str(point) == "undo_start:before")
    return [*order[:after], *rows[:1], *order[after:]]


def _alone(role: str) -> Iterator[Round]:
    """The controller dies: the work goes on to its end, so that every point needs a way there of its own."""
    for point in [*points(role, "upgraded"), *points(role, INSPECTION)]:
        yield Round(there=(Meeting(point, CONTROLLER),))


def _exceptions_there(role: str) -> Iterator[Round]:
    """Exceptions in a row, in the order of the steps; each row spans the whole way."""
    order = [Meeting(point, RAISE) for point in points(role, "upgraded")]
    before = [met for met in order if goes_back_by_itself(met)]
    rows = -(-len(before) // IN_A_ROW)
    for number in range(rows):
        yield Round(there=tuple(before[number::rows]))
    yield Round(there=tuple(met for met in order if not goes_back_by_itself(met)))


def _killed_and_back(role: str) -> Iterator[Round]:
    """Every point met by a kill from which the way back is taken at once, and what else has no other round for that."""
    for point in points(role, "upgraded"):
        yield Round(there=(Meeting(point, KILL),), arrives=False)
        if not goes_back_by_itself(Meeting(point, RAISE)):
            yield Round(there=(Meeting(point, RAISE),), arrives=False)
    for point in points(role, INSPECTION):
        for kind in (KILL, CONTROLLER):
            yield Round(there=(Meeting(point, kind),), arrives=False)


def _finalize_legs(role: str) -> list[Round]:
    """What can be met between the arrival and the way back, as rounds without a way there."""
    by_controller, by_exception, by_kill = (
        [Meeting(point, kind) for point in points(role, "finalized")] for kind in (CONTROLLER, RAISE, KILL)
    )
    rows = len(by_exception) // IN_A_ROW_OF_FINALIZE
    return [
        *(Round(finalize=(met,), finalizes=True) for met in by_controller),
        *(Round(finalize=(met,)) for met in [*by_kill, *by_exception]),
        *(Round(finalize=tuple(by_exception[number::rows]), finalizes=True) for number in range(rows)),
    ]


def _back(role: str, kind: str) -> list[Meeting]:
    return [Meeting(point, kind) for point in points(role, "legacy") if not hands_over(point)]


def _filled(arriving: Iterable[Round], finalize: list[Round], back: list[tuple[Meeting, ...]]) -> list[Round]:
    """Rounds that arrive, with what can follow the arrival; as many more as that needs."""
    found, legs, ways = list(arriving), [leg for leg in finalize if leg.finalize], list(back)
    found += [Round()] * max(0, max(len(legs), len(ways)) - len(found))
    for number, each in enumerate(found):
        leg = legs[number] if number < len(legs) else Round()
        way = ways[number] if number < len(ways) else ()
        found[number] = replace(each, finalize=leg.finalize, finalizes=leg.finalizes, back=way)
    return found


def _exceptions_back(role: str) -> Iterator[Round]:
    """Exceptions on the way back from v2, each a step further."""
    yield Round(back=tuple(_back(role, RAISE)))


def _handing_over(role: str) -> Iterator[Round]:
    """What is met while the legacy server gets its service back; how far v2 had come makes no difference there."""
    order = [point for point in order_of_back(points(role, "legacy")) if hands_over(point)]
    if not order:
        return
    missing = [point for point in points(role, "legacy") if hands_over(point) and point not in order]
    for back in (tuple(Meeting(point, RAISE) for point in order), *((Meeting(point, RAISE),) for point in missing)):
        yield Round(arrives=False, back=back)
    for point in [*order, *missing]:
        yield Round(arrives=False, back=(Meeting(point, CONTROLLER),))


def choose(role: str, names: Sequence[str]) -> list[Round]:
    """For every trial whose name begins like one of these, a round that proves it."""
    wanted = {trial for trial in trials(role) if any(trial.name.startswith(name) for name in names)}
    found = []
    for each in rounds(role):
        if wanted & set(each.proves()):
            wanted -= set(each.proves())
            found.append(each)
    return found
