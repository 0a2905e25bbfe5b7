# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.faults`: every fault point on a real fleet, and the table of what came of it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tests.faults import fleets, ledger, passes, special, table
from tests.faults.passes import Trial
from tests.faults.points import SERVER, WORKER, every_point
from tests.faults.subject import Subject, show, subjects
from tests.lab import rotation


def run_chain(_args: argparse.Namespace) -> None:
    """Every point once, by kill -9 of the process that does the work."""
    hosts = subjects(fleets.fresh())
    passes.chain_of_fleet(hosts)
    passes.chain_of_cleanup(hosts)


def run_all(args: argparse.Namespace) -> None:
    """Everything: the chain, every point in every way, the special faults, and the table."""
    run_chain(args)
    hosts = subjects(fleets.fresh())
    try_everywhere(hosts, [*passes.trials(WORKER), *passes.trials(SERVER)])
    special.run()
    fleets.remove()
    run_table(args)


def run_ci(args: argparse.Namespace) -> None:
    """The chain, then what the rotation chooses, for as long as there is time."""
    began = time.monotonic()
    run_chain(args)
    order = rotation.Order(args.rotation)
    show(f"rotation {order.seed}; the same again: python -m tests.faults ci --rotation {order.seed}")
    deadline = began + 60 * args.minutes
    workers, servers = (order.shuffled(passes.trials(role)) for role in (WORKER, SERVER))
    if time.monotonic() < deadline:
        hosts = subjects(fleets.fresh())
        try_everywhere(hosts, [*workers[: args.trials], *servers[: args.trials]], deadline)
    if time.monotonic() < deadline:
        special.run(order.shuffled(special.quick())[:1])
    fleets.remove()


def run_some(args: argparse.Namespace) -> None:
    """The trials that were named."""
    known = {trial.name: trial for role in (WORKER, SERVER) for trial in passes.trials(role)}
    hosts = subjects(fleets.fresh())
    chosen = [trial for name, trial in known.items() if any(name.startswith(text) for text in args.trial)]
    try_everywhere(hosts, chosen)


def run_table(_args: argparse.Namespace) -> None:
    """Write the table from what ran."""
    show(f"written: {table.write(ledger.read())}")


def run_points(_args: argparse.Namespace) -> None:
    """Name every point."""
    for point in every_point():
        print(point.name)


def try_everywhere(hosts: dict[str, Subject], chosen: Iterable[Trial], deadline: float | None = None) -> None:
    """Workers first, shared among the hosts, beside a v2 server; then the server."""
    trials = list(chosen)
    server = hosts["server"]
    workers = [host for host in hosts.values() if host.role == WORKER]
    for_workers = [trial for trial in trials if trial.point.role == WORKER]
    if for_workers:
        server.reach_state("upgraded")
        with ThreadPoolExecutor(len(workers)) as pool:
            shares = [for_workers[number :: len(workers)] for number in range(len(workers))]
            list(pool.map(lambda worker, share: try_on(worker, share, deadline), workers, shares))
    try_on(server, [trial for trial in trials if trial.point.role == SERVER], deadline)


def try_on(subject: Subject, chosen: list[Trial], deadline: float | None) -> None:
    """Try them on one host, from a legacy installation that stands still; begin none when the time is over."""
    if not chosen:
        return
    subject.rest_in_legacy()
    for number, trial in enumerate(chosen):
        if deadline is not None and time.monotonic() > deadline:
            show(f"{subject.name}: no time for {', '.join(left.name for left in chosen[number:])}")
            return
        passes.try_one(subject, trial)
        show(f"{subject.name}: {trial.name} came to a good end")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, call in (("all", run_all), ("chain", run_chain), ("table", run_table), ("points", run_points)):
        commands.add_parser(name, help=call.__doc__).set_defaults(call=call)
    ci = commands.add_parser("ci", help=run_ci.__doc__)
    ci.add_argument("--rotation", type=int, default=rotation.seed_of_checkout(), help="default: the checked out commit")
    ci.add_argument("--trials", type=int, default=2, help="at most so many for each role")
    ci.add_argument("--minutes", type=float, default=11, help="begin no trial after so many minutes")
    ci.set_defaults(call=run_ci)
    some = commands.add_parser("try", help=run_some.__doc__)
    some.add_argument("trial", nargs="+", help="how its name begins, such as server/upgraded/rows:before:raise")
    some.set_defaults(call=run_some)
    args = parser.parse_args()
    args.call(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
