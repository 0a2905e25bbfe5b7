# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.faults`: every fault point on a real fleet, and the table of what came of it."""

from __future__ import annotations

import argparse
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults import fleets, ledger, passes, special, table
from tests.faults.points import CLEANED, SERVER, WORKER, every_point, points
from tests.faults.rounds import Round, choose, rounds
from tests.faults.subject import Subject, show, subjects
from tests.faults.trials import trials
from tests.faults.walk import describe, walk
from tests.lab import rotation


def run_chain(_args: argparse.Namespace) -> None:
    """Every point once, by kill -9 of the process that does the work."""
    hosts = subjects(fleets.fresh())
    passes.chain_of_fleet(hosts)
    passes.chain_of_cleanup(hosts)


def run_cleanups(_args: argparse.Namespace) -> None:
    """The points of the clean-up in the other kinds, each on a fleet that was upgraded for it."""
    for number in range(len(points(SERVER, CLEANED))):
        passes.cleanup_alone(subjects(fleets.fresh()), number)


def run_all(args: argparse.Namespace) -> None:
    """Everything: the chain, every point in every way, the special faults, and the table."""
    run_chain(args)
    run_cleanups(args)
    walk_all(subjects(fleets.fresh()), {role: rounds(role) for role in (WORKER, SERVER)})
    special.run()
    fleets.remove()
    run_table(args)


def run_ci(args: argparse.Namespace) -> None:
    """The chain, then what the rotation chooses: a round of a server or of a worker, or two of the other faults."""
    deadline = time.monotonic() + 60 * args.minutes
    run_chain(args)
    order = rotation.Order(args.rotation)
    turn = order.shuffled((SERVER, WORKER, table.SPECIAL))[0]
    show(f"rotation {order.seed}: {turn}; the same again: python -m tests.faults ci --rotation {order.seed}")
    if time.monotonic() > deadline:
        show(f"no time for it: {args.minutes} minutes are over")
    elif turn == table.SPECIAL:
        special.run(order.shuffled(special.quick())[:2])
    else:
        walk_all(subjects(fleets.fresh()), {SERVER: [], WORKER: [], turn: order.shuffled(rounds(turn))[:1]})
    fleets.remove()


def run_rounds(args: argparse.Namespace) -> None:
    """The rounds, or those that prove the trials that were named, or the open ones; none begins after --minutes."""
    deadline = time.monotonic() + 60 * args.minutes
    chosen = {role: choose(role, args.trial) for role in (WORKER, SERVER)}
    if args.open:
        proven = {entry.trial for entry in ledger.read()}
        chosen = {
            role: [each for each in found if not {trial.name for trial in each.proves()} <= proven]
            for role, found in chosen.items()
        }
    walk_all(subjects(fleets.fresh()), chosen, deadline)


def run_table(_args: argparse.Namespace) -> None:
    """Write the table from what ran here and before, and keep that for the next one."""
    names = {trial.name for role in (SERVER, WORKER) for trial in trials(role)}
    entries = [entry for entry in ledger.read() if entry.section == table.SPECIAL or entry.trial in names]
    ledger.keep(entries)
    show(f"written: {table.write(entries)}")


def run_points(_args: argparse.Namespace) -> None:
    """Name every point."""
    for point in every_point():
        print(point.name)


def walk_all(hosts: dict[str, Subject], chosen: dict[str, list[Round]], deadline: float = math.inf) -> None:
    """Workers first, who share theirs, beside a v2 server; then the server. No round begins after the deadline."""
    server = hosts["server"]
    workers = [host for host in hosts.values() if host.role == WORKER]
    if chosen[WORKER]:
        server.reach_state("upgraded")
        with ThreadPoolExecutor(len(workers)) as pool:
            shares = [chosen[WORKER][number :: len(workers)] for number in range(len(workers))]
            list(pool.map(lambda worker, share: walk_some(worker, share, deadline), workers, shares))
    walk_some(server, chosen[SERVER], deadline)


def walk_some(subject: Subject, chosen: list[Round], deadline: float) -> None:
    """Walk rounds on one host, from a legacy installation that stands still."""
    if not chosen:
        return
    subject.rest_in_legacy()
    for number, each in enumerate(chosen):
        if time.monotonic() > deadline:
            show(f"{subject.name}: no time for {len(chosen) - number} rounds: {describe(each)}, ...")
            return
        walk(subject, each)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(required=True)
    plain = {"all": run_all, "chain": run_chain, "cleanups": run_cleanups, "table": run_table, "points": run_points}
    for name, call in plain.items():
        commands.add_parser(name, help=call.__doc__).set_defaults(call=call)
    ci = commands.add_parser("ci", help=run_ci.__doc__)
    ci.add_argument("--rotation", type=int, default=rotation.seed_of_checkout(), help="default: the checked out commit")
    ci.add_argument("--minutes", type=float, default=12, help="begin no round after so many minutes")
    ci.set_defaults(call=run_ci)
    some = commands.add_parser("rounds", help=run_rounds.__doc__)
    some.add_argument("trial", nargs="*", default=[""], help="how its name begins, such as server/upgraded/rows:before")
    some.add_argument("--open", action="store_true", help="only those that prove what the table does not show yet")
    some.add_argument("--minutes", type=float, default=math.inf, help="begin no round after so many minutes")
    some.set_defaults(call=run_rounds)
    args = parser.parse_args()
    args.call(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
