# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that ran on macOS or Windows comes to a bare Linux host, serves there, and is upgraded like any other.

Its bytes are those of the fleet's own stopped 0.7.1 server; how they are packed is a stand-in (`old_systems`). The bare
host is the server's, once it has lost everything: so its workers find it again.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import old_systems, outside, playbook, secrets
from tests.lab.api import wait_until
from tests.lab.fleet import Fleet, Reach

BACKUPS, STATE = "/var/backups/gpustack", "/var/lib/fleetops-gpustack"
ARCHIVE_ON_WORKER = "/srv/windows.zip"
CACHED = f"{outside.DATA_DIR}/cache/{old_systems.MODEL}"


def transfer(fleet: Fleet, source: Path | str, *arguments: str, **variables: Any) -> playbook.Run:
    return playbook.run(
        fleet,
        "transfer.yml",
        *arguments,
        gpustack_transfer_from=str(source),
        gpustack_transfer_data_dir=outside.DATA_DIR,
        **variables,
    )


def lose_everything(server: Reach) -> None:
    server.exec_root("docker", "rm", "--force", "--volumes", "gpustack")
    server.exec_root("rm", "-rf", outside.DATA_DIR, BACKUPS, STATE)


def nothing_is_there(server: Reach) -> bool:
    return outside.containers(server) == {} and not server.exec_root(
        "ls", "-d", outside.DATA_DIR, BACKUPS, STATE, check=False
    )


def names_of_users(fleet: Fleet) -> set[str]:
    return {user["username"] for user in fleet.admin().items("/v1/users")}


def everything_ready(fleet: Fleet) -> bool:
    return {each["state"] for each in outside.workers(fleet.admin(), "/v1/workers").values()} == {"ready"}


@pytest.fixture(scope="module")
def users(fleet: Fleet) -> set[str]:
    return names_of_users(fleet)


@pytest.fixture(scope="module")
def files(fleet: Fleet, users: set[str]) -> dict[str, bytes]:
    """What the server left, once it was stopped as its operator would."""
    secrets.plant({"in a property list": old_systems.PLANTED})
    server = fleet.host("server")
    server.exec_root("docker", "stop", "--time", "60", "gpustack")
    return old_systems.files_of(server, outside.DATA_DIR)


def test_a_server_that_runs_is_not_taken(fleet: Fleet, users: set[str]) -> None:
    refused = transfer(fleet, outside.DATA_DIR, gpustack_transfer_host="server")
    assert refused.code != 0
    assert refused.said("server: /data/gpustack was not taken: the server still runs: process")
    assert refused.recap("changed") == {"server": 0}
    outside.assert_legacy_serves(fleet)


def test_what_is_in_the_way_is_named(fleet: Fleet, files: dict[str, bytes], tmp_path: Path) -> None:
    refused = transfer(fleet, old_systems.macos(tmp_path, files))
    assert refused.code != 0
    assert refused.said("/data/gpustack is not empty")
    assert refused.said("gpustack_transfer_force=true")


def test_an_archive_that_is_a_trap_is_refused_before_anything_is_touched(
    fleet: Fleet, files: dict[str, bytes], tmp_path: Path
) -> None:
    lose_everything(fleet.host("server"))
    refused = transfer(fleet, old_systems.trap(tmp_path, files))
    assert refused.code != 0
    assert refused.said("leads out of it")
    assert nothing_is_there(fleet.host("server"))


@pytest.mark.proves("installations", "macos", "2.2.3")
def test_a_tar_of_a_mac_becomes_a_serving_server(
    fleet: Fleet, files: dict[str, bytes], users: set[str], tmp_path: Path
) -> None:
    server, archive = fleet.host("server"), old_systems.macos(tmp_path, files)
    checked = transfer(fleet, archive, "--check")
    assert checked.code == 0, checked.output[-3000:]
    assert checked.said("(macos, desktop installer): GPUStack 0.7.1")
    assert checked.said("stays behind: bin/, log/")
    assert checked.said("settings left out: data_dir: a path of the old machine")
    assert checked.said("will not be found on the new host: /data/models/house-style (models house-style)")
    assert nothing_is_there(server)

    done = transfer(fleet, archive)
    assert done.code == 0, done.output[-4000:]
    outside.assert_legacy_serves(fleet)
    assert names_of_users(fleet) == users
    assert fleet.data["late_user"]["username"] in users
    wait_until("every worker READY", lambda: everything_ready(fleet), 120, "look at the workers' logs")


