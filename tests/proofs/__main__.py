# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.proofs`: what a scenario proved, and the README's tables of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.proofs import ledger, table, vendors


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("vendors", help="hold what the scenario vendors found against the documents").add_argument(
        "found", type=Path
    )
    added = commands.add_parser("add", help="note one proof")
    for name in ("table", "row", "column", "scenario"):
        added.add_argument(name)
    commands.add_parser("tables", help="write the README's tables from what ran here and before")
    args = parser.parse_args()
    if args.command == "add":
        ledger.add(ledger.Proof(args.table, args.row, args.column, args.scenario))
    elif args.command == "vendors":
        wrong = vendors.verify(args.found)
        print("\n".join(wrong) or "every container is as documented")
        return 1 if wrong else 0
    else:
        proofs = ledger.read()
        ledger.keep(proofs)
        table.write(proofs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
