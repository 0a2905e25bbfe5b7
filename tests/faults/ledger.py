# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ran, one JSON object a line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: What ran here, and what the table in the documentation was last written from.
RESULTS = CHECKOUT / ".cache/faults/results.jsonl"
KEPT = Path(__file__).with_name("results.jsonl")

CONVERGED = "v2 {release}, verified"
LEGACY = "legacy, identical bytes and definition"
LEGACY_SERVES = "legacy, identical definition and rows, serving"

_SENTENCE = re.compile(r"(.+?[.!?])(?=\s|$)", re.DOTALL)
_ATTEMPT = re.compile(r"\d{8}T\d{6}Z")
_CONTAINER = re.compile(r"\b[0-9a-f]{12,64}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]?\d*([+-]\d\d:\d\d|Z)?")
_ADDRESS = re.compile(r"\b10\.203\.\d+\.\d+\b")


@dataclass(frozen=True)
class Entry:
    """One fault: what and where, what the person at the keyboard read, what was done then, what came of it."""

    fault: str
    host: str
    kind: str
    saw: str
    then: str
    outcome: str
    #: The release that was the target, and how long all of it took.
    release: str
    seconds: float
    section: str = "special"
    time: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    @property
    def key(self) -> tuple[str, ...]:
        """What another run of the same fault shares with this one."""
        return self.section, self.host, self.fault, self.kind, self.then

    @property
    def trial(self) -> str:
        """The name of the trial that it proves."""
        return f"{self.host}/{self.section}/{self.fault}:{self.kind}:{self.then}"


def first_sentence(message: str) -> str:
    """The first sentence of a message, without what differs from run to run."""
    text = " ".join(message.split())
    match = _SENTENCE.match(text)
    text = match[1] if match else text
    text = _TIME.sub("<time>", _ATTEMPT.sub("<attempt>", text))
    return _ADDRESS.sub("<address>", _CONTAINER.sub("<id>", text))


def add(entry: Entry) -> None:
    """Keep an entry."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as results:
        results.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")


def read() -> list[Entry]:
    """The newest entry of every fault, in the order in which faults were first met."""
    newest: dict[tuple[str, ...], Entry] = {}
    for entry in sorted((*_entries(KEPT), *_entries(RESULTS)), key=lambda entry: entry.time):
        newest[entry.key] = entry
    return list(newest.values())


def keep(entries: Iterable[Entry]) -> None:
    """Keep these, and nothing else, for the next table."""
    lines = [json.dumps(asdict(entry), ensure_ascii=False) for entry in sorted(entries, key=lambda entry: entry.key)]
    KEPT.write_text("\n".join(lines) + "\n")


def _entries(path: Path) -> list[Entry]:
    return [Entry(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
