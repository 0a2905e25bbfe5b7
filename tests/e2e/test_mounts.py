# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data, caches and models where operators put them: `--data-dir`, `--cache-dir`, mounts of their own.

The server and worker2 have `--data-dir`, worker1 a named volume; worker1's cache is a mount below the data directory,
worker2's another directory; worker1 has a read-only directory of models besides.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e import outside, playbook, supervised
from tests.lab import lifecycle
from tests.lab.fleet import Fleet, Reach

DIRECTORY = "/srv/ai/gpustack"
MODELS = "/srv/models"
HOUSE = "/srv/house"
VOLUME = "gpustack-worker"
BELOW = f"{supervised.DATA}/cache"
WEIGHTS = {"worker1": f"{MODELS}/huggingface/acme/tiny/model.gguf", "worker2": f"{MODELS}/huggingface/acme/tiny/w.gguf"}


def recreate(host: Reach, mounts: list[str], arguments: list[str]) -> None:
    """The host's legacy container with other mounts and arguments."""
    command = supervised.run_command(
        host, "create", "--restart=unless-stopped", *(f"--volume={each}" for each in mounts)
    )
    supervised.remove(host)
    host.exec_root(*command, *arguments)


def place(fleet: Fleet) -> None:
    """Every host's data goes where the module says, and its container finds it there."""
    token = fleet.host("server").exec_root("cat", f"{outside.DATA_DIR}/token").strip()
    for name in fleet.hosts:
        supervised.write_env_file(fleet.host(name), token)
    server, first, second = (fleet.host(name) for name in ("server", "worker1", "worker2"))
    recreate(server, [f"{DIRECTORY}:{DIRECTORY}"], ["--data-dir", DIRECTORY])
    recreate(first, [f"{VOLUME}:{supervised.DATA}", f"{MODELS}:{BELOW}", f"{HOUSE}:{HOUSE}:ro"], [])
    recreate(
        second, [f"{DIRECTORY}:{DIRECTORY}", f"{MODELS}:{MODELS}"], [f"--data-dir={DIRECTORY}", "--cache-dir", MODELS]
    )
    for host in (server, second):
        host.exec_root("sh", "-c", f"mkdir -p {DIRECTORY} && cp --archive {outside.DATA_DIR}/. {DIRECTORY}")
    first.exec_root("cp", "--archive", f"{outside.DATA_DIR}/.", f"/var/lib/docker/volumes/{VOLUME}/_data")
    for name, path in WEIGHTS.items():
        fleet.host(name).exec_root("sh", "-c", f"mkdir -p $(dirname {path}) && head -c 4096 /dev/urandom > {path}")
        fleet.host(name).exec_root("chown", "1234:1234", path)
    for name in fleet.hosts:
        fleet.host(name).exec_root("docker", "start", "gpustack")


@pytest.fixture(scope="module")
def placed(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """The legacy containers once their data lies elsewhere and they serve."""
    since = time.time()
    place(fleet)
    lifecycle.wait_serving(fleet, since)
    return {name: outside.gpustack(fleet.host(name)) for name in fleet.hosts}


@pytest.fixture(scope="module")
def weights(fleet: Fleet, placed: dict[str, Any]) -> dict[str, str]:
    """What the file system says of the model files: whoever copies, moves or chowns one changes it."""
    return {name: stat(fleet.host(name), path) for name, path in WEIGHTS.items()}


def stat(host: Reach, path: str) -> str:
    return host.exec_root("stat", "--format=%i %s %u:%g %a %y %z", path)


def mounts(container: dict[str, Any]) -> set[tuple[str, str, bool]]:
    """Source, destination, and whether it is writable, but for the engine's socket."""
    found = {(each["Source"], each["Destination"], each["RW"]) for each in container["Mounts"]}
    return {each for each in found if not each[1].endswith("docker.sock")}


@pytest.mark.proves("installations", "data_dir", "2.2.3")
@pytest.mark.proves("installations", "volume", "2.2.3")
def test_the_fleet_goes_over_with_its_directories(
    fleet: Fleet, placed: dict[str, Any], weights: dict[str, str]
) -> None:
    run = playbook.run(fleet, "upgrade.yml")
    assert run.code == 0, run.output[-6000:]
    assert run.report["results"]["server"]["switched"]["parity"]["equal"] is True
    outside.assert_upgraded(fleet, "2.2.3")
    now = {name: outside.gpustack(fleet.host(name)) for name in fleet.hosts}
    for name, container in placed.items():
        assert mounts(now[name]) >= mounts(container), name
    assert DIRECTORY in now["server"]["Args"]
    assert MODELS in now["worker2"]["Args"]
    fleet.host("server").exec_root("test", "-d", f"{DIRECTORY}/postgresql/data")
    assert {name: stat(fleet.host(name), path) for name, path in WEIGHTS.items()} == weights


@pytest.mark.proves("installations", "data_dir", "2.2.3")
@pytest.mark.proves("installations", "volume", "2.2.3")
def test_a_second_run_changes_nothing(fleet: Fleet, placed: dict[str, Any]) -> None:
    again = playbook.run(fleet, "upgrade.yml")
    assert again.code == 0
    assert set(again.recap("changed").values()) == {0}


@pytest.mark.proves("installations", "data_dir", "2.2.3")
@pytest.mark.proves("installations", "volume", "2.2.3")
def test_everything_comes_back_as_it_was(fleet: Fleet, placed: dict[str, Any], weights: dict[str, str]) -> None:
    since = time.time()
    run = playbook.run(fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert run.code == 0, run.output[-6000:]
    lifecycle.wait_serving(fleet, since)
    outside.assert_legacy_serves(fleet)
    definitions = {name: outside.definition(container) for name, container in placed.items()}
    assert outside.definitions(fleet) == definitions
    assert {name: stat(fleet.host(name), path) for name, path in WEIGHTS.items()} == weights
