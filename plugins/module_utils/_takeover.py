# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it means for a switch that somebody else keeps the legacy container, or that its data goes with it. Pure.

An installation is that of the evidence, with ``supervisors``, ``auto_remove`` and ``data_dir``.
"""

from __future__ import annotations

import posixpath
from typing import Any, Iterator, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _unit_record
from ansible_collections.fleetops.gpustack.plugins.module_utils._data_directory import UNINSTALL as _UNINSTALL

#: Orchestrators that put a container of their own in the place of one that is gone, on this host or on another.
_RESCHEDULERS = {
    "swarm": ("Swarm service", "remove the service (docker service rm {name}), run"),
    "kubernetes": ("Kubernetes pod", "remove the workload of pod {name} from Kubernetes, run"),
}
_NAMES = {"compose": "Compose service", "systemd": "systemd unit", "watchtower": "Watchtower"}
_BY_ITSELF = "the container by itself (docker run) on the same data directory"


class Finding(NamedTuple):
    """Something the operator must know, with the way out."""

    code: str
    cause: str
    way_out: str


def kept_by(installation: Mapping[str, Any]) -> dict[str, Any]:
    """What an attempt has to know of this in order to go on or back."""
    data_dir = installation["data_dir"]
    unit = _unit(installation)
    return {
        "auto_remove": installation["auto_remove"],
        "unit": unit["unit"] if unit else None,
        "watchtower": is_watched(installation),
        "layer": data_dir["container_path"] if data_dir["type"] == "layer" else None,
    }


def is_watched(installation: Mapping[str, Any]) -> bool:
    """Whether a Watchtower would replace the container by a newer image."""
    return any(keeper["kind"] == "watchtower" for keeper in installation["supervisors"])


def data_volume(attempt: str) -> str:
    """The volume into which the data goes that lies in a container's own layer."""
    return f"gpustack-data-{attempt}"


def volume_path(docker_root: str, attempt: str) -> str:
    """Where that volume lies on the host."""
    return posixpath.join(docker_root, "volumes", data_volume(attempt), "_data")


def problems(installation: Mapping[str, Any]) -> Iterator[Finding]:
    """Why the container cannot be taken over."""
    for keeper in installation["supervisors"]:
        if keeper["kind"] in _RESCHEDULERS:
            yield _rescheduled(installation, keeper)
        elif keeper["problem"]:
            cause, way_out = keeper["problem"]["cause"], keeper["problem"]["way_out"]
            yield Finding("supervised", f"{_kept(installation, keeper)}, and {cause}", way_out)
    units = [keeper["name"] for keeper in installation["supervisors"] if keeper["kind"] == "systemd"]
    if len(units) > 1:
        yield Finding(
            "supervised",
            f"several systemd units start container {installation['name']}: {', '.join(units)}",
            "disable all of them but one",
        )
    yield from _data_problems(installation)


def _data_problems(installation: Mapping[str, Any]) -> Iterator[Finding]:
    """Data that the stop, or the next start, of a container takes away."""
    name, data_dir, unit = installation["name"], installation["data_dir"], _unit(installation)
    makes = bool(unit and unit["unit"]["makes"])
    removes = installation["auto_remove"] or bool(unit and unit["unit"]["removes"])
    if data_dir["type"] == "layer" and (makes or removes):
        yield Finding(
            "data_in_layer",
            f"the data of container {name} is in its own layer, which is deleted when the container stops",
            f"copy it to a directory while nothing writes (docker pause {name}, then docker cp "
            f"{name}:{data_dir['container_path']} DIRECTORY), and run the legacy release with that directory mounted",
        )
    if data_dir["type"] == "anonymous" and makes and unit:
        yield Finding(
            "anonymous_volume",
            f"each start of unit {unit['name']} makes container {name} with an empty volume of its own, so that the "
            "way back would not find the data again",
            f"mount the volume by its name in the unit (-v {data_dir['volume']}:{data_dir['container_path']}), reload "
            "(systemctl daemon-reload) and restart it",
        )


def warnings(installation: Mapping[str, Any]) -> Iterator[Finding]:
    """What is taken over, and what the operator has to change afterwards."""
    name = installation["name"]
    if installation["auto_remove"]:
        yield Finding(
            "auto_remove",
            f"container {name} was started with --rm; a stopped copy made from its definition is kept instead, and the "
            "v2 container is not --rm but has restart policy unless-stopped",
            f"choose another one afterwards, if you like (docker update --restart POLICY {name})",
        )
    for keeper in installation["supervisors"]:
        if installation.get("kind") == _unit_record.SYSTEMD:
            yield from _unit_warnings(installation, keeper)
        elif keeper["kind"] == "systemd":
            yield Finding(
                "systemd_unit",
                f"{_kept(installation, keeper)}; the unit will be disabled and stopped, its file stays, and the v2 "
                "container has restart policy unless-stopped",
                "leave the unit disabled; going back enables and starts it again as it was",
            )
        elif keeper["kind"] == "compose":
            yield Finding(
                "compose",
                f"{_kept(installation, keeper)}; 'docker compose up' would start the legacy release again, or collide "
                "with the v2 container's name",
                f"take the service out of {keeper['file'] or 'its file'} before the next 'docker compose up'",
            )
    if installation["data_dir"]["type"] == "layer":
        yield Finding(
            "data_in_layer",
            f"the data of container {name} is in its own layer; it will be copied into a volume for v2, and the layer "
            "stays as it is",
            "keep the retired container for as long as you may want to go back",
        )


def _unit_warnings(installation: Mapping[str, Any], keeper: Mapping[str, Any]) -> Iterator[Finding]:
    """A unit that runs GPUStack without a container."""
    further = keeper["unit"].get("further") or []
    not_carried = f"; {', '.join(further)} of the unit mean nothing to the container" if further else ""
    yield Finding(
        "systemd_unit",
        f"{_kept(installation, keeper)}; the unit will be disabled and stopped, its file, its variables and the "
        f"program stay, and the v2 container has restart policy unless-stopped{not_carried}",
        "leave the unit disabled; going back enables and starts it again",
    )
    if _UNINSTALL in ((installation.get("data") or {}).get("files") or {}):
        yield Finding(
            "uninstall_script",
            f"{installation['data_dir']['host_path']}/{_UNINSTALL} of upstream's installer deletes the whole data "
            "directory, which is v2's from now on",
            "never run it; to remove the legacy program afterwards: pipx uninstall gpustack, or pip uninstall gpustack",
        )


def _unit(installation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((keeper for keeper in installation["supervisors"] if keeper["kind"] == "systemd"), None)


def _rescheduled(installation: Mapping[str, Any], keeper: Mapping[str, Any]) -> Finding:
    what, way_out = _RESCHEDULERS[keeper["kind"]]
    return Finding(
        "supervised",
        f"container {installation['name']} belongs to {what} {keeper['name']}, which would start the legacy release "
        "again as soon as it stops",
        f"{way_out.format(name=keeper['name'])} {_BY_ITSELF}",
    )


def _kept(installation: Mapping[str, Any], keeper: Mapping[str, Any]) -> str:
    where = f" ({keeper['file']})" if keeper["file"] else ""
    if installation.get("kind", _unit_record.CONTAINER) != _unit_record.CONTAINER:
        return f"GPUStack is run by {_unit_record.called(installation)}{where}"
    return f"container {installation['name']} is kept by {_NAMES[keeper['kind']]} {keeper['name']}{where}"
