# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server of 0.1 to 0.6 holds, filled over its own API: users, a key that outlives its user, models, workers.

The workers are registered and do not run, so that one host is enough. `python -m tests.lab.old_data URL RELEASE TOKEN`
fills a server whose administrator's password is `PASSWORD`; the databases in
tests/unit/plugins/module_utils/data/old_databases are of such servers.
"""

from __future__ import annotations

import base64
import sys
import time
from typing import Any

from tests.lab.api import Client

PASSWORD = "Lab-old-password@A1!"
#: Registered workers by name, with their GPUs.
WORKERS = {"gpu-one": 2, "gpu-two": 1, "cpu-three": 0}
GONE_USER, KEPT_USER = "gone", "tanaka"
OLLAMA_MODEL, VLLM_MODEL = "llama", "qwen-vllm"


def fill(url: str, release: str, token: str) -> None:
    """Fill a server that has just been made; its workers register by its token."""
    admin = Client(url).login("admin", PASSWORD)
    _key(admin, "automation", 0)
    _user_with_key(admin, url, KEPT_USER)
    gone = _user_with_key(admin, url, GONE_USER)
    admin.call("DELETE", f"/v1/users/{gone['id']}")
    for number, (name, gpus) in enumerate(WORKERS.items(), 1):
        _register(url, token, _worker(release, name, f"10.9.8.{number}", gpus))
    for model in _models(release):
        admin.call("POST", "/v1/models", model)


def _key(client: Client, name: str, seconds: int) -> None:
    client.call("POST", "/v1/api-keys", {"name": name, "description": "", "expires_in": seconds})


def _user_with_key(admin: Client, url: str, name: str) -> dict[str, Any]:
    user = {"username": name, "full_name": f"{name} 田中", "is_admin": False, "password": PASSWORD}
    made: dict[str, Any] = admin.call("POST", "/v1/users", user)
    _key(Client(url).login(name, PASSWORD), f"laptop of {name}", 90 * 86400)
    return made


def _register(url: str, token: str, worker: dict[str, Any]) -> None:
    """As a worker of these releases does: by its address and the registration token."""
    secret = base64.b64encode(f"system/worker/{worker['ip']}:{token}".encode()).decode()
    Client(url, ("Authorization", f"Basic {secret}")).call("POST", "/v1/workers", worker)


def _worker(release: str, name: str, address: str, gpus: int) -> dict[str, Any]:
    reserved = {"memory": 1, "gpu_memory": 1} if release < "0.2" else {"ram": 2, "vram": 1}
    return {
        "name": name,
        "hostname": name,
        "ip": address,
        "port": 10150,
        "labels": {"os": "linux", "worker-name": name},
        "state": "ready",
        "heartbeat_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system_reserved": reserved,
        "status": _status(release, gpus),
    }


def _status(release: str, gpus: int) -> dict[str, Any]:
    memory = {"total": 2**33, "used": 1, "utilization_rate": 1.0, "is_unified_memory": False}
    return {
        "cpu": {"total": 4, "utilization_rate": 1.0},
        "memory": memory,
        "swap": {"total": 0, "used": 0, "utilization_rate": 0.0},
        "filesystem": [],
        "os": {"name": "Debian", "version": "12"},
        "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"},
        "uptime": {"uptime": 5.0, "boot_time": "x"},
        "gpu_devices": [_gpu(release, index) for index in range(gpus)],
    }


def _gpu(release: str, index: int) -> dict[str, Any]:
    """Releases before 0.5 have no type of a device."""
    memory = {"total": 16 * 2**30, "used": 0, "utilization_rate": 0, "is_unified_memory": False}
    device = {"name": "Tesla T4", "uuid": f"GPU-{index}", "vendor": "NVIDIA", "index": index, "memory": memory}
    device.update(core={"total": 40, "utilization_rate": 0}, temperature=40.0)
    return device if release < "0.5" else {**device, "type": "cuda"}


def _models(release: str) -> list[dict[str, Any]]:
    """One that has to have an instance, and one of each source that v2 gives up."""
    gguf = {"source": "huggingface", "huggingface_repo_id": "Qwen/Qwen2.5-0.5B-Instruct-GGUF"}
    models: list[dict[str, Any]] = [
        {"name": "qwen-half", **gguf, "huggingface_filename": "q4_k_m.gguf", "replicas": int(release < "0.3")},
        {"name": OLLAMA_MODEL, "source": "ollama_library", "ollama_library_model_name": "llama3.1", "replicas": 0},
    ]
    if release >= "0.3":
        vllm = {"source": "huggingface", "huggingface_repo_id": "Qwen/Qwen2.5-0.5B-Instruct", "backend": "vllm"}
        models.append({"name": VLLM_MODEL, **vllm, "replicas": 1})
    return models


if __name__ == "__main__":
    fill(*sys.argv[1:])
