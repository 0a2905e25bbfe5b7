# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inspect records as the engine gives them, cut down to what is read; containers that users really have."""

from __future__ import annotations

from typing import Any

LEGACY_ENTRY_POINT = [
    "tini",
    "--",
    "/usr/bin/bash",
    "-c",
    'source /etc/profile && exec gpustack start "$@"',
    "--",
]
CPU_ENTRY_POINT = ["tini", "--", "gpustack", "start"]
V2_ENTRY_POINT = ["/usr/bin/entrypoint.sh"]
VOLUME_MOUNT = {
    "Type": "volume",
    "Name": "gpustack-data",
    "Source": "/var/lib/docker/volumes/gpustack-data/_data",
    "Destination": "/var/lib/gpustack",
    "RW": True,
}


def bind(source: str, destination: str = "/var/lib/gpustack") -> dict[str, Any]:
    """A bind mount."""
    return {"Type": "bind", "Source": source, "Destination": destination, "RW": True}


def container(
    name: str = "gpustack",
    image: str = "gpustack/gpustack:v0.7.1",
    entry_point: list[str] | None = None,
    command: list[str] | None = None,
    env: list[str] | None = None,
    labels: dict[str, str] | None = None,
    mounts: list[dict[str, Any]] | None = None,
    running: bool = True,
    **host: Any,
) -> dict[str, Any]:
    """A container of the documented command, with what a test changes."""
    return {
        "Id": (name + "0" * 64)[:64],
        "Name": "/" + name,
        "Created": "2025-09-01T10:00:00.000000000Z",
        "Image": "sha256:1",
        "State": {"Running": running, "Status": "running" if running else "exited", "Pid": 0},
        "Config": {
            "Hostname": "gpu-host",
            "Image": image,
            "Entrypoint": LEGACY_ENTRY_POINT if entry_point is None else entry_point,
            "Cmd": command,
            "Env": env or [],
            "Labels": labels or {},
        },
        "HostConfig": {
            "AutoRemove": False,
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "NetworkMode": "host",
            "PortBindings": {},
            **host,
        },
        "Mounts": [VOLUME_MOUNT] if mounts is None else mounts,
        "GraphDriver": {"Data": {}},
    }


def image(**config: Any) -> dict[str, Any]:
    """An image that brings what the config says."""
    return {"Id": "sha256:1", "RepoTags": [], "RepoDigests": [], "Config": config}
