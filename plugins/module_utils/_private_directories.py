# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories that hold secrets or say what root does next: nobody else may have laid them out or write into them."""

from __future__ import annotations

import os
import stat
from typing import Any, Mapping, NamedTuple

DIRECTORY, LINK, OTHER = "directory", "link", "other"


class Objection(NamedTuple):
    """What speaks against a directory, and the way out."""

    cause: str
    way_out: str


def make(path: str) -> None:
    """A directory for nobody else, with the parents that are missing, which makedirs would open to others."""
    path = os.path.abspath(path)
    if not os.path.isdir(os.path.dirname(path)):
        make(os.path.dirname(path))
    os.makedirs(path, mode=0o700, exist_ok=True)


def facts(path: str) -> dict[str, Any] | None:
    """Kind, owner and mode of what lies at a path; None when nothing does. A link is not followed."""
    path = os.path.abspath(path)  # a slash at the end would follow it
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = LINK if stat.S_ISLNK(status.st_mode) else DIRECTORY if stat.S_ISDIR(status.st_mode) else OTHER
    return {"path": path, "kind": kind, "uid": status.st_uid, "mode": f"{stat.S_IMODE(status.st_mode):04o}"}


def objection(found: Mapping[str, Any] | None, uid: int) -> Objection | None:
    """What speaks against it for a process of this user; what is not there yet is made as it must be. Pure."""
    if found is None:
        return None
    path = found["path"]
    if found["kind"] == LINK:
        return Objection(f"{path} is a symbolic link", "name the directory itself, or remove the link")
    if found["kind"] == OTHER:
        return Objection(f"{path} is not a directory", "remove it, or choose another directory")
    if found["uid"] != uid:
        return Objection(
            f"{path} belongs to uid {found['uid']}, not to the user that writes into it (uid {uid})",
            "choose another directory, or chown it",
        )
    if int(found["mode"], 8) & (stat.S_IWGRP | stat.S_IWOTH):
        return Objection(
            f"{path} (mode {found['mode']}) can be written by others", "chmod go-w it, or choose another directory"
        )
    return None