def test_the_bytes_are_those_of_the_source_and_private(fleet: Fleet, files: dict[str, bytes]) -> None:
    server = fleet.host("server")
    (backup,) = (f"{BACKUPS}/{name}" for name in server.exec_root("ls", BACKUPS).split())
    copied = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "database.db-shm"}
    assert outside.sha256(server, *(f"{backup}/data/{name}" for name in files)) == {
        f"{backup}/data/{name}": sha256 for name, sha256 in copied.items()
    }
    assert "database.db-wal" in copied
    own = [name for name in ("token", "jwt_secret_key", "initial_admin_password") if name in files]
    there = outside.sha256(server, *(f"{outside.DATA_DIR}/{name}" for name in own))
    assert there == {f"{outside.DATA_DIR}/{name}": copied[name] for name in own}
    modes = server.exec_root("sh", "-c", f"cd {outside.DATA_DIR} && stat -c '%a %U' database.db {' '.join(own)}")
    assert set(modes.splitlines()) == {"600 root"}
    found = outside.gpustack(server)
    assert outside.environment_of(found)["HF_TOKEN"] == old_systems.PLANTED
    assert found["Args"][-1] == "--disable-worker"
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_a_second_time_nothing_changes(fleet: Fleet, files: dict[str, bytes], tmp_path: Path) -> None:
    again = transfer(fleet, old_systems.macos(tmp_path, files))
    assert again.code == 0, again.output[-3000:]
    assert again.recap("changed") == {"server": 0}


@pytest.mark.proves("installations", "windows", "2.2.3")
def test_a_zip_of_windows_on_another_host_comes_with_its_models(
    fleet: Fleet, files: dict[str, bytes], users: set[str], tmp_path: Path
) -> None:
    server, worker, spool = fleet.host("server"), fleet.host("worker1"), tmp_path / "spool"
    lose_everything(server)
    archive = old_systems.windows(tmp_path, files)
    worker.run(
        f"base64 -d | sudo tee {ARCHIVE_ON_WORKER} >/dev/null", stdin=base64.b64encode(archive.read_bytes()).decode()
    )
    # An earlier run was cut off in the middle of the model.
    server.exec_root("mkdir", "-p", str(Path(CACHED).parent))
    worker_side = {"gpustack_transfer_host": "worker1", "gpustack_transfer_spool": str(spool)}
    half = len(old_systems.CACHED) // 2
    server.exec_root("sh", "-c", f"head -c {half} /dev/zero > {CACHED}.gpustack-part")
    done = transfer(fleet, ARCHIVE_ON_WORKER, gpustack_transfer_cache=True, **worker_side)
    assert done.code == 0, done.output[-4000:]
    assert done.said("(windows, desktop installer): GPUStack 0.7.1")
    outside.assert_legacy_serves(fleet)
    assert names_of_users(fleet) == users
    assert list(outside.sha256(server, CACHED).values()) == [hashlib.sha256(old_systems.CACHED).hexdigest()]
    assert list(spool.iterdir()) == []

    # What is whole is not copied again, and what is not goes on where it stopped.
    server.exec_root("sh", "-c", f"head -c {half} {CACHED} > {CACHED}.gpustack-part && rm {CACHED}")
    resumed = transfer(fleet, ARCHIVE_ON_WORKER, gpustack_transfer_cache=True, **worker_side)
    assert resumed.code == 0, resumed.output[-3000:]
    assert resumed.said(f"to be copied: {(len(old_systems.CACHED) - half) / 1048576:.1f} MiB")
    assert list(outside.sha256(server, CACHED).values()) == [hashlib.sha256(old_systems.CACHED).hexdigest()]
    again = transfer(fleet, ARCHIVE_ON_WORKER, gpustack_transfer_cache=True, **worker_side)
    assert again.recap("changed") == {"server": 0}


@pytest.mark.proves("installations", "macos", "2.2.3")
@pytest.mark.proves("installations", "windows", "2.2.3")
def test_then_the_upgrade_goes_on_as_usual_with_every_row(fleet: Fleet, users: set[str]) -> None:
    wait_until("every worker READY", lambda: everything_ready(fleet), 120, "look at the workers' logs")
    done = playbook.run(fleet, "upgrade.yml", gpustack_version="2.2.3")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.2.3")
    assert done.report["results"]["server"]["switched"]["parity"]["equal"] is True
    assert {user["username"] for user in fleet.admin().items("/v2/users")} == users


def test_what_was_upgraded_since_is_not_transferred_again(fleet: Fleet) -> None:
    refused = transfer(fleet, ARCHIVE_ON_WORKER, gpustack_transfer_host="worker1")
    assert refused.code != 0
    assert refused.said("was upgraded to 2.x since it was transferred")
    outside.assert_upgraded(fleet, "2.2.3")
