# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a fleet past the collection's own modules: Docker, PostgreSQL, files and GPUStack's API."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.lab.api import Client
from tests.lab.fleet import Fleet, Reach

DATA_DIR = "/data/gpustack"
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


def status(url: str) -> int:
    """The status code of a GET."""
    with _OPENER.open(url, timeout=10) as response:
        return int(response.status)


def journal(host: Reach) -> list[dict[str, Any]]:
    text = host.exec_root("cat", "/var/lib/fleetops-gpustack/journal.jsonl")
    return [json.loads(line) for line in text.splitlines()]


def attempt(host: Reach) -> str:
    """The newest attempt of a host."""
    return str(journal(host)[-1]["attempt"])


def workers(client: Client, path: str = "/v2/workers") -> dict[str, dict[str, Any]]:
    """The server's workers by name, as its API shows them."""
    return {worker["name"]: worker for worker in client.items(path)}


def identity(worker: dict[str, Any]) -> tuple[Any, ...]:
    """What must survive of a worker: id, name, uuid and its GPUs by index and name."""
    devices = (worker.get("status") or {}).get("gpu_devices") or []
    return (
        worker["id"],
        worker["name"],
        worker["worker_uuid"],
        sorted((gpu["index"], gpu["vendor"].lower()) for gpu in devices),
    )


def recorded_identity(worker: dict[str, Any]) -> tuple[Any, ...]:
    """The same of the lab's record of a legacy worker."""
    return (
        worker["id"],
        worker["name"],
        worker["worker_uuid"],
        sorted((gpu["index"], gpu["vendor"].lower()) for gpu in worker["gpus"]),
    )


def assert_legacy_serves(fleet: Fleet) -> None:
    """The legacy server answers under its old name, with the old password and every worker known."""
    server = fleet.host("server")
    assert is_legacy(server)
    assert is_running(server)
    found = workers(fleet.admin(), "/v1/workers")
    assert [identity(found[name]) for name in sorted(found)] == [
        recorded_identity(worker) for worker in sorted(fleet.data["workers"], key=lambda each: str(each["name"]))
    ]


def assert_upgraded(fleet: Fleet, release: str) -> None:
    """The whole fleet runs a release, serves, and knows what it knew."""
    for name in fleet.hosts:
        container = gpustack(fleet.host(name))
        assert container["Config"]["Image"] == f"gpustack/gpustack:v{release}", name
        assert container["State"]["Running"], name
        assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", name
        assert "GPUSTACK_DATA_MIGRATION" not in environment_of(container), name
        assert "GPUSTACK_MODEL_INSTANCE_RESCHEDULE_GRACE_PERIOD" not in environment_of(container), name
    assert status(f"{fleet.data['server_url']}/readyz") == 200
    admin = fleet.admin()
    found = workers(admin)
    for recorded in fleet.data["workers"]:
        worker = found[recorded["name"]]
        assert identity(worker) == recorded_identity(recorded)
        assert worker["state"] == "ready", worker["state_message"]
