# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock that jumps. All hosts of the lab share a kernel, so the jump is Python's view of the time on that host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import outside
from tests.faults.conftest import Keep
from tests.faults.subject import Subject
from tests.faults.trials import BACK

FOLDER = "/opt/jumping-clock"
# Python imports a module of this name at its start.
SITE = """
import time

with open("/opt/jumping-clock/offset") as text:
    OFFSET = float(text.read())
true_time = time.time
time.time = lambda: true_time() + OFFSET
"""
HOURS = 3600


@pytest.fixture
def jumping(server: Subject) -> Iterator[Subject]:
    """A server whose modules may see another time."""
    server.reach.exec_root("mkdir", FOLDER)
    server.reach.run(f"sudo tee {FOLDER}/sitecustomize.py >/dev/null", stdin=SITE)
    yield server
    server.reach.exec_root("rm", "-r", FOLDER)


def jump(server: Subject, seconds: int) -> dict[str, str]:
    """From now on the clock is so far ahead; the environment in which the module sees it."""
    server.reach.exec_root("sh", "-c", f"echo {seconds} > {FOLDER}/offset")
    return {"PYTHONPATH": FOLDER}


@pytest.mark.parametrize("hours", [-2, 2])
def test_clock_that_jumps_between_a_kill_and_the_way_back(jumping: Subject, keep: Keep, hours: int) -> None:
    killed = jumping.call("upgraded", "migrate:before:kill", environment=jump(jumping, hours * HOURS))
    back = jumping.call("legacy", start=False, environment=jump(jumping, 0))
    assert not back.failed, back.message
    journal = outside.journal(jumping.reach)
    proofs = [entry["detail"] for entry in journal if (entry["step"], entry["state"]) == ("undo_prove", "done")]
    assert proofs[-1] == {"proven": True}
    keep(
        f"clock jumps by {hours:+d} hours between a kill and the way back", killed, jumping.assert_state("legacy"), BACK
    )
