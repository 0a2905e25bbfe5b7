# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only playbook that deletes: behind every gate, never a volume, and with a way back that still leads somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet

BACKUPS, STATE = "/var/backups/gpustack", "/var/lib/fleetops-gpustack"
# As an earlier attempt would have left it, with an anonymous volume that nobody else has.
STRAY = "gpustack-failed-20260101T000000Z"


def volumes(fleet: Fleet) -> dict[str, list[str]]:
    return {name: fleet.host(name).exec_root("docker", "volume", "ls", "--quiet").split() for name in fleet.hosts}


def leftovers(fleet: Fleet) -> dict[str, set[str]]:
    """Containers beside the one in service, and set-aside directories, by host."""
    found = {}
    for name in fleet.hosts:
        host = fleet.host(name)
        entries = host.exec_root("ls", "-A", outside.DATA_DIR).split()
        found[name] = set(outside.containers(host)) - {"gpustack"}
        found[name] |= {entry for entry in entries if entry.startswith(".gpustack-v2-")}
    return found


def backups(fleet: Fleet) -> dict[str, list[str]]:
    return {name: fleet.host(name).exec_root("ls", BACKUPS).split() for name in fleet.hosts}


def test_refused_before_the_upgrade(fleet: Fleet) -> None:
    refused = playbook.run(fleet, "cleanup.yml")
    assert refused.code != 0
    assert refused.said("server is not at the end of its upgrade")
    outside.assert_legacy_serves(fleet)


def test_refused_as_long_as_the_server_is_not_finalized(fleet: Fleet) -> None:
    # A backup from before, and a switch that fails: leftovers of every kind.
    assert playbook.run(fleet, "backup.yml").code == 0
    fault: dict[str, Any] = {"gpustack_module_environment": {"FLEETOPS_GPUSTACK_FAULT": "ready:before:raise"}}
    assert playbook.run(fleet, "upgrade.yml", **fault).code != 0
    done = playbook.run(fleet, "upgrade.yml", gpustack_finalize=False)
    assert done.code == 0, done.output[-4000:]
    worker = fleet.host("worker1")
    image = outside.image_of(worker)
    label = "fleetops.gpustack.attempt=20260101T000000Z"
    worker.exec_root("docker", "create", "--name", STRAY, "--label", label, "--volume", "/scratch", image)

    before = leftovers(fleet)
    assert any(name.startswith("gpustack-failed-") for name in before["server"])
    assert any(name.startswith(".gpustack-v2-") for name in before["server"])
    refused = playbook.run(fleet, "cleanup.yml")
    assert refused.code != 0
    assert refused.said("server is not at the end of its upgrade")
    assert leftovers(fleet) == before


def test_copies_of_all_backups_come_with_the_end_of_the_upgrade(fleet: Fleet, tmp_path: Path) -> None:
    done = playbook.run(fleet, "upgrade.yml", gpustack_backup_fetch_dir=str(tmp_path))
    assert done.code == 0, done.output[-4000:]
    for name in fleet.hosts:
        attempt = outside.attempt(fleet.host(name))
        assert (tmp_path / name / attempt / "manifest.json").exists()
        assert (tmp_path / name / attempt / "container.json").exists()
    again = playbook.run(fleet, "upgrade.yml", gpustack_backup_fetch_dir=str(tmp_path))
    assert again.recap("changed") == dict.fromkeys(fleet.hosts, 0)


def test_one_red_gate_stops_the_cleanup_of_every_host(fleet: Fleet) -> None:
    before = leftovers(fleet)
    worker = fleet.host("worker2")
    worker.exec_root("docker", "rename", "gpustack", "elsewhere")
    refused = playbook.run(fleet, "cleanup.yml")
    worker.exec_root("docker", "rename", "elsewhere", "gpustack")
    assert refused.code != 0
    assert refused.said("Container gpustack is not the one that attempt")
    assert leftovers(fleet) == before


@pytest.fixture(scope="module")
def attempt(fleet: Fleet) -> str:
    return outside.attempt(fleet.host("server"))


def test_a_look_lists_everything_and_removes_nothing(fleet: Fleet, attempt: str) -> None:
    before, saved = leftovers(fleet), backups(fleet)
    checked = playbook.run(fleet, "cleanup.yml", "--check")
    assert checked.code == 0, checked.output[-3000:]
    for name in (f"gpustack-legacy-{attempt}", STRAY, *saved["server"][:-1]):
        assert checked.said(name)
    assert leftovers(fleet) == before
    assert backups(fleet) == saved


def test_what_the_upgrade_left_goes_and_nothing_else(fleet: Fleet, attempt: str) -> None:
    kept, count = volumes(fleet), len(backups(fleet)["server"])
    assert any(len(name) == 64 for name in kept["worker1"])
    database = outside.sha256(fleet.host("server"), f"{outside.DATA_DIR}/database.db")
    assert count > 1

    done = playbook.run(fleet, "cleanup.yml")
    assert done.code == 0, done.output[-4000:]
    assert leftovers(fleet) == {name: set() for name in fleet.hosts}
    assert volumes(fleet) == kept
    assert backups(fleet)["server"] == [attempt]
    assert outside.sha256(fleet.host("server"), f"{outside.DATA_DIR}/database.db") == database
    state = fleet.host("server").exec_root("ls", STATE).split()
    assert not [name for name in state if name.endswith(".tar") or name == "prepared.json"]
    outside.assert_upgraded(fleet, "2.2.3")


def test_afterwards_nothing_is_left_to_do(fleet: Fleet) -> None:
    for name in ("cleanup.yml", "upgrade.yml"):
        again = playbook.run(fleet, name)
        assert again.code == 0, again.output[-3000:]
        assert again.recap("changed") == dict.fromkeys(fleet.hosts, 0)


def test_the_way_back_is_the_backup(fleet: Fleet, attempt: str, tmp_path: Path) -> None:
    refused = playbook.go_back(fleet, tmp_path)
    assert refused.code != 0
    assert refused.said(f"gpustack_restore_from={BACKUPS}/{attempt}")

    # As the refusal says. The workers stay v2 here; they have backups of their own.
    server = fleet.host("server")
    server.exec_root("docker", "stop", "gpustack")
    server.exec_root("docker", "rename", "gpustack", f"gpustack-failed-{attempt}")
    given: dict[str, Any] = {"gpustack_restore_from": f"{BACKUPS}/{attempt}", "gpustack_ready_timeout": 90}
    refused = playbook.run(fleet, "restore.yml", "--limit", "server", **given)
    assert refused.code != 0
    assert refused.said("holds something else than the backup")
    done = playbook.run(fleet, "restore.yml", "--limit", "server", gpustack_restore_force=True, **given)
    assert done.code == 0, done.output[-4000:]
    assert done.said("workers that are not back: worker")
    outside.assert_legacy_serves(fleet)
    names = {user["username"] for user in fleet.admin().items("/v1/users")}
    assert fleet.data["late_user"]["username"] in names
    assert "postgresql" not in server.exec_root("ls", "-A", outside.DATA_DIR).split()
