# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.e2e.in_ci`: the files that CI runs; what it leaves out is said on every run. `make e2e` runs all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab import rotation

FOLDER = Path(__file__).resolve().parent
#: Files that take turns by the commit, with the minutes that each took on two cores, its fleet's reset included: all of
#: them on every run would take CI past its 90 minutes.
TURNS = {
    "test_bridge.py": 5,
    "test_cleanup.py": 12,
    "test_config_file.py": 9,
    "test_embedded.py": 9,
    "test_external_mysql.py": 14,
    "test_external_postgresql.py": 12,
    "test_external_target.py": 9,
    "test_inventory.py": 7,
    "test_left_for_inspection.py": 9,
    "test_models.py": 14,
    "test_mounts.py": 7,
    "test_resume.py": 7,
    "test_old_releases.py": 14,
    "test_oldest_servers.py": 16,
    "test_older_servers.py": 11,
    "test_rollback.py": 16,
    "test_script_install.py": 14,
    "test_secrets.py": 10,
    "test_supervised.py": 12,
    "test_tls.py": 8,
    "test_transfer.py": 10,
    "test_two_workers.py": 11,
    "test_vendors.py": 6,
    "test_ways.py": 3,
    "test_wreck_empty.py": 6,
    "test_wrecks.py": 11,
}
#: What a run of CI has for them.
MINUTES = 16


def turns() -> list[list[str]]:
    """The files in groups that fit into the minutes, each file in one: the longest ones first, each where it fits."""
    groups: list[list[str]] = []
    for name in sorted(TURNS, key=lambda each: (-TURNS[each], each)):
        fitting = (group for group in groups if _minutes(group) + TURNS[name] <= MINUTES)
        group = next(fitting, None)
        if group is None:
            groups.append(group := [])
        group.append(name)
    return groups


def _minutes(files: Sequence[str]) -> int:
    return sum(TURNS[name] for name in files)


def their_turn(seed: int) -> list[str]:
    """The files whose turn it is, by the seed: none comes up less often than another."""
    groups = turns()
    return groups[seed % len(groups)]


def chosen(files: Sequence[str], seed: int) -> list[str]:
    """Of all files those that CI runs at a commit."""
    turns = their_turn(seed)
    return [name for name in files if name not in TURNS or name in turns]


def main() -> int:
    """Print the files, and on the other stream what is left out."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.in_ci", description=__doc__)
    parser.add_argument("--rotation", type=int, default=rotation.seed_of_checkout(), help="default: the commit")
    seed = parser.parse_args().rotation
    files = sorted(path.name for path in FOLDER.glob("test_*.py"))
    run = chosen(files, seed)
    waiting = ", ".join(name for name in TURNS if name not in run) or "none"
    print(f"e2e: not their turn in rotation {seed}: {waiting} (`make e2e` runs all)", file=sys.stderr)
    print("\n".join(f"tests/e2e/{name}" for name in run))
    return 0


if __name__ == "__main__":
    sys.exit(main())
