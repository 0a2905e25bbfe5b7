# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A `gpustack start` that runs on the host by itself: in a terminal, by nohup, or behind a script. Reads only.

Nothing that could be switched off and on stands behind it, so it is shown as an installation with that problem.
"""

from __future__ import annotations

import os
import re
import socket
from typing import Any, Collection, Iterator

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _unit_command,
    _unit_install,
    _unit_paths,
    _unit_record,
)

_UNIT = re.compile(r"/([^/\n]+\.service)(?:/|$)", re.M)
_ASK = "stop it, and let a systemd unit of its own start it (ExecStart=/path/to/gpustack start ...), then run again"


def find(known: set[int], units: Collection[str] = (), proc: str = "/proc") -> list[dict[str, Any]]:
    """The records of such processes, without those that descend from the ``known`` ones or run in one of the ``units``.

    A unit that restarts has other processes by now than it was known for.
    """
    return [
        _record(pid, words, proc)
        for pid, words in _processes(proc)
        if not _descends(pid, known, proc) and _unit_of(pid, proc) not in units
    ]


def _processes(proc: str) -> Iterator[tuple[int, list[str]]]:
    """`gpustack start` among the host's own processes: what is in a container has another view of the file systems."""
    own = _namespace(proc, os.getpid())
    if own is None:
        return
    for entry in sorted(os.listdir(proc)):
        words = _words(proc, entry) if entry.isdigit() else []
        for first in (0, 1):  # a script is the second word of its interpreter's command line
            try:
                arguments = _unit_command.start_arguments(words[first:])
            except _unit_command.CommandError:
                continue
            if _namespace(proc, int(entry)) == own:
                yield int(entry), arguments
            break


def _namespace(proc: str, pid: int) -> str | None:
    try:
        return os.readlink(os.path.join(proc, str(pid), "ns/mnt"))
    except OSError:
        return None


def _words(proc: str, pid: str, name: str = "cmdline") -> list[str]:
    try:
        with open(os.path.join(proc, pid, name), encoding="utf-8", errors="replace") as text:
            return text.read().split("\0")[:-1]
    except OSError:
        return []


def _descends(pid: int, known: set[int], proc: str) -> bool:
    """Whether a process is one of the known ones, or has one among its ancestors."""
    while pid > 1:
        if pid in known:
            return True
        try:
            with open(os.path.join(proc, str(pid), "stat"), encoding="utf-8", errors="replace") as text:
                pid = int(text.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False


def _record(pid: int, arguments: list[str], proc: str) -> dict[str, Any]:
    environment = dict(entry.partition("=")[::2] for entry in _words(proc, str(pid), "environ"))
    unit = _unit_of(pid, proc)
    behind = f"behind something that unit {unit} starts" if unit else "by itself, in a terminal or by nohup"
    mounts, _missing = _unit_paths.mounts(_unit_install.settings_of(arguments, environment))
    return _unit_record.build(
        _unit_record.Found(
            name=f"process {pid}",
            file="",
            enabled=False,
            active=True,
            invocation="",
            arguments=arguments,
            environment=environment,
            mounts=mounts,
            release=None,
            hostname=socket.gethostname(),
            problem={
                "cause": f"it runs {behind}, so that nothing could start it again on the way back",
                "way_out": _ASK,
            },
        )
    )


def _unit_of(pid: int, proc: str) -> str | None:
    try:
        with open(os.path.join(proc, str(pid), "cgroup"), encoding="utf-8", errors="replace") as text:
            found = _UNIT.findall(text.read())
    except OSError:
        return None
    # Whatever a person logs in by is a unit too, and says nothing.
    return next((name for name in found if not name.startswith(("ssh", "user@", "docker", "containerd"))), None)
