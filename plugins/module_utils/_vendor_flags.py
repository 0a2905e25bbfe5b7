# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vendor's flags for a release on a host, and the devices that the legacy container was restricted to. Pure."""

from __future__ import annotations

import re
from typing import Any, Collection, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases

# Flags that an entry of a vendor file may hold, with the value of those that it leaves out.
FLAGS: dict[str, Any] = {
    "runtime": None,
    "environment": {},
    "volumes": [],
    "devices": [],
    "capabilities": [],
    "privileged": False,
    "ipc_mode": None,
    "pid_mode": None,
    "group_add": [],
    "security_opt": [],
}
_ALL = (None, "", "all")


class VendorError(ValueError):
    """Vendor data that cannot serve; the message says the way out."""


class Notice(NamedTuple):
    """A refusal or a warning."""

    code: str
    cause: str
    way_out: str


def flags_for(data: Mapping[str, Any], release: str | _releases.Release, paths: Collection[str] = ()) -> dict[str, Any]:
    """
    The flags of a vendor for a release: the newest entry that is not newer than the release, whole.

    Of entries with the same `since` the last one whose `when_paths` are all on the host (`paths`) counts. With what
    `_container_spec.build` needs beside them: `devices_variable`, `legacy_environment` and `legacy_mounts`.
    """
    version = release.version if isinstance(release, _releases.Release) else _releases.normalise(release)
    fitting = [entry for entry in data.get("flags") or [] if set(entry.get("when_paths") or []) <= set(paths)]
    entry = newest_entry(fitting, version)
    if entry is None:
        raise VendorError(
            "the vendor data of {} has no flags for GPUStack {}; choose a newer release".format(
                data.get("title"), version
            )
        )
    flags = {name: _copy(entry.get(name, default)) for name, default in FLAGS.items()}
    flags["devices_variable"] = (data.get("visible_devices") or {}).get("variable")
    flags["legacy_environment"] = list(data.get("legacy_environment") or [])
    flags["legacy_mounts"] = list(data.get("legacy_mounts") or [])
    return flags


def newest_entry(entries: Iterable[Mapping[str, Any]], version: str) -> Mapping[str, Any] | None:
    """The entry with the highest `since` that is not newer than the version; of several the last one."""
    fitting = [entry for entry in entries if _releases.at_least(version, str(entry["since"]))]
    return max(reversed(fitting), key=lambda entry: _releases.version_key(str(entry["since"])), default=None)


def select_devices(
    flags: dict[str, Any],
    data: Mapping[str, Any],
    installation: Mapping[str, Any] | None,
    gpu: Mapping[str, Any],
    chosen: Sequence[str] = (),
) -> list[Notice]:
    """Name by the vendor's variable the devices that were chosen, or that the legacy container was restricted to.

    Where the runtime shows nothing without the variable, one index of the host stands for all: a privileged container
    sees every device as soon as the runtime prepared it (GPUStack, docs/installation/ascend-cann at v2.0.0).
    """
    devices = data.get("visible_devices") or {}
    if not devices:
        return []
    variable = devices["variable"]
    host = _indexes(devices.get("node"), gpu.get("devices") or [])
    selected = ",".join(str(device) for device in chosen) or _restriction(
        installation or {}, variable, devices.get("node"), host
    )
    if selected is None:
        if devices.get("required"):
            flags["environment"] = {**flags["environment"], variable: next(iter(host), "0")}
        return []
    flags["environment"] = {**flags["environment"], variable: selected}
    if not flags["privileged"]:
        return []
    restricted = "gpustack_gpu_devices names" if chosen else "the legacy container was restricted to"
    cause = (
        f"{restricted} the devices {selected}; {variable}={selected} is set, but v2's container is privileged and sees"
        " all of the host"
    )
    return [
        Notice(
            "device_selection",
            cause,
            "expect the worker to list the others too; models that name GPUs by index may mean other ones then",
        )
    ]


def _restriction(legacy: Mapping[str, Any], variable: str, node: str | None, host: Sequence[str]) -> str | None:
    """Which devices the legacy container had, None for all of the host: by `--gpus`, by variable, or one by one."""
    for request in legacy.get("device_requests") or []:
        if request.get("DeviceIDs"):
            return ",".join(str(device) for device in request["DeviceIDs"])
        count = request.get("Count") or -1
        if 0 < count < len(host):
            return ",".join(str(index) for index in range(count))
    chosen = (legacy.get("environment") or {}).get(variable)
    if chosen not in _ALL:
        return str(chosen)
    given = _indexes(node, [str(device.get("PathOnHost")) for device in legacy.get("devices") or []])
    return ",".join(given) if given and set(given) < set(host) else None


def _indexes(node: str | None, names: Iterable[str]) -> list[str]:
    """The numbers in the names of device nodes, in their order."""
    if not node:
        return []
    matches = (re.fullmatch(node, name) for name in names)
    return sorted({match.group(1) for match in matches if match}, key=int)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, (list, tuple)) else value
