# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder, tar or zip archive as a list of entries and their bytes. Nothing is unpacked by an archive's own names.

Members that would land outside of a target directory, an absolute path or ``..``, make the whole archive a trap: it is
refused, whatever else is in it. Links and devices are entries of their own kind, for the caller to refuse or leave.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tarfile
import zipfile
from typing import Any, BinaryIO, Iterator, NamedTuple

FILE, DIRECTORY, LINK, OTHER = "file", "directory", "link", "other"
FOLDER, TAR, ZIP = "folder", "tar", "zip"
BLOCK = 1024 * 1024
_DRIVE = re.compile(r"^[A-Za-z]:")


class SourceError(Exception):
    """The source cannot be used; the message says why and what to do."""


class Entry(NamedTuple):
    """One thing in a source: its relative path with slashes, and what the source itself calls it."""

    name: str
    kind: str
    size: int
    member: str


class Folder:
    """A directory."""

    form = FOLDER

    def __init__(self, path: str) -> None:
        self._path = path

    def entries(self) -> list[Entry]:
        return list(self._below(""))

    def _below(self, parent: str) -> Iterator[Entry]:
        with os.scandir(os.path.join(self._path, parent)) as found:
            for each in sorted(found, key=lambda one: one.name):
                name = f"{parent}{each.name}"
                kind, size = _kind_of(each.stat(follow_symlinks=False))
                yield Entry(name, kind, size, os.path.join(self._path, name))
                if kind == DIRECTORY:
                    yield from self._below(name + "/")

    def open(self, entry: Entry) -> BinaryIO:
        return open(os.open(entry.member, os.O_RDONLY | os.O_NOFOLLOW), "rb")


class Tar:
    """A tar archive, compressed or not. A compressed one is read from its start for every look at it."""

    form = TAR

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def entries(self) -> list[Entry]:
        return [Entry(_clean(each.name), _kind_of_member(each), each.size, each.name) for each in self._archive]

    def open(self, entry: Entry) -> BinaryIO:
        stream: Any = self._archive.extractfile(entry.member)
        if stream is None:
            raise SourceError(f"{entry.member} in the archive is no regular file; pack the file itself.")
        opened: BinaryIO = stream
        return opened


class Zip:
    """A zip archive. Compress-Archive of Windows PowerShell writes backslashes into its names."""

    form = ZIP

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def entries(self) -> list[Entry]:
        return [self._entry(each) for each in self._archive.infolist()]

    def _entry(self, info: zipfile.ZipInfo) -> Entry:
        if info.flag_bits & 1:
            raise SourceError(f"{info.filename} in the archive is encrypted; pack it without a password.")
        name = info.filename.replace("\\", "/")
        unix = info.external_attr >> 16
        kind = _kind_of_mode(unix) if stat.S_IFMT(unix) else DIRECTORY if name.endswith("/") else FILE
        return Entry(_clean(name), kind, info.file_size, info.filename)

    def open(self, entry: Entry) -> BinaryIO:
        opened: Any = self._archive.open(entry.member)
        stream: BinaryIO = opened
        return stream


Source = Any  # Folder, Tar or Zip; Python 3.8 has no wish for more.


@contextlib.contextmanager
def opened(path: str) -> Iterator[Source]:
    """A folder or archive, for as long as the context lasts."""
    if os.path.isdir(path):
        yield Folder(path)
        return
    if not os.path.exists(path):
        raise SourceError(f"{path} is not there; name a folder, or a tar, tar.gz or zip archive.")
    try:
        with contextlib.ExitStack() as stack:
            yield _archive(path, stack)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise SourceError(f"{path} is damaged or did not arrive whole ({error}); make and copy it again.") from error


def _archive(path: str, stack: contextlib.ExitStack) -> Source:
    if zipfile.is_zipfile(path):
        return Zip(stack.enter_context(zipfile.ZipFile(path)))
    try:
        return Tar(stack.enter_context(tarfile.open(path)))
    except tarfile.ReadError as error:
        raise SourceError(
            f"{path} is no tar, tar.gz or zip archive, or did not arrive whole ({error}); make and copy it again."
        ) from error


def blocks(source: Source, entry: Entry, offset: int = 0) -> Iterator[bytes]:
    """The bytes of an entry from an offset on."""
    with source.open(entry) as stream:
        if offset:
            stream.seek(offset)
        yield from iter(lambda: stream.read(BLOCK), b"")


def _clean(name: str) -> str:
    """The relative path of a member; one that leads out of the archive's own folder is refused."""
    parts = name.split("/")
    if name.startswith("/") or _DRIVE.match(name) or ".." in parts or "\0" in name:
        raise SourceError(
            f"the archive has a member that leads out of it ({name!r}), so nothing of it was used; pack the data "
            "directory by a relative path."
        )
    return "/".join(part for part in parts if part not in ("", "."))


def _kind_of(status: os.stat_result) -> tuple[str, int]:
    return _kind_of_mode(status.st_mode), status.st_size


def _kind_of_mode(mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    return DIRECTORY if stat.S_ISDIR(mode) else LINK if stat.S_ISLNK(mode) else OTHER


def _kind_of_member(member: tarfile.TarInfo) -> str:
    if member.isreg():
        return FILE
    return DIRECTORY if member.isdir() else LINK if member.issym() or member.islnk() else OTHER
