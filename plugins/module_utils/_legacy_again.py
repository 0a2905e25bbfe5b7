# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an operator makes a legacy container again that is gone, told by what a v2 container on its data shows. Pure.

It is made stopped: it must not run beside v2, and the switch goes from it as it would from a stopped one.
"""

from __future__ import annotations

import shlex
from typing import Any, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases

_ENGINE_SOCKET = "/var/run/docker.sock"
_EVERYWHERE = ("", "0.0.0.0", "::")
_DEFAULT_PORTS = (None, 80, 443)


def way_out(server: Mapping[str, Any], definition: str | None) -> str:
    """The commands, from the saved definition where there is one."""
    name = f"{server['name']}-old"
    if definition:
        return _from_definition(name, definition)
    return (
        f"make it again, without starting it. {_from_definition(name, 'PATH')}, where a backup of this host has a"
        f" container.json (PATH on this host). Else, on this host: {shlex.join(_create(server, name))}, with the GPU"
        " options that it had before the image (NVIDIA: --gpus all --ipc=host), of the image variant that it had, and"
        " behind it the arguments that it had (--disable-worker where this host ran no worker)"
    )


def _from_definition(name: str, definition: str) -> str:
    return (
        "On the controller: ansible -i INVENTORY THIS_HOST -b -m fleetops.gpustack.legacy_install -a"
        f" 'definition={definition} name={name} start=false'; on this host: docker update --restart unless-stopped"
        f" {name}"
    )


def _create(server: Mapping[str, Any], name: str) -> list[str]:
    release = server["database"]["release"] or _releases.LEGACY_SUPPORTED[-1]
    words = ["docker", "create", "--name", name, "--restart", "unless-stopped", *_network(server)]
    words += ["-v", f"{_data(server)}:{_releases.IMAGE_DATA_DIR}"]
    for mount in _other_mounts(server):
        words += ["-v", mount]
    words.append(f"gpustack/gpustack:{_releases.legacy_tag(release)}")
    if (server["server"] or {}).get("port") not in _DEFAULT_PORTS:
        words += ["--port", str(server["server"]["port"])]
    return words + [argument for argument in server["args"] if argument == "--disable-worker"]


def _network(server: Mapping[str, Any]) -> Iterator[str]:
    if server["network_mode"] == "host":
        yield from ("--network", "host")
    found = []
    for port in server["published_ports"]:
        address = "" if port["host_ip"] in _EVERYWHERE else f"{port['host_ip']}:"
        found.append(f"{address}{port['host_port']}:{port['container'].replace('/tcp', '')}")
    for port in dict.fromkeys(found):  # the engine lists IPv4 and IPv6 apart
        yield from ("-p", port)


def _data(server: Mapping[str, Any]) -> str:
    """The volume by its name where the data lies at its root, else the directory."""
    data_dir = server["data_dir"]
    whole = [mount for mount in server["mounts"] if mount["destination"] == data_dir["container_path"]]
    return str(data_dir["volume"] if data_dir["volume"] and whole else data_dir["host_path"])


def _other_mounts(server: Mapping[str, Any]) -> Iterator[str]:
    """Model directories and the like, which the legacy container had too, in all likelihood."""
    data = server["data_dir"]["container_path"]
    for mount in server["mounts"]:
        source = mount["name"] or mount["source"]
        inside = data == mount["destination"] or data.startswith(mount["destination"].rstrip("/") + "/")
        if source and not inside and mount["destination"] != _ENGINE_SOCKET:
            yield f"{source}:{mount['destination']}{'' if mount['rw'] else ':ro'}"
