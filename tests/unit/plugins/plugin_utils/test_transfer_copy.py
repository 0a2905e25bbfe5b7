# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a source on the controller: where they are, and a copy that was cut off anywhere."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_receive import PARTIAL
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _transfer_copy

BLOCK = 8


class Host:
    """A file of a host, whose connection breaks after so many blocks."""

    def __init__(self, content: bytes, breaks_after: int | None = None) -> None:
        self.content, self.breaks_after, self.read_blocks = content, breaks_after, 0

    def read(self, _path: str, first: int) -> Iterator[bytes]:
        for start in range(first * BLOCK, len(self.content), BLOCK):
            if self.read_blocks == self.breaks_after:
                raise OSError("the line is cut")
            self.read_blocks += 1
            yield self.content[start : start + BLOCK]


def wanted(folder: Path, content: bytes) -> dict[str, Any]:
    return {
        "path": "/on/the/host",
        "target": str(folder / "spool/file"),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transfer_copy, "BLOCK", BLOCK)


@given(content=st.binary(max_size=100), cuts=st.lists(st.integers(0, 6), max_size=4))
def test_a_file_that_was_cut_off_anywhere_goes_on_there(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    one, came = wanted(folder, content), 0
    for cut in cuts:
        host = Host(content, cut)
        with contextlib.suppress(OSError):
            if not _transfer_copy.is_whole(one["target"], one):
                _transfer_copy.fetch(one, host.read)
        came += host.read_blocks
    if not _transfer_copy.is_whole(one["target"], one):
        last = Host(content)
        _transfer_copy.fetch(one, last.read)
        came += last.read_blocks
    target = Path(one["target"])
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o600
    assert not Path(one["target"] + PARTIAL).exists()
    assert came == -(-len(content) // BLOCK)


@given(content=st.binary(min_size=1, max_size=60), part=st.binary(max_size=80))
def test_a_part_of_something_else_costs_a_copy_and_no_more(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, part: bytes
) -> None:
    folder = tmp_path_factory.mktemp("part")
    (folder / "spool").mkdir(mode=0o700)
    (folder / f"spool/file{PARTIAL}").write_bytes(part)
    one = wanted(folder, content)
    _transfer_copy.fetch(one, Host(content).read)
    assert Path(one["target"]).read_bytes() == content


def test_a_file_that_changed_on_the_host_is_refused(tmp_path: Path) -> None:
    one = wanted(tmp_path, b"as it was read")
    with pytest.raises(_transfer_copy.TransferError, match="changed on the host"):
        _transfer_copy.fetch(one, Host(b"as it is now!!").read)
    assert list((tmp_path / "spool").iterdir()) == []


@given(pieces=st.lists(st.binary(max_size=30), max_size=10), size=st.integers(1, 25))
def test_gathered_pieces_are_the_same_bytes(pieces: list[bytes], size: int) -> None:
    found = list(_transfer_copy.gathered(pieces, size))
    assert b"".join(found) == b"".join(pieces)
    assert all(len(piece) == size for piece in found[:-1])
    assert all(found)


def source(form: str, **changes: Any) -> dict[str, Any]:
    files = [
        {"kind": "data", "name": "token", "path": "/mac/token", "inside": True, "size": 1, "sha256": "a"},
        {"kind": "settings", "name": "x.plist", "path": "/Library/x.plist", "inside": False, "size": 1, "sha256": "b"},
    ]
    cache = [{"name": "a/b", "path": "/mac/cache/a/b", "size": 2, "sha256": "c"}]
    archive = {"sha256": "d", "size": 9}
    return {"form": form, "path": "/mac.tar", "files": files, "cache": cache, "archive": archive, **changes}


def test_a_folder_of_a_host_is_spooled_file_by_file() -> None:
    here, files = _transfer_copy.spooled(source("folder"), "/spool")
    assert [each["target"] for each in files] == ["/spool/data/token", "/spool/settings/x.plist", "/spool/cache/a/b"]
    assert [each["path"] for each in here["files"] + here["cache"]] == [each["target"] for each in files]


def test_an_archive_of_a_host_is_spooled_whole_with_what_lies_beside_it() -> None:
    here, files = _transfer_copy.spooled(source("tar"), "/spool")
    assert [each["target"] for each in files] == ["/spool/mac.tar", "/spool/settings/x.plist"]
    assert here["path"] == "/spool/mac.tar"
    assert [each["path"] for each in here["files"]] == ["/mac/token", "/spool/settings/x.plist"]


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/x", "a//b", ""])
def test_a_host_is_not_trusted_with_the_controllers_paths(name: str) -> None:
    cache = [{"name": name, "path": "/x", "size": 1, "sha256": "a"}]
    with pytest.raises(_transfer_copy.TransferError, match="outside of its directory"):
        _transfer_copy.spooled(source("folder", cache=cache), "/spool")


def test_only_what_is_asked_for_is_left_of_a_source() -> None:
    found = _transfer_copy.limited(source("folder"), [{"kind": "cache", "name": "a/b"}])
    assert (found["files"], [each["name"] for each in found["cache"]]) == ([], ["a/b"])


def test_what_the_target_asks_for_comes_from_the_sources_own_paths() -> None:
    (found,) = _transfer_copy.with_paths(source("tar"), [{"kind": "data", "name": "token", "path": "/elsewhere"}])
    assert (found["path"], found["inside"]) == ("/mac/token", True)
    with pytest.raises(Exception, match="has no file"):
        _transfer_copy.with_paths(source("tar"), [{"kind": "data", "name": "other"}])
