# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a container's services answer, seen from its host: from the engine's record and the settings. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _discovery, _releases
from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import Endpoint, GateError
from ansible_collections.fleetops.gpustack.plugins.module_utils._legacy_settings import Settings

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = ("", "0.0.0.0", "::")
LEGACY_PORT, LEGACY_TLS_PORT, WORKER_PORT = 80, 443, 10150
HEALTH = "/healthz"


def address_of(record: Mapping[str, Any], port: int) -> tuple[str, int]:
    """Host and port under which a port of the container is reached: published ones first, as users reach it."""
    if record["HostConfig"]["NetworkMode"] == "host":
        return LOOPBACK, port
    published = (record["NetworkSettings"].get("Ports") or {}).get(f"{port}/tcp") or []
    for binding in published:
        host = LOOPBACK if binding["HostIp"] in EVERY_ADDRESS else binding["HostIp"]
        return host, int(binding["HostPort"])
    return container_address(record), port


def container_address(record: Mapping[str, Any]) -> str:
    """The address of the container itself."""
    if record["HostConfig"]["NetworkMode"] == "host":
        return LOOPBACK
    for network in (record["NetworkSettings"].get("Networks") or {}).values():
        if network.get("IPAddress"):
            return str(network["IPAddress"])
    raise GateError(
        f"Container {record['Name'].lstrip('/')} cannot be reached from this host: it has no address in network "
        f"{record['HostConfig']['NetworkMode']}. Run it with network host or bridge (gpustack_network)."
    )


def v2_endpoints(
    record: Mapping[str, Any], settings: Settings, release: _releases.Release, role: str
) -> list[Endpoint]:
    """What has to answer before a v2 container is accepted: the API, the port that users call, its own worker."""
    found = []
    if role in ("server", "both"):
        found += _server_endpoints(record, settings, release)
    if role in ("worker", "both"):
        port = settings.number("worker_port", WORKER_PORT)
        found.append(Endpoint("the worker", *address_of(record, port), path=HEALTH))
    return found


def legacy_endpoints(record: Mapping[str, Any], settings: Settings, role: str) -> list[Endpoint]:
    """What has to answer before a legacy container counts as back."""
    if role == "worker":
        port = settings.number("worker_port", WORKER_PORT)
        return [Endpoint("the legacy worker", *address_of(record, port), path=HEALTH)]
    tls = _has_tls(settings)
    port = settings.number("port", LEGACY_TLS_PORT if tls else LEGACY_PORT)
    shown = _certificate(record, settings)
    return [Endpoint("the legacy server", *address_of(record, port), tls=tls, certificate=shown)]


def _server_endpoints(record: Mapping[str, Any], settings: Settings, release: _releases.Release) -> list[Endpoint]:
    gateway = settings.get("gateway_mode") != "disabled"
    found = []
    # Behind its gateway the API listens on the container's loopback only. On a network of its own nobody reaches that
    # but the gateway, whose answer then proves both.
    if record["HostConfig"]["NetworkMode"] == "host" or not gateway:
        found.append(Endpoint("the API", *address_of(record, settings.number("api_port", release.api_port))))
    if gateway:
        tls = _has_tls(settings)
        port = settings.number("tls_port", LEGACY_TLS_PORT) if tls else settings.number("port", LEGACY_PORT)
        shown = _certificate(record, settings)
        found.append(Endpoint("the port that users call", *address_of(record, port), tls=tls, certificate=shown))
    return found


def _certificate(record: Mapping[str, Any], settings: Settings) -> str | None:
    """Where the server's certificate lies on the host; None without one, and where it is inside the container."""
    if not _has_tls(settings):
        return None
    return _discovery.host_path(str(settings.get("ssl_certfile")), _discovery.mounts_of(record))


def _has_tls(settings: Settings) -> bool:
    return bool(settings.get("ssl_certfile") and settings.get("ssl_keyfile"))
