# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy GPUStack that systemd runs without a container, in the form in which an engine shows a container. Pure.

What the rest of the collection reads of a container it then reads of such an installation too. Whatever the host has is
at the same path in the container: the release's own options name paths of the host.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple, Sequence

#: The key of a record that no engine has: what is known of the unit.
KEY = "Unit"
CONTAINER, SYSTEMD, PROCESS = "container", "systemd", "process"
ID_PREFIX = "systemd:"
_UNIT_SUFFIX = ".service"


class Found(NamedTuple):
    """A unit that runs `gpustack start`, as it was read on the host. It holds secrets."""

    name: str
    file: str
    enabled: bool
    active: bool
    #: Systemd's own id of this run of the unit; empty when it does not run.
    invocation: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    #: Where each path of the host appears in the container.
    mounts: Sequence[tuple[str, str]]
    release: str | None
    hostname: str
    #: Why it cannot be taken over: cause and way out.
    problem: Mapping[str, str] | None
    #: The unit's main process; 0 when it does not run.
    process: int = 0
    #: Commands of the unit beside its main one, by name.
    further: Sequence[str] = ()


def identity(unit: str) -> str:
    """What stands for a container's id."""
    return ID_PREFIX + unit


def unit_of(identifier: str) -> str | None:
    """The unit of such an id; None for a container's."""
    return identifier[len(ID_PREFIX) :] if identifier.startswith(ID_PREFIX) else None


def kind(record: Mapping[str, Any]) -> str:
    """What an installation is: a container, a systemd unit, or a process that nobody keeps."""
    if KEY not in record:
        return CONTAINER
    return SYSTEMD if str(record["Name"]).endswith(_UNIT_SUFFIX) else PROCESS


def called(installation: Mapping[str, Any]) -> str:
    """An installation of the evidence in words: what it is, and its name."""
    words = {SYSTEMD: "systemd unit {}", PROCESS: "{} (gpustack start)"}
    return words.get(installation.get("kind", CONTAINER), "container {}").format(installation["name"])


def legacy(name: str) -> str:
    """A legacy installation in words, where only its name is known."""
    return f"legacy systemd unit {name}" if name.endswith(_UNIT_SUFFIX) else f"legacy container {name}"


def container_name(installation_name: str) -> str:
    """What the v2 container is called unless the operator chose: as the old one, or as the unit without its suffix."""
    if not installation_name.endswith(_UNIT_SUFFIX):
        return installation_name
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", installation_name[: -len(_UNIT_SUFFIX)]).lstrip("_.-")
    return stem if len(stem) > 1 else "gpustack"


def build(found: Found) -> dict[str, Any]:
    """The record."""
    return {
        "Id": identity(found.name),
        "Name": "/" + found.name,
        "Image": "",
        "State": {
            "Status": "running" if found.active else "exited",
            "Running": found.active,
            "StartedAt": found.invocation,
        },
        "Config": {
            "Image": None,
            "Entrypoint": ["gpustack", "start"],
            "Cmd": list(found.arguments),
            "Env": [f"{name}={value}" for name, value in found.environment.items()],
            "Labels": {},
            "Hostname": found.hostname,
        },
        "HostConfig": {
            "NetworkMode": "host",
            "AutoRemove": False,
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        },
        "Mounts": [
            {"Type": "bind", "Source": source, "Destination": target, "Mode": "", "RW": True}
            for source, target in found.mounts
        ],
        "NetworkSettings": {"Networks": {"host": {}}},
        KEY: {"release": found.release, "process": found.process, "retired": False, "keeper": _keeper(found)},
    }


def _keeper(found: Found) -> dict[str, Any]:
    """The entry of the evidence ``supervisors``. There is no container that the unit would make or remove."""
    unit = {"name": found.name, "enabled": found.enabled, "active": found.active, "makes": False, "removes": False}
    unit = {**unit, "further": list(found.further)}
    return {"kind": SYSTEMD, "name": found.name, "file": found.file or None, "problem": found.problem, "unit": unit}
