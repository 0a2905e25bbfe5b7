# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of faults in the documentation, written from what ran."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.faults.ledger import CHECKOUT, Entry, first_sentence
from tests.faults.points import STATES, every_point

TARGET = CHECKOUT / "docs/faults.md"
TITLES = {
    "upgraded": "On the way to v2",
    "legacy": "On the way back",
    "finalized": "While the roll-out variables are removed",
    "stopped": "When a failed switch is left for inspection (`gpustack_on_failure: stop`)",
    "cleaned": "While the clean-up removes what the upgrade left behind",
    "special": "Other faults",
}
HEAD = """# Faults, and what came of them

Written by `python -m tests.faults table` from what ran on the lab's real hosts; not to be edited. {first} to {last},
GPUStack 0.7.1 to {releases}. {met} of {points} fault points were met. How to use fault points: [testing](testing.md).

Every fault ends in one of two ways: v2 in service with everything that was there, or the legacy installation with
identical bytes of its files and an identical definition of its container. "Kill" is `kill -9` of the process that does
the work, "controller" is `kill -9` of Ansible while that process stands at the point and then goes on, "raise" is an
exception.
"""


def write(entries: list[Entry]) -> Path:
    """Write the file; returns its path."""
    TARGET.write_text(render(entries))
    return TARGET


def render(entries: list[Entry]) -> str:
    """The whole file."""
    days = sorted(entry.time[:10] for entry in entries) or ["-"]
    known = {(point.role, point.state, str(point)) for point in every_point()}
    met = {(entry.host, entry.section, entry.fault) for entry in entries} & known
    releases = ", ".join(sorted({entry.release for entry in entries}))
    parts = [HEAD.format(first=days[0], last=days[-1], releases=releases, met=len(met), points=len(known))]
    for section in (*STATES, "special"):
        own = [entry for entry in entries if entry.section == section]
        if own:
            parts.append("\n".join([f"## {TITLES[section]}", "", *rows(own)]) + "\n")
    return "\n".join(parts)


def rows(entries: Iterable[Entry]) -> list[str]:
    """Entries as the rows of a Markdown table."""
    lines = ["| fault | host | kind | what the user sees | then | outcome |", "|---|---|---|---|---|---|"]
    for entry in entries:
        fault = entry.fault if entry.section == "special" else f"`{entry.fault}`"
        said = first_sentence(entry.saw).replace("|", "\\|") or "nothing more"
        lines.append(f"| {fault} | {entry.host} | {entry.kind} | {said} | {entry.then} | {entry.outcome} |")
    return lines
