# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole fleet in the middle of an upgrade; last, because it takes the fleet from the other tests."""

from __future__ import annotations

import subprocess

from tests.e2e import outside, playbook
from tests.e2e.test_killed_controller import wait_for_step
from tests.faults import fleets, outcome
from tests.faults.conftest import Keep
from tests.faults.controller import Answer
from tests.faults.trials import AGAIN


def test_unreachable_host_in_the_middle_of_a_wave(keep: Keep) -> None:
    fleet = fleets.fresh()
    lost = fleet.host("worker2")
    log = fleet.folder / "wave.log"
    with log.open("w") as out:
        argv = playbook.plain_command(fleet, playbook.PLAYBOOKS / "upgrade.yml")
        run = subprocess.Popen(
            argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=playbook.environment(), text=True
        )
        wait_for_step(fleet, "migrate", "started", run)
        lost.exec_root("systemctl", "stop", "ssh")
        lost.exec_root("pkill", "-KILL", "-x", "sshd", check=False)
        assert run.wait() != 0
    first = playbook.Run(run.returncode, log.read_text(), {})
    assert first.recap("unreachable") == {"server": 0, "worker1": 0, "worker2": 1}
    assert first.recap("failed") == {"server": 0, "worker1": 0, "worker2": 0}
    assert outside.is_legacy(lost)
    assert outside.is_running(lost)
    for name in ("server", "worker1"):
        assert outside.image_of(fleet.host(name)) == f"gpustack/gpustack:v{outcome.RELEASE}"

    lost.exec_root("systemctl", "start", "ssh")
    again = playbook.run(fleet, "upgrade.yml")
    assert again.code == 0, again.output[-4000:]
    outside.assert_upgraded(fleet, outcome.RELEASE)
    said = next(line for line in first.output.splitlines() if "UNREACHABLE" in line or "Failed to connect" in line)
    keep("host unreachable in the middle of a wave", Answer({"msg": said}), f"v2 {outcome.RELEASE}, verified", AGAIN)
