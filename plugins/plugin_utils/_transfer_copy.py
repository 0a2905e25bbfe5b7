# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a source on the controller, and how many of a file that was cut off are there already."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot, _transfer_source
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_receive import PARTIAL
from ansible_collections.fleetops.gpustack.plugins.plugin_utils._remote_file import BLOCK

#: Reads a file of the host from a block on.
ReadFrom = Callable[[str, int], Iterator[bytes]]


class TransferError(Exception):
    """The transfer is not whole; the message says why and what to do."""


def gathered(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in larger pieces, each of which is one command on the host."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


class Reader:
    """Reads the files of a source on the controller, in a folder or an archive, from any byte on."""

    def __init__(self, source: Mapping[str, Any], stack: contextlib.ExitStack) -> None:
        self._archive: Any = None
        if source["form"] != _transfer_source.FOLDER:
            self._archive = stack.enter_context(_transfer_source.opened(source["path"]))

    def read(self, wanted: Mapping[str, Any], offset: int) -> Iterator[bytes]:
        entry = _transfer_source.Entry(wanted["name"], _transfer_source.FILE, wanted["size"], wanted["path"])
        if self._archive is not None and wanted.get("inside", True):
            return _transfer_source.blocks(self._archive, entry, offset)
        return _transfer_source.blocks(_transfer_source.Folder("/"), entry, offset)


def with_paths(source: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Files by where they are now: what the target asked for says only which they are."""
    places = {(each["kind"], each["name"]): each for each in source["files"]}
    places.update({("cache", each["name"]): each for each in source["cache"]})
    try:
        found = [(each, places[each["kind"], each["name"]]) for each in files]
    except KeyError as error:
        raise AnsibleActionFail(
            f"The source has no file {error}; give the source that the target was asked with."
        ) from None
    return [{**each, "path": place["path"], "inside": place.get("inside", True)} for each, place in found]


def limited(source: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A source of these files alone."""
    names = {(each["kind"], each["name"]) for each in files}
    return {
        **source,
        "files": [each for each in source["files"] if (each["kind"], each["name"]) in names],
        "cache": [each for each in source["cache"] if ("cache", each["name"]) in names],
    }


def spooled(source: Mapping[str, Any], spool: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A host's source as one of the controller's, and the files that are to be fetched for it."""
    if source["form"] != _transfer_source.FOLDER:
        name = os.path.basename(source["path"])
        archive = {"path": source["path"], "target": os.path.join(spool, name), **source["archive"]}
        outside = [each for each in source["files"] if not each["inside"]]
        here, fetched = _moved(outside, spool)
        inside = [each for each in source["files"] if each["inside"]]
        return {**source, "path": archive["target"], "files": inside + here}, [archive, *fetched]
    files, fetched = _moved(source["files"], spool)
    cache, more = _moved([{**each, "kind": "cache"} for each in source["cache"]], spool)
    return {**source, "path": spool, "files": files, "cache": cache}, fetched + more


def _moved(files: Iterable[Mapping[str, Any]], spool: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    here, fetched = [], []
    for each in files:
        parts = each["name"].split("/")
        if each["name"].startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise TransferError(
                f"the host names a file outside of its directory ({each['name']!r}); nothing was copied."
            )
        target = os.path.join(spool, each["kind"], each["name"])
        here.append({**each, "path": target})
        fetched.append({**each, "target": target})
    return here, fetched


def is_whole(path: str, wanted: Mapping[str, Any]) -> bool:
    """Whether a file of the spool is the one that is wanted."""
    return (
        os.path.isfile(path)
        and os.stat(path).st_size == wanted["size"]
        and _snapshot.hash_file(path) == wanted["sha256"]
    )


def fetch(wanted: Mapping[str, Any], read: ReadFrom) -> int:
    """Bring a file of the host into the spool, from where an earlier run stopped; the bytes that came."""
    target = wanted["target"]
    _snapshot.make_backup_dir(os.path.dirname(target))
    partial = target + PARTIAL
    first = min(_size(partial), wanted["size"]) // BLOCK
    came = _append(partial, first * BLOCK, read(wanted["path"], first))
    if _hash(partial) != wanted["sha256"]:
        os.unlink(partial)
        if first:
            return came + fetch(wanted, read)
        raise TransferError(
            f"{wanted['path']} did not arrive as it was read before: it changed on the host. See that the server there "
            "is stopped, and run again."
        )
    os.replace(partial, target)
    return came


def _append(path: str, offset: int, pieces: Iterator[bytes]) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.truncate(offset)
        stream.seek(offset)
        return sum(stream.write(piece) for piece in pieces)


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()
