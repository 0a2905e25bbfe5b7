# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a legacy fleet holds before it is upgraded: users, API keys, models, usage, history.

All of it goes through the server's own API, and usage comes from requests that the server itself forwards and counts.
The one exception is the past, which no API can write: older usage and load samples are inserted by SQL, see `history`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from tests.lab import answers, history
from tests.lab.api import Client, wait_until
from tests.lab.fleet import Fleet
from tests.lab.hosts import Host
from tests.lab.layout import Options, gateway

USERS: list[dict[str, Any]] = [
    {"username": "operations", "full_name": "Betrieb & Wartung", "is_admin": True},
    {"username": "zoë", "full_name": "Zoë Müller-Lüdenscheidt", "is_admin": False},
    {"username": "tanaka", "full_name": "田中 太郎", "is_admin": False},
    {"username": "o'hara", "full_name": 'Máire Ní Eaghra; "DROP" 100 %', "is_admin": False},
]
SETTLE_TIMEOUT = 120.0
REQUESTS = ("chat/completions", "completions", "embeddings")


def models(gpu_worker: str | None) -> list[dict[str, Any]]:
    """Models of every source that v2 takes over; nothing is downloaded, so their instances wait or fail as they do."""
    return [
        {
            "name": "qwen3-0.6b",
            "description": "Assistent für die Doku / 日本語も可",
            "source": "huggingface",
            "huggingface_repo_id": "Qwen/Qwen3-0.6B",
            "backend": "vllm",
            "backend_parameters": ["--max-model-len=8192", "--served-model-name=qwen"],
            "env": {"VLLM_LOGGING_LEVEL": "INFO"},
            "categories": ["llm"],
            "replicas": 1,
            "restart_on_error": False,
        },
        {
            "name": "bge-m3",
            "source": "model_scope",
            "model_scope_model_id": "BAAI/bge-m3",
            "backend": "vllm",
            "categories": ["embedding"],
            "worker_selector": {"os": "linux"},
            "replicas": 0,
        },
        {
            "name": "whisper-large-v3",
            "source": "huggingface",
            "huggingface_repo_id": "Systran/faster-whisper-large-v3",
            "backend": "vox-box",
            "categories": ["speech_to_text"],
            "replicas": 0,
        },
        {
            "name": "house-style",
            "source": "local_path",
            "local_path": "/data/models/house-style",
            "backend": "vllm",
            "categories": ["llm"],
            "gpu_selector": {"gpu_ids": [f"{gpu_worker}:cuda:0"]} if gpu_worker else None,
            "replicas": 1,
            "restart_on_error": False,
        },
    ]


def run(fleet: Fleet, write_past: Callable[[Options, Host], None] = history.insert) -> dict[str, Any]:
    """Fill the fleet's server and return what is in it. ``write_past`` writes what no API can."""
    admin = fleet.admin()
    users = [create_user(admin, {**user, "password": _password()}) for user in USERS]
    keys = _create_keys(admin, fleet.data["server_url"], users)
    gpu_worker = next((host.name for host in fleet.hosts.values() if host.gpus), None)
    created = [admin.call("POST", "/v1/models", model) for model in models(gpu_worker)]
    _book_usage(fleet, admin, next(model for model in created if model["source"] == "local_path"), keys)
    for model in created:
        if model["replicas"]:
            _settled_instance(admin, model)
    write_past(fleet.options, fleet.hosts["server"])
    return {
        "users": users,
        "api_keys": keys,
        "api_key": keys[0]["value"],
        "models": [{key: model[key] for key in ("id", "name", "source", "replicas", "backend")} for model in created],
    }


def late_user() -> dict[str, Any]:
    """A user who is created last of all: a backup of `database.db` without its `-wal` does not know this one."""
    return {"username": "spätzünder", "full_name": "Späte Zündung", "is_admin": False, "password": _password()}


def create_user(admin: Client, user: dict[str, Any]) -> dict[str, Any]:
    """Create a user, and return it with its id."""
    return {**user, "id": admin.call("POST", "/v1/users", user)["id"]}


def _password() -> str:
    """A password that the server's rules accept."""
    return f"Lab-{secrets.token_hex(8)}!A1"


def _create_keys(admin: Client, url: str, users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A lasting key of the administrator, one that ends, and one of each user."""
    wishes = [(admin, "admin", "automation", 0), (admin, "admin", "quarter", 90 * 86400)]
    wishes += [(Client(url).login(user["username"], user["password"]), user["username"], "laptop", 0) for user in users]
    made = []
    for client, owner, name, seconds in wishes:
        body = {"name": name, "description": f"{owner}: {name}", "expires_in": seconds}
        answer = client.call("POST", "/v1/api-keys", body)
        made.append({"id": answer["id"], "name": name, "owner": owner, "value": answer["value"]})
    return made


def _book_usage(fleet: Fleet, admin: Client, model: dict[str, Any], keys: list[dict[str, Any]]) -> None:
    """Let the server book usage of a model: send it requests that a passing worker answers.

    The model's waiting instance is declared to run on that worker, and deleted afterwards; the server then makes a
    new one, which waits as the first did.
    """
    address = gateway(fleet.data["subnet"])
    instance = _settled_instance(admin, model)
    with answers.serving(address) as port:
        worker = admin.call("POST", "/v1/workers", _passing_worker(address, port))
        change = {"state": "running", "worker_id": worker["id"], "worker_name": worker["name"]}
        change |= {"worker_ip": address, "port": port, "ports": [port], "state_message": ""}
        admin.call("PUT", f"/v1/model-instances/{instance['id']}", {**instance, **change})
        for key in keys:
            client = Client(fleet.data["server_url"]).with_api_key(key["value"])
            for path in REQUESTS:
                client.call("POST", f"/v1/{path}", _request(path, model["name"]))
        admin.call("DELETE", f"/v1/model-instances/{instance['id']}")
        admin.call("DELETE", f"/v1/workers/{worker['id']}")


def _passing_worker(address: str, port: int) -> dict[str, Any]:
    memory = {"total": 2**30, "used": 0, "utilization_rate": 0}
    return {
        "name": "lab-answers",
        "hostname": "lab-answers",
        "ip": address,
        "port": port,
        "worker_uuid": secrets.token_hex(16),
        "heartbeat_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system_reserved": {"ram": 0, "vram": 0},
        "status": {"cpu": {"total": 1, "utilization_rate": 0}, "memory": memory, "gpu_devices": []},
    }


def _settled_instance(admin: Client, model: dict[str, Any]) -> dict[str, Any]:
    """The model's one instance, once the scheduler has said what it thinks of it."""

    def settled() -> dict[str, Any] | None:
        instances = admin.items(f"/v1/models/{model['id']}/instances")
        if len(instances) != 1 or instances[0]["state"] not in ("pending", "error"):
            return None
        return instances[0] if instances[0]["state_message"] else None

    found: dict[str, Any] = wait_until(
        f"the scheduler to judge {model['name']}", settled, SETTLE_TIMEOUT, "see the legacy server's log"
    )
    return found


def _request(path: str, model: str) -> dict[str, Any]:
    if path == "chat/completions":
        return {"model": model, "messages": [{"role": "user", "content": "Guten Tag?"}]}
    return {"model": model, "prompt" if path == "completions" else "input": "Guten Tag?"}
