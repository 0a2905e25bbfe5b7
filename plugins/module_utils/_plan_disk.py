# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host has room for its upgrade, per file system. Pure."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _plan_runner_images, _releases
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem

MIB, GIB = 1024**2, 1024**3

# Room as multiples of the database together with its WAL. v2 migrates a copy beside the original, and PostgreSQL holds
# the rows once more, with a WAL of its own.
DATA_DIR_COPIES = 3
# The backup keeps the bytes and their recovered copy.
BACKUP_COPIES = 2
# A database of an older schema is brought to that of 0.7.1 there besides, in a working copy and a proven one.
RAISED_COPIES = 2
# Of an external database the backup keeps the dump and its rows, and the rehearsal makes both beforehand.
EXTERNAL_COPIES = 2
# A rehearsal takes place in a throw-away container: on a copy, which needs beside it what the migration needs.
REHEARSAL_COPIES = 1 + DATA_DIR_COPIES
# Bytes for the new container's own layer and log. Where Docker's root is full, it cannot even be created.
CONTAINER_SIZE = 256 * MIB


def check_disk(view: HostView) -> Iterator[Problem]:
    """Room per file system, added up where several needs meet on one."""
    if view.installation is not None and view.will_switch:
        yield from _short_of_room(view, list(_needs(view)))


def check_together(hosts: Sequence[HostView]) -> Iterator[Problem]:
    """Room for all containers of one machine, where there is enough for each alone. One image serves them all."""
    switched = [view for view in hosts if view.installation is not None and view.will_switch]
    if len(switched) < 2 or any(True for view in switched for _problem in check_disk(view)):
        return
    needs = [
        (f"{what} of {view.name}", filesystem, size)
        for view in switched
        for what, filesystem, size in _needs(view)
        if what != "image" or view is switched[0]
    ]
    yield from _short_of_room(switched[0], needs)


def _short_of_room(view: HostView, wanted: Sequence[tuple[str, Any, int]]) -> Iterator[Problem]:
    needs: dict[str, list[tuple[str, int]]] = {}
    systems: dict[str, dict[str, Any]] = {}
    for what, filesystem, size in wanted:
        if filesystem and size:
            systems[filesystem["mount_point"]] = filesystem
            needs.setdefault(filesystem["mount_point"], []).append((what, size))
    for mount_point, entries in needs.items():
        needed, free = sum(size for _what, size in entries), systems[mount_point]["free"]
        if free < needed:
            listed = ", ".join(f"{what} {_size(size)}" for what, size in entries)
            yield view.problem(
                "disk",
                f"{mount_point} has {_size(free)} free, needed are {_size(needed)} ({listed})",
                f"free space on {mount_point}, or move gpustack_backup_dir, gpustack_state_dir, ansible_remote_tmp or"
                " Docker's data-root to another one",
            )


def _needs(view: HostView) -> Iterator[tuple[str, Any, int]]:
    """What needs room, its file system, and how many bytes."""
    filesystems = view.node["filesystems"]
    database = view.database
    if database and view.data:
        size = (database["size"] or 0) + database["wal_size"]
        if view.is_external:
            yield "backup", filesystems["backup"], EXTERNAL_COPIES * size
            yield "container", filesystems["docker_root"], CONTAINER_SIZE
            return
        yield "data directory", view.data["filesystem"], DATA_DIR_COPIES * size
        if view.installation and view.installation["data_dir"]["type"] == "layer":
            yield "copy of the data", filesystems["docker_root"], size
        yield "backup", filesystems["backup"], BACKUP_COPIES * size
        if _releases.is_raised(database["schema_head"]):
            yield "schema upgrade", filesystems["backup"], RAISED_COPIES * size
        yield "rehearsal", filesystems["docker_root"], REHEARSAL_COPIES * size
    yield "container", filesystems["docker_root"], CONTAINER_SIZE
    if not view.node["image"]["present"]:
        yield "image", filesystems["docker_root"], view.settings.image_size
        yield "image archive", filesystems["state"], view.settings.archive_size or 0
        if _is_elsewhere(filesystems["remote_tmp"], filesystems["state"]):
            yield "image archive on its way", filesystems["remote_tmp"], view.settings.archive_size or 0
    yield from _plan_runner_images.room(view)


def _is_elsewhere(staging: Any, final: Any) -> bool:
    """Whether a file that Ansible copies is there twice for a moment: on one file system it is only renamed."""
    return bool(staging and final and staging["mount_point"] != final["mount_point"])


def _size(number: int) -> str:
    return "%.1f GiB" % (number / GIB) if number >= GIB else "%.1f MiB" % (number / MIB)
