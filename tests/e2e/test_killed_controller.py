# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that is killed in the middle of the server's switch does not stop it (2.2.3)."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet


def wait_for_step(fleet: Fleet, step: str, state: str, run: subprocess.Popen[str] | None = None) -> None:
    """Wait until the server's journal holds a step; the journal is the only clock of a switch."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        text = fleet.host("server").exec_root(
            "sh", "-c", "cat /var/lib/fleetops-gpustack/journal.jsonl 2>/dev/null; true"
        )
        if any(f'"step": "{step}"' in line and f'"state": "{state}"' in line for line in text.splitlines()):
            return
        assert run is None or run.poll() is None, "the run ended before the step"
        time.sleep(0.2)
    raise AssertionError(f"step {step} was not {state} within 300 s")


@pytest.mark.proves("installations", "bind", "2.2.3")
def test_killed_controller_does_not_stop_the_switch(fleet: Fleet) -> None:
    argv = playbook.command(fleet, playbook.PLAYBOOKS / "upgrade.yml")
    log = fleet.folder / "killed-controller.log"
    with log.open("w") as out:
        controller = subprocess.Popen(
            argv,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=playbook.environment(),
            cwd=playbook.CHECKOUT,
            start_new_session=True,
            text=True,
        )
        wait_for_step(fleet, "migrate", "started", controller)
        os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
    playbook.log(fleet, "killed-controller", log.read_text())
    wait_for_step(fleet, "done", "done")
    assert outside.image_of(fleet.host("server")) == "gpustack/gpustack:v2.2.3"
    done = playbook.run(fleet, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.2.3")
