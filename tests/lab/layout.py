# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet is made of, before anything is made: its options, its hosts, their addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from tests.lab.errors import LabError
from tests.lab.hosts import Host

# Every fleet gets a /24 of this block for itself.
BLOCK = ipaddress.ip_network("10.203.0.0/16")
REGISTRY, SERVER, FIRST_WORKER = 5, 11, 21


@dataclass(frozen=True)
class Options:
    """What the person who asks for a fleet may choose."""

    name: str
    workers: int = 2
    gpu_workers: int = 1
    gpus: int = 2
    legacy: str = "0.7.1"
    targets: tuple[str, ...] = ("2.2.3",)
    seed: str = "all"
    data: str = "bind"
    embedded_worker: bool = False
    server_network: str = "host"
    container_name: str = "gpustack"
    fill: bool = True
    hosts_only: bool = False
    snapshot: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,20}", self.name):
            raise LabError(f"{self.name!r} cannot name a fleet; take small letters, digits and dashes, 21 at most")
        if self.gpu_workers > self.workers:
            raise LabError(f"a fleet of {self.workers} workers cannot have {self.gpu_workers} with GPUs; ask for fewer")

        if self.embedded_worker and self.server_network != "host":
            raise LabError("an embedded worker needs the host's network; leave out --embedded-worker or the network")

    def as_json(self) -> dict[str, Any]:
        """The options as they stand in `fleet.json`."""
        return {**asdict(self), "targets": list(self.targets)}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Options:
        """The options that `as_json` wrote."""
        return Options(**{**data, "targets": tuple(data["targets"])})


def hosts_of(options: Options, subnet: str) -> dict[str, Host]:
    """The hosts of a fleet by name. The first of the workers are those with GPUs."""
    first = ipaddress.ip_network(subnet).network_address
    hosts = {"server": Host(options.name, "server", str(first + SERVER))}
    for index in range(options.workers):
        name = f"worker{index + 1}"
        gpus = options.gpus if index < options.gpu_workers else 0
        hosts[name] = Host(options.name, name, str(first + FIRST_WORKER + index), gpus)
    return hosts


def free_subnet(taken: Collection[str]) -> str:
    """The first /24 of the lab's block that overlaps no network in use."""
    used = [ipaddress.ip_network(text) for text in taken]
    for subnet in BLOCK.subnets(new_prefix=24):
        if not any(subnet.version == other.version and subnet.overlaps(other) for other in used):
            return str(subnet)
    raise LabError(f"no /24 of {BLOCK} is free for another fleet; remove one with `down --name NAME`")


def gateway(subnet: str) -> str:
    """The address at which the hosts of a fleet reach the machine that they run on."""
    return str(ipaddress.ip_network(subnet).network_address + 1)


def registry_address(subnet: str) -> str:
    """The address of the lab's registry in a fleet's network."""
    return str(ipaddress.ip_network(subnet).network_address + REGISTRY)
