# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.e2e.turn`: the files that CI runs for this commit, and what it leaves out (`make e2e` runs all)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab import rotation

FOLDER = Path(__file__).resolve().parent
#: All of them together take longer than CI may; the others run for every commit.
IN_TURN = (
    "test_bridge.py",
    "test_cleanup.py",
    "test_left_for_inspection.py",
    "test_resume.py",
    "test_secrets.py",
    "test_supervised.py",
    "test_wreck_empty.py",
    "test_wrecks.py",
)
AT_ONCE = 2


def chosen(files: Sequence[str], turn: int) -> tuple[list[str], list[str]]:
    """Of all files those that run in a turn, and those that do not."""
    waiting = set(rotation.Order(turn).shuffled(IN_TURN)[AT_ONCE:])
    return [name for name in files if name not in waiting], sorted(waiting & set(files))


def main() -> int:
    """Print the files of this commit's turn, or of the one that is named."""
    turn = int(sys.argv[1]) if len(sys.argv) > 1 else rotation.seed_of_checkout()
    files, waiting = chosen(sorted(path.name for path in FOLDER.glob("test_*.py")), turn)
    print(f"e2e: turn {turn}; NOT run in it: {', '.join(waiting)} (`make e2e` runs all)", file=sys.stderr)
    print("\n".join(f"tests/e2e/{name}" for name in files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
