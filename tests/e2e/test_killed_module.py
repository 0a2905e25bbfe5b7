# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A switch whose module was killed in the middle is continued by the same command (2.0.0)."""

from __future__ import annotations

import pytest

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet


@pytest.mark.proves("installations", "bind", "2.0.0")
def test_killed_module_is_continued(fleet: Fleet) -> None:
    killed = playbook.run(
        fleet,
        "upgrade.yml",
        gpustack_version="2.0.0",
        gpustack_module_environment={"FLEETOPS_GPUSTACK_FAULT": "rows:before:kill"},
    )
    assert killed.code != 0
    first = outside.attempt(fleet.host("server"))
    done = playbook.run(fleet, "upgrade.yml", gpustack_version="2.0.0")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.0.0")
    assert outside.attempt(fleet.host("server")) == first
    # The container that was there is judged; it is not made and migrated anew.
    created = [entry for entry in outside.journal(fleet.host("server")) if entry["step"] == "create"]
    assert [entry["state"] for entry in created] == ["started", "done"]
