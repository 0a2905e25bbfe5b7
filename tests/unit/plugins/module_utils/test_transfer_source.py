# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders and archives: what is in them, and the traps that archives can be."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _transfer_source as source


def tar_of(path: Path, **members: Any) -> Path:
    """A tar of names with contents, or with the attributes of a special member."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.pop("members", {}).items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                for key, value in content.items():
                    setattr(member, key, value)
                archive.addfile(member)
    return path


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def listed(path: Path) -> dict[str, str]:
    with source.opened(str(path)) as found:
        return {entry.name: entry.kind for entry in found.entries()}


def contents(path: Path, offset: int = 0) -> dict[str, bytes]:
    with source.opened(str(path)) as found:
        files = [entry for entry in found.entries() if entry.kind == source.FILE]
        return {entry.name: b"".join(source.blocks(found, entry, offset)) for entry in files}


def test_a_folder_is_read_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"12")
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    assert listed(tmp_path) == {"a": "directory", "a/b": "file", "link": "link", "pipe": "other"}
    assert contents(tmp_path) == {"a/b": b"12"}


def test_a_link_that_came_since_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"12")
    with source.opened(str(tmp_path)) as found:
        (entry,) = found.entries()
        (tmp_path / "token").unlink()
        (tmp_path / "token").symlink_to("/etc/passwd")
        with pytest.raises(OSError, match="symbolic"):
            list(source.blocks(found, entry))


def test_archives_say_what_they_hold(tmp_path: Path) -> None:
    link = {"type": tarfile.SYMTYPE, "linkname": "../../etc/passwd"}
    hard = {"type": tarfile.LNKTYPE, "linkname": "a"}
    device = {"type": tarfile.CHRTYPE}
    folder = {"type": tarfile.DIRTYPE}
    path = tar_of(tmp_path / "a.tgz", members={"./d": folder, "./d/f": b"123", "l": link, "h": hard, "c": device})
    assert listed(path) == {"d": "directory", "d/f": "file", "l": "link", "h": "link", "c": "other"}
    assert contents(path) == {"d/f": b"123"}


def test_backslashes_of_powershell_are_separators(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"gpustack\\bin\\": b"", "gpustack\\database.db": b"db"})
    assert listed(path) == {"gpustack/bin": "directory", "gpustack/database.db": "file"}
    assert contents(path) == {"gpustack/database.db": b"db"}


def test_a_link_in_a_zip_is_a_link(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("token")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/shadow")
    assert listed(tmp_path / "a.zip") == {"token": "link"}


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "a/../../x", "C:\\x", "c:/x"])
def test_a_member_that_leads_out_spoils_the_whole_archive(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    path = make(tmp_path / "a", members={"database.db": b"x", name: b"y"})
    with pytest.raises(source.SourceError, match="leads out of it"):
        listed(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    raw = bytearray(zip_of(tmp_path / "a.zip", {"database.db": b"x"}).read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(source.SourceError, match="encrypted"):
        listed(tmp_path / "a.zip")


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar")])
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(source.SourceError, match=r"is no tar, tar.gz or zip archive|damaged"):
        assert listed(tmp_path / "a") != {}


def test_an_archive_that_was_cut_off_is_said(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tgz", members={"database.db": os.urandom(200000)})
    path.write_bytes(path.read_bytes()[:100000])
    with pytest.raises(source.SourceError, match="damaged or did not arrive whole"):
        contents(path)


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(source.SourceError, match="is not there"), source.opened(str(tmp_path / "none")):
        pass


@given(content=st.binary(max_size=300), offset=st.integers(0, 300))
def test_any_form_is_read_from_any_byte_on(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, offset: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "in").mkdir()
    (folder / "in/f").write_bytes(content)
    tar, archive = tar_of(folder / "a.tgz", members={"f": content}), zip_of(folder / "a.zip", {"f": content})
    expected = {"f": content[offset:]}
    assert contents(folder / "in", offset) == contents(tar, offset) == contents(archive, offset) == expected
