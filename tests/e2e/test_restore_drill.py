# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill of the README: the server's disk is gone, the controller's copy of the backup brings everything back."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import outside, playbook
from tests.lab.api import wait_until
from tests.lab.fleet import Fleet, Reach

BACKUPS, STATE = "/var/backups/gpustack", "/var/lib/fleetops-gpustack"


def definition(host: Reach) -> dict[str, Any]:
    """What the operator asked of the container, without what the engine makes of it."""
    container = outside.gpustack(host)
    return {key: container[key] for key in ("Name", "Image", "Path", "Args", "HostConfig", "Mounts")} | {
        key: container["Config"][key] for key in ("Cmd", "Entrypoint", "Env", "Image", "Labels")
    }


def names_of_users(fleet: Fleet) -> set[str]:
    return {user["username"] for user in fleet.admin().items("/v1/users")}


def everything_ready(fleet: Fleet) -> bool:
    found = outside.workers(fleet.admin(), "/v1/workers")
    return {worker["state"] for worker in found.values()} == {"ready"}


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> dict[str, Any]:
    """The server as it was."""
    return {"definition": definition(fleet.host("server")), "users": names_of_users(fleet)}


@pytest.fixture(scope="module")
def copy(fleet: Fleet, before: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The controller's copy of a backup of the serving server."""
    folder = tmp_path_factory.mktemp("controller")
    done = playbook.run(fleet, "backup.yml", gpustack_backup_fetch_dir=str(folder))
    assert done.code == 0, done.output[-3000:]
    (found,) = (folder / "server").iterdir()
    # Blocks travel as base64: the search for secrets in plain text would not see them.
    token = (found / "data" / "token").read_bytes()
    assert base64.b64encode(token).decode()[:24] not in done.output
    return found


def test_the_copy_is_that_of_the_host_and_private(fleet: Fleet, copy: Path) -> None:
    there = fleet.host("server").exec_root("sh", "-c", f"cd {BACKUPS}/{copy.name} && find . -type f | sort").split()
    here = sorted(f"./{path.relative_to(copy)}" for path in copy.rglob("*") if path.is_file())
    assert here == [name for name in there if name != "./recovered/database.db"]
    assert "./container.json" in here
    assert {oct(path.stat().st_mode & 0o777) for path in copy.rglob("*") if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in (copy, copy / "data", copy.parent)} == {"0o700"}


def test_a_serving_server_is_not_restored_over(fleet: Fleet, copy: Path, before: dict[str, Any]) -> None:
    refused = playbook.run(fleet, "restore.yml", "--limit", "server", gpustack_restore_from=f"{BACKUPS}/{copy.name}")
    assert refused.code != 0
    assert refused.said("is used by the running container gpustack")
    assert definition(fleet.host("server")) == before["definition"]


def test_from_the_copy_alone_everything_comes_back(fleet: Fleet, copy: Path, before: dict[str, Any]) -> None:
    server = fleet.host("server")
    server.exec_root("docker", "rm", "--force", "--volumes", "gpustack")
    server.exec_root("rm", "-rf", outside.DATA_DIR, BACKUPS, STATE)

    checked = playbook.run(fleet, "restore.yml", "--limit", "server", "--check", gpustack_restore_from=str(copy))
    assert checked.code == 0, checked.output[-3000:]
    assert outside.containers(server) == {}
    assert server.exec_root("ls", "-d", outside.DATA_DIR, BACKUPS, STATE, check=False) == ""

    done = playbook.run(fleet, "restore.yml", "--limit", "server", gpustack_restore_from=str(copy))
    assert done.code == 0, done.output[-4000:]
    assert done.said("workers that are not back: none")
    outside.assert_legacy_serves(fleet)
    assert names_of_users(fleet) == before["users"]
    assert fleet.data["late_user"]["username"] in before["users"]
    assert definition(server) == before["definition"]
    wait_until("every worker READY", lambda: everything_ready(fleet), 60, "look at the workers' logs")


def test_a_second_time_nothing_changes(fleet: Fleet, copy: Path) -> None:
    again = playbook.run(fleet, "restore.yml", "--limit", "server", gpustack_restore_from=str(copy))
    assert again.code == 0, again.output[-3000:]
    assert again.recap("changed") == {"server": 0}
    outside.assert_legacy_serves(fleet)


def test_the_restored_server_is_upgraded_like_any_other(fleet: Fleet) -> None:
    checked = playbook.run(fleet, "upgrade.yml", "--check")
    assert checked.code == 0, checked.output[-3000:]
    assert checked.said("server: server 0.7.1, container gpustack: will be upgraded")
