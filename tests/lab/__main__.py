# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.lab`: the lab's one entry on the command line."""

from __future__ import annotations

import argparse
import sys

from tests.lab import engine
from tests.lab.errors import LabError
from tests.lab.progress import say


def _engine(args: argparse.Namespace) -> None:
    if args.action == "stop":
        engine.stop()
        return
    if args.action == "start":
        engine.ensure()
    say(engine.describe())


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m tests.lab", description="A real GPUStack fleet on one machine.")
    commands = top.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("engine", help="the Docker engine: start it where none answers, stop it, describe it")
    sub.add_argument("action", choices=("start", "stop", "status"))
    sub.set_defaults(call=_engine)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; a LabError becomes one message and exit status 1."""
    args = parser().parse_args(argv)
    try:
        args.call(args)
    except LabError as exc:
        print(f"lab: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
