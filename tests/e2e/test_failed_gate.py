# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's switch that fails or is killed: the legacy bytes stay, the old server serves, the next try succeeds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet

DATABASE = tuple(f"{outside.DATA_DIR}/{name}" for name in ("database.db", "database.db-wal"))


@pytest.fixture(scope="module")
def old_variable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The playbooks of a copy of this collection in which the trap is open: the guide's first variable for 2.0.3."""
    copy = tmp_path_factory.mktemp("trap") / "gpustack"
    ignore = shutil.ignore_patterns(".git", ".lab", ".venv*", ".cache")
    shutil.copytree(playbook.CHECKOUT, copy, symlinks=True, ignore=ignore)
    table = copy / "plugins/module_utils/_releases.py"
    right = 'Release("2.0.3", '
    text = table.read_text()
    assert right in text
    table.write_text(
        text.replace(right, right + 'migration_variable="GPUSTACK_MIGRATION_DATA_DIR", migration_value=None, ')
    )
    return copy / "playbooks"


def fault(point: str) -> dict[str, Any]:
    return {"gpustack_module_environment": {"FLEETOPS_GPUSTACK_FAULT": point}}


def test_a_healthy_and_empty_server_is_found_out_and_taken_back(fleet: Fleet, old_variable: Path) -> None:
    server = fleet.host("server")
    users = len(fleet.admin().items("/v1/users"))

    # The module is killed right after the legacy server has stopped: this is the moment to note its bytes.
    killed = playbook.run(fleet, "upgrade.yml", gpustack_version="2.0.3", **fault("stop:after:kill"))
    assert killed.code != 0
    stopped = outside.sha256(server, *DATABASE)
    assert DATABASE[0] in stopped

    # With the old variable 2.0.3 comes up healthy and has migrated nothing. The way back is stopped just before the
    # legacy start.
    failed = playbook.run(
        fleet, "upgrade.yml", playbooks=old_variable, gpustack_version="2.0.3", **fault("undo_start:before:kill")
    )
    assert failed.code != 0
    assert outside.is_legacy(server)
    assert outside.sha256(server, *DATABASE) == stopped

    # Once more, to its end: the operator reads why, and the legacy server serves.
    failed = playbook.run(fleet, "upgrade.yml", playbooks=old_variable, gpustack_version="2.0.3")
    assert failed.code != 0
    assert failed.said("migrated nothing")
    outside.assert_legacy_serves(fleet)
    assert len(fleet.admin().items("/v1/users")) == users


@pytest.mark.proves("installations", "bind", "2.0.3")
def test_the_second_try_succeeds_once_the_cause_is_gone(fleet: Fleet) -> None:
    done = playbook.run(fleet, "upgrade.yml", gpustack_version="2.0.3", gpustack_finalize=False)
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.0.3", finalized=False)
    assert {table["table"] for table in done.report["results"]["server"]["switched"]["parity"]["tables"]} >= {
        "users",
        "models",
    }
    set_aside = fleet.host("server").exec_root("ls", "-A", outside.DATA_DIR)
    assert ".gpustack-v2-" in set_aside
