# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further legacy workers on hosts of the lab that run a container already, and an inventory with a host for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.e2e import outside
from tests.lab import legacy
from tests.lab.fleet import Fleet

ENV_FILE = "/etc/gpustack-further.env"


@dataclass(frozen=True)
class Worker:
    """A container of the inventory, and the host of the lab that it is on."""

    name: str
    host: str
    container: str
    arguments: tuple[str, ...] = ()
    image: str = "gpustack/gpustack:v0.7.1-cpu"
    #: Options of `docker run` by which it gets GPUs.
    flags: tuple[str, ...] = ()

    @property
    def data_dir(self) -> str:
        return f"/data/{self.container}"


def start(fleet: Fleet, worker: Worker) -> None:
    """Start a legacy worker; its token comes from a file, so that no argument of ours holds it."""
    host = fleet.host(worker.host)
    token = fleet.host("server").exec_root("cat", f"{outside.DATA_DIR}/token").strip()
    planted = [f"{name}={value}" for name, value in legacy.PLANTED_ENVIRONMENT.items()]
    host.run(f"sudo tee {ENV_FILE} >/dev/null", stdin="\n".join([*planted, f"GPUSTACK_TOKEN={token}"]) + "\n")
    host.exec_root("chmod", "0600", ENV_FILE)
    command = ["docker", "run", "--detach", "--name", worker.container, "--restart=unless-stopped", "--network=host"]
    command += [f"--env-file={ENV_FILE}", "--volume", f"{worker.data_dir}:/var/lib/gpustack", *worker.flags]
    command += [worker.image, "--server-url", fleet.data["server_url"], "--worker-ip", host.host.address]
    host.exec_root(*command, "--worker-name", worker.name, *worker.arguments)


@contextmanager
def inventory(
    fleet: Fleet, servers: Mapping[str, Mapping[str, Any]], workers: Mapping[str, Mapping[str, Any]]
) -> Iterator[None]:
    """The fleet's inventory with these hosts, each with its variables, in place of one per machine."""
    before = fleet.inventory.read_text()
    content = yaml.safe_load(before)
    children = content["all"]["children"]
    children["gpustack_servers"] = {"hosts": {name: dict(each) for name, each in servers.items()}}
    children["gpustack_workers"] = {"hosts": {name: dict(each) for name, each in workers.items()}}
    fleet.inventory.write_text(yaml.safe_dump(content, sort_keys=False))
    try:
        yield
    finally:
        fleet.inventory.write_text(before)
