# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the steps of a switch while they happen, from the journals on the hosts: Ansible is silent during a task."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from tests.lab import access
from tests.lab.fleet import Fleet

JOURNAL = "/var/lib/fleetops-gpustack/journal.jsonl"


@contextmanager
def shown(fleet: Fleet) -> Iterator[None]:
    """Print every step that begins on a host, as long as the context lasts."""
    followers = {name: _follow(fleet, name) for name in fleet.hosts}
    printers = [Thread(target=_print_steps, args=item) for item in followers.items()]
    for printer in printers:
        printer.start()
    try:
        yield
    finally:
        for follower in followers.values():
            follower.terminate()
        for printer in printers:
            printer.join()


def _follow(fleet: Fleet, name: str) -> subprocess.Popen[str]:
    # With a terminal, the end of ssh is the end of tail as well.
    ssh = [*access.ssh_command(fleet.folder, fleet.hosts[name]), "-tt"]
    return subprocess.Popen(
        [*ssh, f"sudo tail --lines=+1 --follow=name --retry {JOURNAL} 2>/dev/null"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _print_steps(host: str, follower: subprocess.Popen[str]) -> None:
    with follower:
        for line in follower.stdout or ():
            entry = json.loads(line)
            if entry["state"] == "started":
                print(f"    {host}: {entry['step']}", flush=True)
