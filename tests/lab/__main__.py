# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.lab`: the lab's one entry on the command line."""

from __future__ import annotations

import argparse
import os
import sys

from tests.lab import access, docker, engine, host_image, lifecycle, lock, releases, seed
from tests.lab.errors import LabError
from tests.lab.fleet import Fleet
from tests.lab.layout import Options
from tests.lab.progress import say


def _engine(args: argparse.Namespace) -> None:
    if args.action == "stop":
        engine.stop()
        return
    if args.action == "start":
        engine.ensure()
    say(engine.describe())


def _images(args: argparse.Namespace) -> None:
    engine.ensure()
    with lock.held():
        host_image.ensure()
        for release in args.release or [Options.legacy, *Options.targets]:
            say(f"{release}: {', '.join(releases.ensure(release))}")


def _up(args: argparse.Namespace) -> None:
    chosen = {key: value for key, value in vars(args).items() if key not in ("command", "call")}
    chosen["targets"] = tuple(args.targets or Options.targets)
    lifecycle.up(Options(**chosen))


def _down(args: argparse.Namespace) -> None:
    for name in Fleet.names() if args.all else [args.name]:
        lifecycle.down(name)


def _purge(_args: argparse.Namespace) -> None:
    if docker.out("ps", "--all", "--quiet", "--filter", f"label={lifecycle.LABEL}"):
        raise LabError("fleets are there; remove them first with `down` (`status` names those of this checkout)")
    with lock.held():
        seed.purge()
        for image in docker.out("image", "ls", "--quiet", "--filter", "reference=gpustack-lab/*").split():
            docker.run("image", "rm", "--force", image, check=False)


def _reset(args: argparse.Namespace) -> None:
    lifecycle.reset(args.name)


def _ssh(args: argparse.Namespace) -> None:
    fleet = Fleet.load(args.fleet)
    command = [*access.ssh_command(fleet.folder, fleet.host(args.host).host), *args.remote]
    os.execvp(command[0], command)


def _status(_args: argparse.Namespace) -> None:
    print(engine.describe())
    for name in Fleet.names():
        fleet = Fleet.load(name)
        print(f"{name}: {'complete' if fleet.data['complete'] else 'not complete'}, inventory {fleet.inventory}")
        for host in fleet.hosts.values():
            container = docker.inspect("container", host.container)
            state = container["State"]["Status"] if container else "missing"
            print(f"  {host.name:10} {host.address:15} {state:10} {f'{host.gpus} GPUs' if host.gpus else ''}")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m tests.lab", description="A real GPUStack fleet on one machine.")
    commands = top.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("engine", help="the Docker engine: start it where none answers, stop it, describe it")
    sub.add_argument("action", choices=("start", "stop", "status"))
    sub.set_defaults(call=_engine)
    sub = commands.add_parser("images", help="build (or pull) every image")
    sub.add_argument(
        "--release", action="append", help="a GPUStack release; may be repeated (default: 0.7.1 and 2.2.3)"
    )
    sub.set_defaults(call=_images)
    sub = commands.add_parser("up", help="make a fleet, or find it made")
    _add_options(sub)
    sub.set_defaults(call=_up)
    sub = commands.add_parser("down", help="remove a fleet")
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--name")
    which.add_argument("--all", action="store_true", help="every fleet of this checkout")
    sub.set_defaults(call=_down)
    sub = commands.add_parser("purge", help="remove what is kept between fleets: seeds and the lab's own images")
    sub.set_defaults(call=_purge)
    sub = commands.add_parser("reset", help="bring a fleet back to the freshly filled legacy state")
    sub.add_argument("--name", required=True)
    sub.set_defaults(call=_reset)
    sub = commands.add_parser("ssh", help="open a shell, or run a command, on a host of a fleet")
    sub.add_argument("fleet")
    sub.add_argument("host")
    sub.add_argument("remote", nargs="*", help="the command; put -- before it")
    sub.set_defaults(call=_ssh)
    sub = commands.add_parser("status", help="show the engine and the fleets")
    sub.set_defaults(call=_status)
    return top


def _add_options(sub: argparse.ArgumentParser) -> None:
    """The options of `up`; their names are those of `Options`."""
    sub.add_argument("--name", required=True)
    sub.add_argument(
        "--workers", type=int, default=Options.workers, help="workers beside the server (default: %(default)s)"
    )
    sub.add_argument("--gpu-workers", type=int, default=Options.gpu_workers, help="how many of them show NVIDIA GPUs")
    sub.add_argument("--gpus", type=int, default=Options.gpus, help="GPUs that each of those shows")
    sub.add_argument("--legacy", default=Options.legacy, metavar="RELEASE", help="the installed release")
    sub.add_argument("--target", dest="targets", action="append", metavar="RELEASE", help="may be repeated")
    sub.add_argument("--seed", choices=("all", "legacy"), default=Options.seed, help="images that hosts hold already")
    sub.add_argument("--data", choices=("bind", "volume"), default=Options.data, help="what holds the data directory")
    sub.add_argument("--embedded-worker", action="store_true", help="the server's host is a worker, too")
    sub.add_argument(
        "--server-network", choices=("host", "bridge"), default=Options.server_network, help="bridge: publishes port 80"
    )
    sub.add_argument("--container-name", default=Options.container_name)
    sub.add_argument("--no-fill", dest="fill", action="store_false", help="leave the server's database empty")
    sub.add_argument("--hosts-only", action="store_true", help="install no GPUStack")
    sub.add_argument(
        "--no-snapshot", dest="snapshot", action="store_false", help="make no snapshot; `reset` is refused"
    )


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
