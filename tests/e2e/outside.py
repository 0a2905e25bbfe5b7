# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a fleet past the collection's own modules: Docker, PostgreSQL, files and GPUStack's API."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.lab.api import Client
from tests.lab.fleet import Fleet, Reach

DATA_DIR = "/data/gpustack"
ROLLOUT = {
    "GPUSTACK_DATA_MIGRATION",
    "GPUSTACK_MIGRATION_DATA_DIR",
    "GPUSTACK_MODEL_INSTANCE_RESCHEDULE_GRACE_PERIOD",
}
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def containers(host: Reach) -> dict[str, dict[str, Any]]:
    """Every container of a host, by name, as `docker inspect` shows it."""
    ids = host.exec_root("docker", "ps", "--all", "--quiet", "--no-trunc").split()
    found = json.loads(host.exec_root("docker", "inspect", *ids)) if ids else []
    return {each["Name"].lstrip("/"): each for each in found}


def gpustack(host: Reach) -> dict[str, Any]:
    """The container that carries the installation's name."""
    return containers(host)["gpustack"]


def image_of(host: Reach) -> str:
    return gpustack(host)["Config"]["Image"]


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in container["Config"]["Env"])


def is_legacy(host: Reach) -> bool:
    """Whether the installation runs a 0.7 image, of whatever variant."""
    return image_of(host).startswith("gpustack/gpustack:v0.7.")


def is_running(host: Reach) -> bool:
    return bool(gpustack(host)["State"]["Running"])


def psql(host: Reach, sql: str) -> list[list[str]]:
    """Rows of a query, asked of the embedded PostgreSQL inside its container."""
    argv = [
        "docker",
        "exec",
        "gpustack",
        "psql",
        "-h",
        "127.0.0.1",
        "-p",
        "5432",
        "-U",
        "root",
        "gpustack",
        "-AtF",
        "\t",
        "-c",
        sql,
    ]
    return [line.split("\t") for line in host.exec_root(*argv).splitlines()]


def sha256(host: Reach, *paths: str) -> dict[str, str]:
    """Checksums of those of the files that exist."""
    text = host.exec_root("sh", "-c", 'for f; do [ -e "$f" ] && sha256sum "$f"; done; true', "sh", *paths)
    return {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in text.splitlines()}


#: Without a way to huggingface.co, 2.0.0 answers nobody while huggingface_hub tries again after 1, 2, 4, 8 and 8 s; its
#: evaluation of models does that in the event loop, some 30 s after every start (seen in its log).
BLOCKED_SECONDS = 60


def status(url: str) -> int:
    """The status code of a GET."""
    with _OPENER.open(url, timeout=BLOCKED_SECONDS) as response:
        return int(response.status)


def listens(address: str, port: int) -> bool:
    """Whether somebody does there: READY is what a worker was, or is before its own API listens."""
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def serves(fleet: Fleet) -> bool:
    """Whether a v2 server says that it is ready."""
    try:
        return status(f"{fleet.data['server_url']}/readyz") == 200
    except OSError:
        return False


def journal(host: Reach) -> list[dict[str, Any]]:
    text = host.exec_root("cat", "/var/lib/fleetops-gpustack/journal.jsonl")
    return [json.loads(line) for line in text.splitlines()]


def attempt(host: Reach) -> str:
    """The newest attempt of a host."""
    return str(journal(host)[-1]["attempt"])


def workers(client: Client, path: str = "/v2/workers") -> dict[str, dict[str, Any]]:
    """The server's workers by name, as its API shows them."""
    return {worker["name"]: worker for worker in client.items(path)}


def gpus(worker: dict[str, Any]) -> list[tuple[int, str]]:
    """Index and vendor of the GPUs of a worker, as the API shows it."""
    devices = (worker.get("status") or {}).get("gpu_devices") or []
    return sorted((gpu["index"], gpu["vendor"].lower()) for gpu in devices)


def recorded(fleet: Fleet) -> dict[str, tuple[Any, ...]]:
    """What must survive of every worker, by name, as the lab noted it of the legacy fleet: id, uuid and GPUs."""
    return {
        worker["name"]: (
            worker["id"],
            worker["worker_uuid"],
            sorted((gpu["index"], gpu["vendor"].lower()) for gpu in worker["gpus"]),
        )
        for worker in fleet.data["workers"]
    }


#: What an inspect record says of one life of a container: its ids, its times, its state.
PASSING = (
    "Created",
    "ExecIDs",
    "GraphDriver",
    "HostnamePath",
    "HostsPath",
    "Id",
    "LogPath",
    "ResolvConfPath",
    "RestartCount",
    "State",
)
LASTING_OF_A_NETWORK = ("Aliases", "DriverOpts", "IPAMConfig", "Links", "NetworkID")


def definition(container: dict[str, Any]) -> dict[str, Any]:
    """What `docker inspect` says of a container but for ids, times and state."""
    lasting = {key: value for key, value in container.items() if key not in (*PASSING, "NetworkSettings")}
    # The engine lists mounts in no order.
    lasting["Mounts"] = sorted(lasting["Mounts"], key=lambda mount: str(mount["Destination"]))
    networks = container["NetworkSettings"]["Networks"]
    lasting["Networks"] = {
        name: {key: endpoint[key] for key in LASTING_OF_A_NETWORK} for name, endpoint in networks.items()
    }
    return lasting


def definitions(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """The definition of each host's installation."""
    return {name: definition(gpustack(fleet.host(name))) for name in fleet.hosts}


def starts(fleet: Fleet) -> dict[str, str]:
    """When each host's installation was started."""
    return {name: gpustack(fleet.host(name))["State"]["StartedAt"] for name in fleet.hosts}


def assert_legacy_serves(fleet: Fleet) -> None:
    """The legacy server answers under its old name, with the old password and every worker known."""
    server = fleet.host("server")
    assert is_legacy(server)
    assert is_running(server)
    found = workers(fleet.admin(), "/v1/workers")
    assert {name: (each["id"], each["worker_uuid"], gpus(each)) for name, each in found.items()} == recorded(fleet)


def assert_upgraded(
    fleet: Fleet, release: str, finalized: bool = True, ask: Callable[[str], list[list[str]]] | None = None
) -> None:
    """The whole fleet runs a release, serves, and knows what it knew. ``ask`` asks an external database."""
    for name in fleet.hosts:
        container = gpustack(fleet.host(name))
        assert container["Config"]["Image"] == f"gpustack/gpustack:v{release}", name
        assert container["State"]["Running"], name
        assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", name
        rollout = ROLLOUT & set(environment_of(container))
        assert bool(rollout) == (name == "server" and not finalized), name
    assert status(f"{fleet.data['server_url']}/readyz") == 200
    admin = fleet.admin()
    found = workers(admin)
    assert {name: worker["state"] for name, worker in found.items()} == dict.fromkeys(recorded(fleet), "ready")
    # The API of 2.2 shows no uuid.
    query = "SELECT name, worker_uuid FROM workers"
    uuids = dict(ask(query) if ask else psql(fleet.host("server"), query))
    assert {name: (each["id"], uuids[name], gpus(each)) for name, each in found.items()} == recorded(fleet)
