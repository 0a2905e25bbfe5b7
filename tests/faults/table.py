# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of faults in the documentation, written from what ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

from tests.faults.ledger import CHECKOUT, Entry, first_sentence
from tests.faults.points import KINDS, SERVER, WORKER, every_point, points
from tests.faults.trials import AGAIN, BACK, Trial, trials

TARGET = CHECKOUT / "docs/faults.md"
TITLES = {
    "upgraded": "On the way to v2",
    "legacy": "On the way back",
    "finalized": "While the roll-out variables are removed",
    "stopped": "When a failed switch is left for inspection (`gpustack_on_failure: stop`)",
    "cleaned": "While the clean-up removes what the upgrade left behind",
}
SPECIAL = "special"
HEAD = """# Faults, and what came of them

Written by `python -m tests.faults table` from what ran on the lab's real hosts; not to be edited. {first} to {last},
GPUStack 0.7.1 to {releases}. {met} of {all} trials came to a good end: {points} fault points, each met in several ways,
and each left in two. What has no date was not tried yet. How to use fault points: [testing](testing.md).

Every fault ends in one of two ways: v2 in service with everything that was there ("again": the same command once
more), or the legacy installation with identical bytes of its files and an identical definition of its container
("back"). Where the legacy server has its service back already, it writes its files; there its definition and its rows
are compared. "Kill" is `kill -9` of the process that does the work, "controller" is `kill -9` of Ansible while that
process stands at the point and then goes on, "raise" is an exception.
"""
NEVER, NOT_YET = "", "not yet"


def write(entries: list[Entry]) -> Path:
    """Write the file; returns its path."""
    TARGET.write_text(render(entries))
    return TARGET


def render(entries: list[Entry]) -> str:
    """The whole file."""
    days = sorted(entry.time[:10] for entry in entries) or ["-"]
    wanted = {trial.name for role in (SERVER, WORKER) for trial in trials(role)}
    found = {entry.trial: entry for entry in entries if entry.trial in wanted}
    releases = ", ".join(sorted({entry.release for entry in entries}))
    head = HEAD.format(
        first=days[0], last=days[-1], releases=releases, met=len(found), all=len(wanted), points=len(every_point())
    )
    parts = [head]
    for state, title in TITLES.items():
        parts.append(f"## {title}\n")
        for role in (SERVER, WORKER):
            if points(role, state):
                parts.append("\n".join(matrix(role, state, found)) + "\n")
        parts.append("\n".join(said(entry for entry in found.values() if entry.section == state)) + "\n")
    others = [entry for entry in entries if entry.section == SPECIAL]
    if others:
        parts.append("\n".join(["## Other faults", "", *rows(others)]) + "\n")
    return "\n".join(parts)


def matrix(role: str, state: str, found: Mapping[str, Entry]) -> list[str]:
    """The points on the way to a state, one in a row, with the day on which each trial of it came to a good end."""
    every = [trial for trial in trials(role) if trial.point.state == state]
    columns = [way for way in product(KINDS, (AGAIN, BACK)) if way in {(trial.kind, trial.then) for trial in every}]
    lines = [_row([role, *(f"{kind}, {then}" for kind, then in columns)]), _row(["---"] * (1 + len(columns)))]
    for point in points(role, state):
        cells = [_day(Trial(point, kind, then), every, found) for kind, then in columns]
        lines.append(_row([f"`{point}`", *cells]))
    return lines


def _day(trial: Trial, every: list[Trial], found: Mapping[str, Entry]) -> str:
    if trial not in every:
        return NEVER
    return found[trial.name].time[:10] if trial.name in found else NOT_YET


def said(entries: Iterable[Entry]) -> list[str]:
    """What the user read in each kind, with the points at which it was that."""
    where: dict[tuple[str, str, str], list[str]] = {}
    for entry in entries:
        faults = where.setdefault((entry.host, entry.kind, entry.saw), [])
        if entry.fault not in faults:
            faults.append(entry.fault)
    lines = [_row(["host", "kind", "what the user sees", "at"]), _row(["---"] * 4)]
    for (host, kind, saw), faults in sorted(where.items()):
        lines.append(_row([host, kind, _told(saw), ", ".join(f"`{fault}`" for fault in sorted(faults))]))
    return lines


def rows(entries: Iterable[Entry]) -> list[str]:
    """Faults that are no fault points, one in a row."""
    lines = [_row(["fault", "what the user sees", "then", "outcome", "day"]), _row(["---"] * 5)]
    for entry in sorted(entries, key=lambda entry: entry.fault):
        lines.append(_row([entry.fault, _told(entry.saw), entry.then, entry.outcome, entry.time[:10]]))
    return lines


def _told(saw: str) -> str:
    return first_sentence(saw).replace("|", "\\|") or "nothing more"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
