# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs all gates in order, stops at the first that fails, and closes with what each took.

Two gates run beside each other where neither needs the whole machine: what reads the code, and the unit tests.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

GATES = Path(__file__).resolve().parent
# Each stage begins when the one before has passed.
STAGES = (("lint", "sanity", "build", "units"), ("molecule",), ("e2e",), ("faults",))
# What a gate is told beyond its name: of these two CI takes a part, as all of them takes hours.
ARGUMENTS = {"e2e": ("ci",), "faults": ("ci",)}
# Real hosts are slow enough without company; two gates at once fill two cores.
AT_ONCE = 2
CLOSING_LINE = (" passed", " failed", "no tests ran")


@dataclass
class Gate:
    """A gate, and how it went."""

    name: str
    seconds: float = 0.0
    code: int | None = None
    closing: list[str] = field(default_factory=list)

    def run(self, show_at_once: bool) -> None:
        """Run the script; its output shows while it runs, or in one piece at its end."""
        began = time.monotonic()
        command = [str(GATES / f"{self.name}.sh"), *ARGUMENTS.get(self.name, ())]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            lines = []
            for line in process.stdout or ():
                lines.append(line)
                if show_at_once:
                    print(line, end="", flush=True)
        self.seconds = time.monotonic() - began
        self.code = process.returncode
        self.closing = [
            line.strip() for line in lines if line.rstrip().endswith("s") and any(w in line for w in CLOSING_LINE)
        ]
        if not show_at_once:
            print(f"== {self.name}\n{''.join(lines)}", end="", flush=True)

    def row(self) -> str:
        """The gate's line of the closing table."""
        state = {None: "not run", 0: "passed"}.get(self.code, "FAILED")
        return f"{self.name:<10} {state:<8} {self.seconds:>7.0f} s"


def run_stage(gates: list[Gate]) -> bool:
    """Run the gates of a stage; True when all passed. No further one starts after a failure."""

    def run_unless_failed(gate: Gate) -> None:
        if all(other.code in (None, 0) for other in gates):
            gate.run(show_at_once=len(gates) == 1)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run_unless_failed, gates))
    return all(gate.code == 0 for gate in gates)


def main() -> int:
    """Run stage by stage."""
    began = time.monotonic()
    stages = [[Gate(name) for name in stage] for stage in STAGES]
    for stage in stages:
        print(f"== {', '.join(gate.name for gate in stage)}: begins", flush=True)
        if not run_stage(stage):
            break
    gates = [gate for stage in stages for gate in stage]
    print("\n" + "\n".join(gate.row() for gate in gates))
    print(f"{'together':<19} {time.monotonic() - began:>7.0f} s")
    for gate in gates:
        for line in gate.closing:
            print(f"{gate.name}: {line}")
    failed = [gate.name for gate in gates if gate.code not in (None, 0)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
