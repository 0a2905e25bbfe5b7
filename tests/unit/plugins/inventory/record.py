# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python tests/unit/plugins/inventory/record.py`: the answers of real servers, for the tests beside this file.

Starts a real GPUStack 0.7.1 with an embedded worker, from the lab's image, and gives it three more workers over its own
API; then 2.2.3 on a copy of its data, which it migrates. What each answers to the requests of the inventory plugin is
written to `data/<release>.json`. Of a worker's status only its GPUs are kept: the rest tells about the machine on which
this ran. The API keys are not written, and are gone with the servers.

Run it from the root of the checkout, with the lab's images in the Docker engine (`python -m tests.lab images`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, ".")

from tests.lab.api import Client, wait_until

DATA = Path(__file__).with_name("data")
NAME = "gpustack-recording"
#: Little of the machine, so that this disturbs nobody.
SHARES = "--cpu-shares=16"
OWN_WORKER = "inference1"
UPGRADES = {"2.2.3": 30080}
TIMEOUT = 600.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def gpus(vendor: str, kind: str, name: str, memory: int) -> list[dict[str, Any]]:
    """Two devices as a 0.7.1 worker reports them."""
    return [
        {"index": index, "device_index": index, "name": name, "uuid": "", "vendor": vendor, "type": kind,
         "memory": {"total": memory, "used": 0, "utilization_rate": 0}, "labels": {}}
        for index in (0, 1)
    ]  # fmt: skip


#: Workers by name: address, labels, GPUs.
WORKERS: dict[str, tuple[str, dict[str, str], list[dict[str, Any]]]] = {
    "gpu1": (
        "192.0.2.21",
        {"os": "linux", "worker-name": "gpu1", "rack": "A 7", "example.com/zone": "eu-1"},
        gpus("NVIDIA", "cuda", "NVIDIA A100-SXM4-80GB", 85899345920),
    ),
    "npu1": (
        "192.0.2.22",
        {"os": "linux", "worker-name": "npu1", "Größe": "{{ 6 * 7 }}"},
        gpus("Huawei", "npu", "910B3", 65452113920),
    ),
    "büro pc": ("192.0.2.23", {"os": "linux", "worker-name": "büro pc", "spot": ""}, []),
}


def docker(*arguments: str) -> str:
    """One command of the engine's client."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def start(release: str, image: str, volume: str, port: int, *arguments: str, variables: tuple[str, ...] = ()) -> str:
    """A server; its URL once it serves."""
    container = f"{NAME}-{release}"
    options = [word for variable in variables for word in ("--env", variable)]
    docker("run", "--detach", f"--name={container}", f"--hostname={OWN_WORKER}", SHARES, "--dns=127.0.0.1",
           f"--volume={volume}:/var/lib/gpustack", *options, image, *arguments)  # fmt: skip
    address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
    url = f"http://{address}:{port}"
    client = Client(url)
    wait_until(f"{release} to serve", lambda: client.call("GET", "/readyz"), TIMEOUT, f"see docker logs {container}")
    return url


def fill(url: str, password: str) -> dict[str, str]:
    """Workers, and the API keys of an administrator and of another user."""
    admin = Client(url).login("admin", password)
    for name, (address, labels, devices) in WORKERS.items():
        memory = {"total": 2**35, "used": 0, "utilization_rate": 0}
        status = {"cpu": {"total": 8, "utilization_rate": 0}, "memory": memory, "gpu_devices": devices}
        admin.call("POST", "/v1/workers", {
            "name": name, "hostname": name, "ip": address, "port": 10150, "labels": labels, "status": status,
            "worker_uuid": f"00000000-0000-4000-8000-{len(devices):08d}{sum(name.encode()):04d}",
            "system_reserved": {"ram": 0, "vram": 0},
            "heartbeat_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        })  # fmt: skip
    user = {"username": "user", "full_name": "User", "is_admin": False, "password": password}
    admin.call("POST", "/v1/users", user)
    keys = {"admin": admin, "user": Client(url).login("user", password)}
    body = {"name": "recording", "description": "", "expires_in": 0}
    return {name: client.call("POST", "/v1/api-keys", body)["value"] for name, client in keys.items()}


def answer(url: str, path: str, key: str) -> dict[str, Any]:
    """Status and body of an answer, without what tells about this machine."""
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {key}"})
    try:
        with _OPENER.open(request, timeout=60) as response:
            status, body = response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        status, body = error.code, json.loads(error.read())
    for item in body.get("items") or []:
        if isinstance(item.get("status"), dict):
            item["status"] = {"gpu_devices": item["status"]["gpu_devices"]}
    return {"status": status, "body": body}


def record(release: str, url: str, keys: dict[str, str]) -> None:
    """Write what a server answers to each who asks."""
    listing = "/v1/workers?" if release.startswith("0.") else "/v2/workers?sort_by=name&"
    pages = ["page=1&perPage=100", "page=1&perPage=2", "page=2&perPage=2"]
    paths = ["/version", *(listing + page for page in pages)]
    if not release.startswith("0."):
        paths += [f"/v2/clusters?sort_by=name&{page}" for page in pages[:2]]
    shown = {"admin": keys["admin"], "user": keys["user"], "none": "gpustack_0000000000000000_" + "0" * 32}
    found = {who: {path: answer(url, path, key) for path in paths} for who, key in shown.items()}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    assert not any(key in text for key in keys.values())
    (DATA / f"{release}.json").write_text(text + "\n")


def main() -> None:
    """Record all releases."""
    volumes = [f"{NAME}-{release}" for release in ("0.7.1", *UPGRADES)]
    try:
        url = start("0.7.1", "gpustack/gpustack:v0.7.1-cpu", volumes[0], 80, f"--worker-name={OWN_WORKER}")
        password = docker("exec", f"{NAME}-0.7.1", "cat", "/var/lib/gpustack/initial_admin_password")
        admin = Client(url).login("admin", password)
        wait_until("its worker", lambda: ready(admin), TIMEOUT, f"see docker logs {NAME}-0.7.1")
        keys = fill(url, password)
        record("0.7.1", url, keys)
        docker("stop", f"{NAME}-0.7.1")
        for release, port in UPGRADES.items():
            image = f"gpustack/gpustack:v{release}"
            copy = ["--entrypoint=cp", f"--volume={volumes[0]}:/from:ro", f"--volume={NAME}-{release}:/to", image]
            docker("run", "--rm", SHARES, *copy, "-a", "/from/.", "/to")
            url = start(release, image, f"{NAME}-{release}", port, variables=("GPUSTACK_DATA_MIGRATION=true",))
            record(release, url, keys)
            docker("stop", f"{NAME}-{release}")
    finally:
        subprocess.run(["docker", "rm", "--force", *volumes], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", "--force", *volumes], capture_output=True, check=False)


def ready(admin: Client) -> bool:
    """Whether the server's own worker is READY."""
    return any(worker["state"] == "ready" for worker in admin.items("/v1/workers"))


if __name__ == "__main__":
    main()
