# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The legacy installation of a fleet, started on each host as upstream's guide of that release says."""

from __future__ import annotations

import socket
from datetime import datetime
from typing import Any

from tests.lab import hosts, releases
from tests.lab.api import ApiError, Client, wait_until
from tests.lab.hosts import Host
from tests.lab.layout import Options

# No name server is in reach. On the host's network that shows at once; behind the engine's own bridge a name would be
# waited for, so there the container asks one that refuses.
BRIDGED = ["--publish=80:80", "--dns=127.0.0.1"]
START_TIMEOUT = 120.0
READY_TIMEOUT = 180.0
VOLUME = "gpustack-data"
DIRECTORY = "/data/gpustack"

# Stand-ins for secrets where operators have them: in environment and labels of every container, in the arguments of
# workers. The tests search everything that the collection leaves behind for these words.
PLANTED_ENVIRONMENT = {"HF_TOKEN": "hf_LabPlantedInEnvironment01", "MIRROR_PASSWORD": "lab-planted-mirror-password-02"}
PLANTED_ARGUMENT = "hf_LabPlantedInArguments03"
PLANTED_IN_URL = "lab-planted-in-a-url-04"
PLANTED_LABEL = "lab-planted-in-a-label-05"


def image(options: Options, host: Host) -> str:
    """The image for a host: releases of that line have one for NVIDIA GPUs and one for none."""
    return releases.images(options.legacy)[0 if host.gpus else -1]


def run_command(options: Options, host: Host, arguments: list[str]) -> list[str]:
    """The documented `docker run` for one host."""
    source = DIRECTORY if options.data == "bind" else VOLUME
    command = ["docker", "run", "-d", "--name", options.container_name, "--restart=unless-stopped"]
    command += BRIDGED if host.name == "server" and options.server_network == "bridge" else ["--network=host"]
    if host.gpus:
        command += ["--gpus", "all", "--ipc=host"]
    for name, value in PLANTED_ENVIRONMENT.items():
        command += ["-e", f"{name}={value}"]
    command += ["-e", f"MODEL_MIRROR=https://lab:{PLANTED_IN_URL}@mirror.example.com/models"]
    command += ["--label", f"com.example.deploy-token={PLANTED_LABEL}"]
    return [*command, "-v", f"{source}:/var/lib/gpustack", image(options, host), *arguments]


def data_directory(options: Options) -> str:
    """Where the data directory lies on a host."""
    return DIRECTORY if options.data == "bind" else f"/var/lib/docker/volumes/{VOLUME}/_data"


def start_server(options: Options, server: Host) -> None:
    """Start the server's container and wait until it serves."""
    arguments = ["--worker-ip", server.address] if options.embedded_worker else ["--disable-worker"]
    hosts.execute(server, *run_command(options, server, arguments))
    wait_serving(server)


def start_worker(options: Options, worker: Host, server: Host, token: str) -> None:
    """Start a worker's container."""
    arguments = ["--server-url", f"http://{server.address}", "--token", token, "--worker-ip", worker.address]
    arguments += ["--huggingface-token", PLANTED_ARGUMENT]
    hosts.execute(worker, *run_command(options, worker, arguments))


def read_secret(options: Options, server: Host, name: str) -> str:
    """A file of the server's data directory, as root on that host reads it."""
    return hosts.execute(server, "cat", f"{data_directory(options)}/{name}")


def wait_serving(server: Host) -> None:
    """Return once the server answers."""
    client = Client(f"http://{server.address}")
    wait_until(
        f"the legacy server at {client.url}",
        lambda: client.call("GET", "/readyz") is not None,
        START_TIMEOUT,
        f"see `docker exec {server.container} docker logs` of its container",
    )


def wait_ready(admin: Client, expected: set[str], since: float) -> list[dict[str, Any]]:
    """Return the workers once all expected ones are READY by a heartbeat after `since`, in seconds of the epoch."""

    def ready() -> list[dict[str, Any]] | None:
        workers = admin.items("/v1/workers")
        fresh = [worker for worker in workers if worker["state"] == "ready" and heartbeat(worker) > since]
        # A worker sends its first heartbeat before its own API listens.
        return workers if expected <= {worker["name"] for worker in fresh if _listens(worker)} else None

    found: list[dict[str, Any]] = wait_until(
        f"{', '.join(sorted(expected))} to be READY",
        ready,
        READY_TIMEOUT,
        "see `docker logs` of the workers' containers on their hosts",
    )
    return found


def _listens(worker: dict[str, Any]) -> bool:
    try:
        socket.create_connection((worker["ip"], worker["port"]), timeout=5).close()
    except OSError:
        return False
    return True


def heartbeat(worker: dict[str, Any]) -> float:
    """When a worker sent its last one, in seconds of the epoch."""
    text = worker.get("heartbeat_time")
    if not text:
        raise ApiError(f"{worker['name']} has sent no heartbeat")
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
