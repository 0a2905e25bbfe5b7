# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of a host on which its v2 container will listen: those taken already, and those new to the network. Pure.

On a network of its own, a container reaches the host's addresses by published ports only, and these stay as they were.
"""

from __future__ import annotations

from typing import Iterable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _container_spec, _plan_wrecks
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem

# As the release table calls them.
DATABASE = "PostgreSQL"
GATEWAY = "gateway"


def refusals(view: HostView, built: _container_spec.Built) -> Iterator[Problem]:
    """Ports that v2 wants and that somebody other than the legacy container holds."""
    if view.node["journal"]["outcome"] == "unfinished":
        return
    wanted = _wanted(view, built)
    # What the legacy container holds is free once it has stopped; of one that does not run, nothing is.
    held = _legacy(view) if view.installation and view.installation["running"] else set()
    for port in sorted(set(view.node["ports"]) & set(wanted) - held - _plan_wrecks.ports(view)):
        yield view.problem(
            "port_taken",
            f"port {port}, which v2 needs for {wanted[port]}, is taken by another process",
            f"stop what listens there (ss -ltnp 'sport = :{port}'), or move GPUStack with a port option in"
            " gpustack_extra_args",
        )


def warnings(view: HostView, built: _container_spec.Built) -> Iterator[Problem]:
    """Ports on which nothing of GPUStack has listened here so far."""
    wanted, legacy = _wanted(view, built), _legacy(view)
    new = {port: service for port, service in wanted.items() if port not in legacy}
    if not new:
        return
    closed = [port for port, service in new.items() if service == DATABASE] or list(new)
    yield view.problem(
        "new_listeners",
        "v2 opens ports on this host that the legacy container did not: {}".format(
            "; ".join(f"{ranges(ports)} ({service})" for service, ports in by_service(new))
        ),
        "close in the host's firewall what nobody outside shall call, PostgreSQL above all, which only the container"
        f' itself calls: nft add rule inet filter input iifname != "lo" tcp dport {{ {ranges(closed)} }} drop',
    )


def by_service(ports: Mapping[int, str]) -> list[tuple[str, list[int]]]:
    """Service -> its ports, the database first. The gateway is one service, however many parts it has."""
    found: dict[str, list[int]] = {}
    for port, service in sorted(ports.items()):
        found.setdefault(GATEWAY if service.startswith(GATEWAY + " ") else service, []).append(port)
    return sorted(found.items(), key=lambda item: (item[0] != DATABASE, len(item[1]), item[1]))


def ranges(ports: Iterable[int]) -> str:
    """Ports as a reader and nft take them: 15000, 15020-15021."""
    found: list[list[int]] = []
    for port in sorted(ports):
        if found and found[-1][1] == port - 1:
            found[-1][1] = port
        else:
            found.append([port, port])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _wanted(view: HostView, built: _container_spec.Built) -> dict[int, str]:
    """Port -> service, of a v2 container that shares the host's network."""
    if not built.spec or view.release is None or built.spec["network_mode"] != "host":
        return {}
    listeners = _container_spec.listeners_of(built.spec, view.release, view.role or "", built.config)
    return {each.port: each.service for each in listeners}


def _legacy(view: HostView) -> set[int]:
    """Ports on which the legacy container listens when it runs."""
    installation = view.installation
    ports: set[int] = set()
    if installation is None:
        return ports
    if view.is_server:
        ports.add(int(installation["server"]["port"]))
    if view.runs_worker:
        worker = installation["worker"]
        ports.update((int(worker["port"]), int(worker["metrics_port"])), range(40000, 40096))
    return ports
