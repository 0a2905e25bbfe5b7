# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that go on while the test does something to their hosts."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet, Reach

SECONDS = 300.0
LOCK = "/var/lib/fleetops-gpustack/lock"


class Background:
    """A run that was started."""

    def __init__(self, fleet: Fleet, name: str, process: subprocess.Popen[str]) -> None:
        self._fleet, self._name, self._process = fleet, name, process
        self._path = fleet.folder / f"{name}.log"

    def ended(self) -> bool:
        return self._process.poll() is not None

    def finish(self) -> playbook.Run:
        """Wait for its end, and keep its output for the search for secrets."""
        code = self._process.wait(timeout=2 * SECONDS)
        output = self._path.read_text()
        playbook.log(self._fleet, self._name, output)
        return playbook.Run(code, output, {})

    def kill(self) -> None:
        """End the controller, if the test did not come to its end."""
        if not self.ended():
            self._process.kill()
            self._process.wait()


@contextmanager
def upgrade(fleet: Fleet, name: str, **variables: Any) -> Iterator[Background]:
    """An upgrade in the background; the name is that of its log."""
    with (fleet.folder / f"{name}.log").open("w") as out:
        process = subprocess.Popen(
            playbook.command(fleet, playbook.PLAYBOOKS / "upgrade.yml", **variables),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=playbook.environment(),
            cwd=playbook.CHECKOUT,
            text=True,
        )
    run = Background(fleet, name, process)
    try:
        yield run
    finally:
        run.kill()


def steps(host: Reach, step: str, state: str) -> int:
    """How often the journal of a host has a step in a state."""
    if not host.exec_root("sh", "-c", "cat /var/lib/fleetops-gpustack/journal.jsonl 2>/dev/null; true"):
        return 0
    return sum((entry["step"], entry["state"]) == (step, state) for entry in outside.journal(host))


def wait_for_step(host: Reach, step: str, state: str, times: int = 1, run: Background | None = None) -> None:
    """Wait until the journal has a step so many times; the journal is the only clock of a switch."""
    deadline = time.monotonic() + SECONDS
    while steps(host, step, state) < times:
        assert run is None or not run.ended(), f"the run ended before step {step}"
        assert time.monotonic() < deadline, f"step {step} was not {state} within {SECONDS:g} s"
        time.sleep(0.2)


def lock_of(host: Reach) -> dict[str, Any]:
    """What the lock of a host says."""
    found: dict[str, Any] = json.loads(host.exec_root("cat", LOCK))
    return found


def wait_until_paused(host: Reach) -> int:
    """Wait until the process under the lock has stopped itself; its pid."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        pid = int(lock_of(host)["pid"])
        if "State:\tT" in host.exec_root("cat", f"/proc/{pid}/status", check=False):
            return pid
        time.sleep(0.2)
    raise AssertionError(f"no process under the lock stopped itself within {SECONDS:g} s")
