# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data directory of an installation: what is in it, what a switch adds to it, and how that is put aside again.

Only the directory's own entries are looked at. Model caches are entries that were there before: they stay in place.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from typing import Iterable, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SET_ASIDE_PREFIX
from ansible_collections.fleetops.gpustack.plugins.module_utils._data_directory import V2_FILES
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import fsync_directory

#: What holds users, keys and secrets; nobody else may read it once others may enter the directory.
PRIVATE_FILES = (
    "database.db",
    "database.db-wal",
    "database.db-shm",
    "database.db-journal",
    "token",
    "jwt_secret_key",
    "initial_admin_password",
)
OTHERS_MAY_ENTER = stat.S_IROTH | stat.S_IXOTH
EVERYBODY_MAY_ENTER = 0o555


def entries(data_dir: str) -> list[str]:
    """The names in the directory, without those that an earlier attempt put aside; none before it is made."""
    if not os.path.isdir(data_dir):
        return []
    return sorted(name for name in os.listdir(data_dir) if not name.startswith(SET_ASIDE_PREFIX))


def set_aside(data_dir: str, before: Iterable[str], attempt: str, only_v2s: bool) -> list[str]:
    """Move what was not there before into a directory of its own; the names that were moved.

    ``only_v2s`` limits that to names of v2's own, where the old release may have added something too.
    """
    added = sorted(set(entries(data_dir)) - set(before))
    if only_v2s:
        added = [name for name in added if any(fnmatch.fnmatch(name, pattern) for pattern in V2_FILES)]
    return move_aside(data_dir, added, attempt)


def move_aside(data_dir: str, names: Sequence[str], attempt: str) -> list[str]:
    """Move entries into a directory of their own; the names that were moved."""
    if names:
        target = set_aside_directory(data_dir, names, attempt)
        for name in names:
            os.rename(os.path.join(data_dir, name), os.path.join(target, name))
        fsync_directory(target)
        fsync_directory(data_dir)
    return list(names)


def is_open_to_others(data_dir: str) -> bool:
    """Whether another user, such as v2's PostgreSQL, gets through the directory and its log directory."""
    return all(_mode(path) & OTHERS_MAY_ENTER == OTHERS_MAY_ENTER for path in _directories(data_dir))


def modes_to_open(data_dir: str) -> dict[str, tuple[int, int]]:
    """What must change so that others may enter: path -> (mode now, mode then), private files first."""
    if is_open_to_others(data_dir):
        return {}
    wanted: dict[str, tuple[int, int]] = {}
    for path in (os.path.join(data_dir, name) for name in PRIVATE_FILES):
        if os.path.isfile(path):
            wanted[path] = (_mode(path), 0o600)
    for path in _directories(data_dir):
        wanted[path] = (_mode(path), _mode(path) | EVERYBODY_MAY_ENTER)
    return {path: (now, then) for path, (now, then) in wanted.items() if now != then}


def apply_modes(modes: Mapping[str, int]) -> None:
    """Set modes in the order given; a path that is gone is skipped."""
    for path, mode in modes.items():
        if has_other_mode(path, mode):
            os.chmod(path, mode)


def has_other_mode(path: str, mode: int) -> bool:
    """Whether a path is there with another mode."""
    return os.path.lexists(path) and _mode(path) != mode


def set_aside_directories(data_dir: str, attempt: str) -> list[str]:
    """The directories in which v2's files of an attempt lie; none where the data directory was not made yet."""
    if not os.path.isdir(data_dir):
        return []
    found = fnmatch.filter(os.listdir(data_dir), SET_ASIDE_PREFIX + attempt + "*")
    return sorted(os.path.join(data_dir, name) for name in found)


def _directories(data_dir: str) -> list[str]:
    log = os.path.join(data_dir, "log")
    return [data_dir, log] if os.path.isdir(log) else [data_dir]


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def set_aside_directory(data_dir: str, names: Sequence[str], attempt: str) -> str:
    """The first directory of this attempt in which none of the names lies: an interrupted move goes on where it was."""
    number, path = 1, os.path.join(data_dir, SET_ASIDE_PREFIX + attempt)
    while any(os.path.lexists(os.path.join(path, name)) for name in names):
        number += 1
        path = os.path.join(data_dir, f"{SET_ASIDE_PREFIX}{attempt}-{number}")
    _snapshot.make_backup_dir(path)  # nobody else's, and no link
    return path
