# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a host's backup on the controller, proven by the hashes of its manifest. The manifest is written last.

The host is not trusted with the controller's paths: what its manifest names has to stay below the copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _legacy_image, _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import fsync_directory

_FILE_MODE = 0o600
_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")

#: The blocks of a file of the host, in order.
Blocks = Callable[[str], Iterator[bytes]]


class CopyError(Exception):
    """The copy is not whole; the message says why and what to do."""


def destination(source: str, parent: str) -> str:
    """Where the copy of a backup goes: below the parent, whatever path the host gave for it."""
    name = posixpath.basename(source)
    if not _stays_inside(name):
        raise CopyError(f"{source} is not the path of a backup's directory; nothing was copied from there.")
    return os.path.join(os.path.abspath(parent), name)


def manifest_of(source: str, text: bytes) -> dict[str, Any]:
    """The host's manifest, with paths that stay inside."""
    try:
        manifest = json.loads(text)
        names = list(_snapshot.contents_of(manifest)) if manifest["format"] == _snapshot.MANIFEST_FORMAT else None
    except (ValueError, KeyError, TypeError, AttributeError):
        names = None
    if names is None:
        raise CopyError(f"{source} has no manifest of this collection: it is no backup, or was not finished.")
    outside = [name for name in names if not _stays_inside(name)]
    if outside:
        raise CopyError(f"The manifest of {source} names files outside of the backup; nothing was copied from there.")
    return dict(manifest)


def wanted(manifest: dict[str, Any]) -> dict[str, str]:
    """The files to copy, with their hashes: without the recovered database, which the copies make again."""
    contents = _snapshot.contents_of(manifest)
    return {name: sha256 for name, sha256 in contents.items() if name not in _snapshot.REPLACEABLE}


def image_archive(definition: bytes) -> str | None:
    """The name of the archive of a container's image, beside the backups; None when the definition names none."""
    try:
        image = str(json.loads(definition)["Image"])
    except (ValueError, KeyError, TypeError):
        return None
    return os.path.basename(_legacy_image.archive_path("", image)) if _IMAGE_ID.fullmatch(image) else None


def missing(dest: str, text: bytes, files: dict[str, str]) -> list[str]:
    """The files that the copy lacks, or has with other contents; the manifest's own name when that differs."""
    found = [name for name, sha256 in sorted(files.items()) if hash_of(os.path.join(dest, name)) != sha256]
    same_manifest = hash_of(os.path.join(dest, _snapshot.MANIFEST)) == hashlib.sha256(text).hexdigest()
    return found if same_manifest else [*found, _snapshot.MANIFEST]


def copy(source: str, dest: str, text: bytes, files: dict[str, str], names: Iterable[str], read: Blocks) -> int:
    """Copy the files of a backup and prove them; the bytes that were copied. All is 0700 or 0600 from the start."""
    _snapshot.make_backup_dir(dest)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(dest, _snapshot.MANIFEST))  # until it is back, this is no backup
    size = sum(copy_file(source, dest, name, files[name], read) for name in names if name != _snapshot.MANIFEST)
    _write(os.path.join(dest, _snapshot.MANIFEST), iter([text]))
    return size


def copy_file(source: str, dest: str, name: str, sha256: str, read: Blocks) -> int:
    """Copy one file of the host into a private directory and prove it; its size."""
    target = os.path.join(dest, name)
    if os.path.dirname(name):
        _snapshot.make_backup_dir(os.path.dirname(target))
    size = _write(target, read(posixpath.join(source, name)))
    if hash_of(target) != sha256:
        os.unlink(target)
        raise CopyError(
            f"{name} of {source} did not arrive as the manifest says. Run again; where that does not help, the backup "
            "on the host is damaged: make a new one."
        )
    return size


def _write(target: str, blocks: Iterator[bytes]) -> int:
    temporary = target + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        size = sum(stream.write(block) for block in blocks)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, target)
    fsync_directory(os.path.dirname(target))
    return size


def hash_of(path: str) -> str | None:
    """The hash of a private regular file; None for anything else, which is written anew."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(facts.st_mode) or stat.S_IMODE(facts.st_mode) & ~_FILE_MODE:
        return None
    return _snapshot.hash_file(path)


def _stays_inside(name: str) -> bool:
    parts = name.split("/")
    return not name.startswith("/") and "\0" not in name and all(part not in ("", ".", "..") for part in parts)
