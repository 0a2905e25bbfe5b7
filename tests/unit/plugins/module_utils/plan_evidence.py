# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of a small healthy fleet, in the shape of docs/architecture.md; tests change one thing of it at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import Settings

GIB = 1024**3
IMAGE = "gpustack/gpustack:v2.2.3"

# The vendors that the collection ships, by name: the keys of the files carry the role's prefix.
PREFIX = "gpu_runtime_vendor_"
VENDOR_FILES = Path(__file__).parents[4] / "roles/gpu_runtime/vars/vendors"
VENDORS: dict[str, Any] = {
    name[len(PREFIX) :]: data
    for path in VENDOR_FILES.glob("*.yml")
    for name, data in yaml.safe_load(path.read_text()).items()
}


def filesystem(mount_point: str = "/", free: int = 500 * GIB) -> dict[str, Any]:
    return {
        "mount_point": mount_point,
        "device": "/dev/vda",
        "type": "ext4",
        "total": 1000 * GIB,
        "free": free,
        "unwritable": None,
        "network": False,
        "export": None,
    }


def worker_row(number: int, gpus: int = 0) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"worker-{number}",
        "hostname": f"worker-{number}",
        "ip": f"192.0.2.{10 + number}",
        "port": 10150,
        "uuid": f"uuid-{number}",
        "state": "ready",
        "heartbeat": 0,
        "gpus": [
            {"vendor": "nvidia", "index": n, "name": "H100", "memory": 80 * GIB, "uuid": f"g{n}"} for n in range(gpus)
        ],
        "system_reserved": {"ram": 2, "vram": 1},
    }


def _host() -> dict[str, Any]:
    return {
        "host": {
            "hostname": "h",
            "python": "3.11.2",
            "uid": 0,
            "architecture": "x86_64",
            "clock": 1000.0,
            "clock_offset": 0.1,
            "boot_id": "b",
            "system_vendor": "",
            "proxy": {"http_proxy": False, "no_proxy": False},
        },
        "engine": {
            "reachable": True,
            "error": None,
            "version": "26.1.5",
            "api_version": "1.45",
            "rootless": False,
            "userns_remap": False,
            "podman": False,
            "selinux": False,
            "root_dir": "/var/lib/docker",
            "storage_driver": "overlay2",
            "runtimes": ["runc", "nvidia"],
            "default_runtime": "runc",
        },
        "installations": [],
        "container": None,
        "siblings": [],
        "places": {"backup_dir": "/var/backups/gpustack", "state_dir": "/var/lib/fleetops-gpustack"},
        "gpu": {"devices": [], "pci": [], "modules": [], "tools": {}, "paths": [], "versions": {}, "wsl": False},
        "ports": [22],
        "reachability": [],
        "image": {
            "reference": IMAGE,
            "present": True,
            "id": "sha256:1",
            "repo_digests": [],
            "size": 1,
            "version": None,
        },
        "image_names": {IMAGE: "sha256:1"},
        "filesystems": {name: filesystem() for name in ("docker_root", "backup", "state", "remote_tmp")},
        "directories": {"backup": None, "state": None},
        "journal": {
            "attempt": None,
            "step": None,
            "state": None,
            "outcome": "none",
            "release": None,
            "legacy_name": None,
            "backup": None,
            "role": None,
            "container_name": None,
            "data_dir": None,
            "stopped_at": None,
            "accepted": False,
            "in_use": False,
        },
        "way_back": None,
        "lock": {"held": False, "pid": None, "since": None, "run": None},
        "libraries": {"docker": "7.1.0", "psycopg": "3.2.3", "venv": True},
        "prepared": None,
    }


def installation(role: str) -> dict[str, Any]:
    """A legacy container on the host's network with its data in a bind mount."""
    return {
        "id": "c0ffee",
        "name": "gpustack",
        "image": "gpustack/gpustack:v0.7.1",
        "image_id": "sha256:0",
        "image_archive": None,
        "created": 0,
        "running": True,
        "status": "running",
        "generation": "legacy",
        "release": "0.7.1",
        "release_source": "tag",
        "role": role,
        "retired": False,
        "attempt": None,
        "auto_remove": False,
        "restart_policy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "supervisors": [],
        "network_mode": "host",
        "published_ports": [],
        "args": [],
        "environment": {},
        "mounts": [
            {"type": "bind", "source": "/data/gpustack", "destination": "/var/lib/gpustack", "name": None, "rw": True}
        ],
        "labels": {},
        "privileged": False,
        "runtime": "runc",
        "ipc_mode": "host",
        "pid_mode": "",
        "devices": [],
        "device_requests": [],
        "shm_size": 0,
        "data_dir": {
            "type": "bind",
            "host_path": "/data/gpustack",
            "container_path": "/var/lib/gpustack",
            "volume": None,
        },
        "data": {
            "uid": 0,
            "gid": 0,
            "mode": "0755",
            "traversable_by_others": True,
            "filesystem": filesystem(),
            "files": {},
            "v2_files": [],
            "v2_since": None,
        },
        "worker": None,
        "token": {"source": "argument", "digest": "d", "reserved_prefix": False},
        "options_problem": None,
        "server": None,
        "database": None,
    }


def server() -> dict[str, Any]:
    """A server without embedded worker that knows worker-1 (no GPU) and worker-2 (two GPUs)."""
    node = _host()
    legacy = installation("server")
    legacy["args"] = ["--disable-worker", "--token", "********"]
    legacy["server"] = {"port": 80, "api_port": None, "tls": False, "database": {"kind": "sqlite", "url_masked": None}}
    legacy["database"] = {
        "size": 1024**2,
        "wal_size": 0,
        "journal_size": 0,
        "hot_journal": False,
        "readable": True,
        "error": None,
        "schema_head": "d19176de3b74",
        "release": "0.7.1",
        "integrity": "ok",
        "foreign_key_violations": 0,
        "counts": {"users": 2},
        "findings": [],
        "workers": [worker_row(1), worker_row(2, gpus=2)],
        "models": [],
        "model_instances": [],
    }
    node["installations"] = [legacy]
    node["ports"] = [22, 80]
    return node


def worker(number: int) -> dict[str, Any]:
    node = _host()
    legacy = installation("worker")
    legacy["id"] = f"c0ffee{number}"
    legacy["args"] = ["--server-url", "http://192.0.2.1", "--token", "********"]
    legacy["worker"] = {
        "name": f"worker-{number}",
        "name_source": "hostname",
        "uuid": f"uuid-{number}",
        "port": 10150,
        "metrics_port": 10151,
        "ip": None,
        "server_url": "http://192.0.2.1",
    }
    node["installations"] = [legacy]
    node["ports"] = [22, 10150, 10151]
    return node


def fleet() -> dict[str, dict[str, Any]]:
    return {"s": server(), "w1": worker(1), "w2": worker(2)}


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "release": "2.2.3",
        "image": IMAGE,
        "servers": ("s",),
        "workers": ("w1", "w2"),
        "vendors": VENDORS,
        "image_size": 10 * GIB,
        "backup_fetch_dir": "/srv/backups",
        "choices": {"w1": {"gpu_vendor": "cpu"}, "w2": {"gpu_vendor": "cpu"}},
    }
    values.update(changes)
    return Settings(**values)
