# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`gpustack_on_failure: stop`: a server whose gate fails is left for inspection, and both ways on from there work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e import outside, playbook
from tests.lab import lifecycle
from tests.lab.fleet import Fleet

DATABASE = tuple(f"{outside.DATA_DIR}/{name}" for name in ("database.db", "database.db-wal"))
STOP: dict[str, Any] = {
    "gpustack_on_failure": "stop",
    "gpustack_module_environment": {"FLEETOPS_GPUSTACK_FAULT": "rows:before:raise"},
}


def assert_left_for_inspection(fleet: Fleet) -> None:
    """v2's container and files are where they failed, nothing runs or will, and the legacy bytes are the saved ones."""
    server = fleet.host("server")
    attempt = outside.attempt(server)
    found = outside.containers(server)
    for name in ("gpustack", f"gpustack-legacy-{attempt}"):
        assert not found[name]["State"]["Running"], name
        assert found[name]["HostConfig"]["RestartPolicy"]["Name"] == "no", name
    assert found["gpustack"]["Config"]["Image"] == "gpustack/gpustack:v2.2.3"
    assert "postgresql" in server.exec_root("ls", outside.DATA_DIR).split()
    backup = f"/var/backups/gpustack/{attempt}/data"
    saved = outside.sha256(server, *(path.replace(outside.DATA_DIR, backup) for path in DATABASE))
    assert len(saved) == len(DATABASE)
    assert list(outside.sha256(server, *DATABASE).values()) == list(saved.values())


def test_a_failed_server_is_left_for_inspection(fleet: Fleet) -> None:
    failed = playbook.run(fleet, "upgrade.yml", **STOP)
    assert failed.code != 0
    assert failed.said("stopped for inspection")
    assert_left_for_inspection(fleet)


def test_a_reboot_starts_neither_container(fleet: Fleet) -> None:
    fleet.host("server").reboot()
    assert_left_for_inspection(fleet)


def test_the_legacy_state_puts_it_back(fleet: Fleet, tmp_path: Path) -> None:
    done = playbook.go_back(fleet, tmp_path)
    assert done.code == 0, done.output[-3000:]
    lifecycle.wait_serving(fleet, 0)
    outside.assert_legacy_serves(fleet)


def test_the_same_command_goes_back_first_and_succeeds(fleet: Fleet) -> None:
    assert playbook.run(fleet, "upgrade.yml", **STOP).code != 0
    assert_left_for_inspection(fleet)
    done = playbook.run(fleet, "upgrade.yml", gpustack_on_failure="stop")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.2.3")
    # The plan had warned of what is now open to the network, and only of what was not before.
    (warning,) = [each for each in done.report["plan"]["warnings"] if each["code"] == "new_listeners"]
    assert warning["host"] == "server"
    assert "5432 (PostgreSQL)" in warning["cause"]
    assert " 80 (" not in warning["cause"]
