# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with an embedded worker, in a container of another name, on a named volume; the newest ansible-core drives.

The image is not on the host beforehand: it is really pulled, from a registry on the lab's network.
"""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator

import pytest

from tests.e2e import outside, playbook
from tests.lab import lifecycle
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

NAME = "e2e-embedded"
CONTAINER = "ai-server"
NEWEST = playbook.CHECKOUT / ".venv313/bin/ansible-playbook"


@pytest.fixture(scope="module")
def embedded() -> Iterator[Fleet]:
    """One host, server and worker in one container."""
    options = Options(
        NAME,
        workers=0,
        gpu_workers=0,
        embedded_worker=True,
        data="volume",
        container_name=CONTAINER,
        seed="legacy",
        snapshot=False,
    )
    yield lifecycle.up(options)
    lifecycle.down(NAME)


@pytest.fixture(scope="module")
def newest_controller() -> str:
    """ansible-playbook of the newest supported ansible-core."""
    if NEWEST.exists():
        return str(NEWEST)
    assert os.environ.get("CI") != "true", f"{NEWEST} is missing: CI checks the newest controller, too"
    warnings.warn("NOT CHECKED: the newest controller; this machine lacks its Python", stacklevel=1)
    return playbook.ansible_playbook()


def upgrade(fleet: Fleet, controller: str) -> str:
    argv = playbook.command(fleet, playbook.PLAYBOOKS / "upgrade.yml")
    argv[0] = controller
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        env=playbook.environment(),
        cwd=playbook.CHECKOUT,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.proves("installations", "embedded", "2.2.3")
@pytest.mark.proves("installations", "volume", "2.2.3")
def test_server_and_worker_in_one_container_are_upgraded(embedded: Fleet, newest_controller: str) -> None:
    upgrade(embedded, newest_controller)
    found = outside.containers(embedded.host("server"))
    new = found[CONTAINER]
    assert new["Config"]["Image"] == "gpustack/gpustack:v2.2.3"
    assert new["State"]["Running"]
    assert new["HostConfig"]["Privileged"]
    assert f"GPUSTACK_RUNTIME_DEPLOY_MIRRORED_NAME={CONTAINER}" in new["Config"]["Env"]
    assert [mount["Name"] for mount in new["Mounts"] if mount["Type"] == "volume"] == ["gpustack-data"]
    users = {user["username"] for user in embedded.admin().items("/v2/users")}
    assert users >= {user["username"] for user in embedded.data["users"]}
    workers = outside.workers(embedded.admin())
    assert {name: worker["id"] for name, worker in workers.items()} == {
        worker["name"]: worker["id"] for worker in embedded.data["workers"]
    }
    assert {worker["state"] for worker in workers.values()} == {"ready"}


@pytest.mark.proves("installations", "embedded", "2.2.3")
@pytest.mark.proves("installations", "volume", "2.2.3")
def test_a_second_run_changes_nothing(embedded: Fleet, newest_controller: str) -> None:
    output = upgrade(embedded, newest_controller)
    assert set(playbook.Run(0, output, {}).recap("changed").values()) == {0}
