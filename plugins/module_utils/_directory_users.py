# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a data directory now: running containers that have it mounted, processes that have its database open."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, name_of


def containers(reader: DockerReader, directory: str) -> list[str]:
    """The running containers that have the directory, or may write through a parent of it; none without an engine."""
    if not os.path.exists(reader.path):
        return []
    records = reader.inspect_all(container["Id"] for container in reader.containers())
    return sorted(name_of(record) for record in records if is_running(record) and _sees(record, directory))


def processes(paths: Iterable[str], proc: str = "/proc") -> list[int]:
    """The processes that have one of the files open, whatever they call it: containers see other paths."""
    wanted = {identity for identity in map(_identity, paths) if identity is not None}
    if not wanted:
        return []
    return sorted(pid for pid in _pids(proc) if wanted & set(_open_files(os.path.join(proc, str(pid), "fd"))))


def _sees(record: Mapping[str, Any], directory: str) -> bool:
    here = os.path.realpath(directory)
    return any(_reaches(mount, here) for mount in record.get("Mounts") or [] if mount.get("Source"))


def _reaches(mount: Mapping[str, Any], here: str) -> bool:
    """Monitoring has the whole host mounted, but read-only: that is no use of the directory."""
    source = os.path.realpath(mount["Source"])
    return source == here or (bool(mount.get("RW")) and os.path.commonpath([source, here]) == source)


def _pids(proc: str) -> Iterator[int]:
    return (int(name) for name in os.listdir(proc) if name.isdigit())


def _open_files(directory: str) -> Iterator[tuple[int, int]]:
    with contextlib.suppress(OSError):  # a process that has ended meanwhile uses nothing
        for name in os.listdir(directory):
            identity = _identity(os.path.join(directory, name))
            if identity is not None:
                yield identity


def _identity(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
