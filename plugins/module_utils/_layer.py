# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A data directory that lies in a container's own layer, copied into a volume.

The engine reads the stopped container's file system as `docker cp` does, so that its layer is not written to. Caches of
models are never copied.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import tarfile
from typing import Any, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _data_dir_changes, _snapshot, _takeover
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    SET_ASIDE_PREFIX,
    Attempt,
    SwitchError,
    Work,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._data_directory import CACHE
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import ATTEMPT_LABEL
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import MissingError
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import fsync_directory
from ansible_collections.fleetops.gpustack.plugins.module_utils._recreate import legacy_record

_BLOCK = 1024 * 1024


def mounted(attempt: Attempt) -> list[str]:
    """The volume as a v2 container mounts it, where there is one."""
    return [f"{_takeover.data_volume(attempt.name)}:{attempt.layer}"] if attempt.layer else []


def copy_out(work: Work) -> dict[str, Any]:
    """Fill the volume from the stopped container and prove what lies there; what an earlier try left is put aside."""
    attempt, record = work.attempt, legacy_record(work)
    volume = _takeover.data_volume(attempt.name)
    made = work.engine.create_volume(volume, {ATTEMPT_LABEL: attempt.name})
    if record is None or not attempt.layer or made != attempt.data_dir:
        raise SwitchError(
            f"Volume {volume} lies in {made} and not in {attempt.data_dir}: the engine's data-root was moved since "
            "this attempt began. Move it back, or go back with state=legacy and begin anew."
        )
    _data_dir_changes.set_aside(attempt.data_dir, [], attempt.name, only_v2s=False)
    copied: dict[str, str] = {}
    for name in names(record, attempt.layer):
        try:
            chunks = work.engine.read_archive(record["Id"], posixpath.join(attempt.layer, name))
        except MissingError:
            continue  # deleted since the image brought it
        copied.update(extract(chunks, attempt.data_dir))
    _take_mode(record, attempt.layer, attempt.data_dir)
    prove(attempt.data_dir, copied)
    if attempt.serves:
        opened = _data_dir_changes.modes_to_open(attempt.data_dir)
        _data_dir_changes.apply_modes({path: then for path, (_now, then) in opened.items()})
    return {"volume": volume, "files": len(copied), "entries": _data_dir_changes.entries(attempt.data_dir)}


def names(record: Mapping[str, Any], path: str) -> list[str]:
    """What lies in a directory of a container, over all of its layers, but for caches and what we put aside there."""
    found: set[str] = set()
    for layer in _layers(record):
        if os.path.isdir(layer + path):
            found.update(os.listdir(layer + path))
    return sorted(name for name in found if name != CACHE and not name.startswith(SET_ASIDE_PREFIX))


def extract(chunks: Iterator[bytes], target: str) -> dict[str, str]:
    """Unpack a tar stream with owners, modes and times; path below the target -> SHA-256 of each regular file."""
    hashes: dict[str, str] = {}
    directories: list[tuple[str, tarfile.TarInfo]] = []
    with tarfile.open(fileobj=io.BufferedReader(_Chunks(chunks)), mode="r|") as archive:
        for member in archive:
            path = _inside(target, member.name)
            if member.isdir():
                os.makedirs(path, exist_ok=True)
                directories.append((path, member))
            elif member.isreg():
                hashes[os.path.relpath(path, target)] = _write(archive.extractfile(member), path)
                _set_facts(path, member)
            elif member.issym():
                os.symlink(member.linkname, path)
                os.chown(path, member.uid, member.gid, follow_symlinks=False)
            elif member.islnk():
                os.link(_inside(target, member.linkname), path)
            # Sockets and pipes are of a process that is gone.
    for path, member in reversed(directories):
        _set_facts(path, member)
        fsync_directory(path)
    return hashes


def prove(directory: str, hashes: Mapping[str, str]) -> None:
    """Read everything again and hold it against what the engine sent."""
    fsync_directory(directory)
    wrong = [name for name, sha256 in hashes.items() if _snapshot.hash_file(os.path.join(directory, name)) != sha256]
    if wrong:
        raise SwitchError(
            f"{', '.join(wrong)} in {directory} is not what the container holds; check the file system, then run again."
        )


class _Chunks(io.RawIOBase):
    """Pieces of bytes as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _layers(record: Mapping[str, Any]) -> list[str]:
    storage = (record.get("GraphDriver") or {}).get("Data") or {}
    return [layer for layer in (storage.get("UpperDir"), *(storage.get("LowerDir") or "").split(":")) if layer]


def _inside(target: str, name: str) -> str:
    """The path of an archive's member, which no name and no link leads out of the target."""
    path = os.path.join(target, name)
    parent = os.path.realpath(os.path.dirname(path.rstrip("/")))
    root = os.path.realpath(target)
    if os.path.isabs(name) or ".." in name.split("/") or os.path.commonpath([root, parent]) != root:
        raise SwitchError(f"The engine sent {name!r}, which lies outside of {target}; it was not written.")
    return path


def _write(source: Any, path: str) -> str:
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        for block in iter(lambda: source.read(_BLOCK), b""):
            digest.update(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _set_facts(path: str, member: tarfile.TarInfo) -> None:
    os.chown(path, member.uid, member.gid)
    os.chmod(path, member.mode)
    os.utime(path, (member.mtime, member.mtime))


def _take_mode(record: Mapping[str, Any], path: str, target: str) -> None:
    """Owner and mode of the directory itself, which no archive of what lies in it tells."""
    for layer in _layers(record):
        if os.path.isdir(layer + path):
            facts = os.stat(layer + path)
            os.chown(target, facts.st_uid, facts.st_gid)
            os.chmod(target, facts.st_mode & 0o7777)
            return
