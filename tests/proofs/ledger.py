# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was proven by a scenario that ran: one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: What ran here, and what the tables in the README were last written from.
RESULTS = CHECKOUT / ".cache/proofs/results.jsonl"
KEPT = Path(__file__).with_name("results.jsonl")


@dataclass(frozen=True)
class Proof:
    """One cell of a table, and the scenario that filled it."""

    table: str
    row: str
    column: str
    scenario: str
    day: str = field(default_factory=lambda: time.strftime("%Y-%m-%d", time.gmtime()))

    @property
    def key(self) -> tuple[str, ...]:
        """What another run of the scenario shares with this one."""
        return self.table, self.row, self.column, self.scenario


def add(proof: Proof) -> None:
    """Keep a proof."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as results:
        results.write(json.dumps(asdict(proof), ensure_ascii=False) + "\n")


def read(*paths: Path) -> list[Proof]:
    """The newest of every proof; of the committed ones and those of this machine where no files are named."""
    newest: dict[tuple[str, ...], Proof] = {}
    found = [proof for path in paths or (KEPT, RESULTS) for proof in _proofs(path)]
    for proof in sorted(found, key=lambda proof: proof.day):
        newest[proof.key] = proof
    return [newest[key] for key in sorted(newest)]


def keep(proofs: Iterable[Proof]) -> None:
    """Keep these, and nothing else, for the next tables."""
    KEPT.write_text("".join(json.dumps(asdict(proof), ensure_ascii=False) + "\n" for proof in proofs))


def _proofs(path: Path) -> list[Proof]:
    return [Proof(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
