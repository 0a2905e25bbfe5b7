# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a transfer brings, and what it cannot, as lines for a person. Pure."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

_MIB = 1024 * 1024
#: So many paths of one table are named, the others counted.
_SHOWN = 10


def lines(source: Mapping[str, Any], target: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """``settings`` has host, origin, data_dir, container_name and cache."""
    return [
        *_what(source, target, settings),
        *_losses(source, settings),
        *(f"warning: {text}" for text in source["warnings"]),
        *_next(source, settings),
    ]


def _what(source: Mapping[str, Any], target: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    database, files = source["database"], [each["name"] for each in source["files"] if each["kind"] == "data"]
    rows = ", ".join(f"{count} {table}" for table, count in sorted(database["counts"].items()) if count)
    origin = "{} ({}, {})".format(source["path"], source["system"], source["installation"])
    coming = [each for each in target["missing"] if each["kind"] != "cache"]
    size = sum(each["size"] - each["offset"] for each in target["missing"])
    found = [
        "{host}: from {origin}, {what}: GPUStack {release}, {rows}".format(
            host=settings["host"], origin=settings["origin"], what=origin, release=database["release"], rows=rows
        ),
        "files, each proven by its hash: " + ", ".join(files),
        "backup {}: {}".format(
            target["backup"], "is there" if target["finished"] else f"{len(coming)} files are still to come"
        ),
        "container {} of {}{}, data directory {}, host network, port {}, without a worker".format(
            settings["container_name"],
            target["image"],
            "" if target["image_present"] else " (will be pulled)",
            settings["data_dir"],
            source["settings"]["port"],
        ),
        "settings kept: " + (", ".join(source["settings"]["kept"]) or "none"),
    ]
    found += [f"settings left out: {text}" for text in source["settings"]["dropped"]]
    if size:
        found.append(f"to be copied: {size / _MIB:.1f} MiB")
    return found


def _losses(source: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    found = []
    worker = source["worker"]
    if worker:
        found.append(
            "loss: worker {}, which ran beside the server, stays behind with its GPUs ({}): 2.x has no workers on "
            "macOS and Windows".format(worker["name"], ", ".join(worker["gpus"]) or "none")
        )
    if source["left_behind"]:
        found.append("stays behind: " + ", ".join(source["left_behind"]))
    if source["cache_size"] and not settings["cache"]:
        found.append(
            "stays behind: {:.0f} MiB of downloaded models (gpustack_transfer_cache brings them)".format(
                source["cache_size"] / _MIB
            )
        )
    return [*found, *_paths(source["database"]["old_paths"])]


def _paths(old_paths: Iterable[Mapping[str, Any]]) -> list[str]:
    found = list(old_paths)
    shown = [
        "will not be found on the new host: {} ({} {})".format(each["path"], each["table"], each["row"])
        for each in found[:_SHOWN]
    ]
    return shown + (
        [f"will not be found on the new host: {len(found) - _SHOWN} more paths"] if len(found) > _SHOWN else []
    )


def _next(source: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    ready = sorted(each["name"] for each in source["database"]["workers"])
    found = [
        "leave the old server stopped: it is not touched, and its rows are those of this moment",
        "then: playbooks/upgrade.yml, as for any other server",
    ]
    if ready:
        found.append(
            "its workers ({}) call the old address: give them the new one with gpustack_server_url, or name those that "
            "do not come along in gpustack_ignore_workers".format(", ".join(ready))
        )
    return found
