# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ACLs come back with the files, on a real file system. One that takes no ACL fails these tests, it skips none."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _file_attributes, _snapshot

OWNER, USER, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 0xFFFFFFFF
READ, WRITE = 4, 2


def acl(*entries: tuple[int, int, int]) -> bytes:
    """An ACL as the kernel takes it: version 2, then tag, permissions and id of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


#: What `setfacl -m u:1234:r FILE` makes of mode 0600.
FOR_ONE_USER = acl(
    (OWNER, READ | WRITE, NOBODY), (USER, READ, 1234), (GROUP, 0, NOBODY), (MASK, READ, NOBODY), (OTHER, 0, NOBODY)
)
#: What `setfacl -d -m u:4321:rw DIRECTORY` makes its new files inherit.
INHERITED = acl(
    (OWNER, 7, NOBODY), (USER, READ | WRITE, 4321), (GROUP, 5, NOBODY), (MASK, 7, NOBODY), (OTHER, 5, NOBODY)
)


def set_acl(path: Path, value: bytes, name: str = _file_attributes.ACL) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.fail(f"the file system of {path} takes no ACL ({error}); set TMPDIR to one that does")


def acl_of(path: Path) -> bytes | None:
    return os.getxattr(path, _file_attributes.ACL) if _file_attributes.ACL in os.listxattr(path) else None


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A worker's data directory in which one more user may read the token."""
    path = tmp_path / "data"
    path.mkdir()
    (path / "token").write_text("legacy's")
    (path / "token").chmod(0o600)
    set_acl(path / "token", FOR_ONE_USER)
    return path


@pytest.fixture
def saved(data_dir: Path, tmp_path: Path) -> dict[str, Any]:
    """The manifest of a backup of it."""
    backup = tmp_path / "backup"
    files = _snapshot.copy_stopped(str(data_dir), str(backup / "data"), ["token"])
    return _snapshot.write_manifest(str(backup), files, None)


def restore(tmp_path: Path, saved: dict[str, Any]) -> list[str]:
    return _snapshot.restore_files(str(tmp_path / "backup"), str(tmp_path / "data"), saved)


def test_nobody_else_reads_the_copy(tmp_path: Path, saved: dict[str, Any]) -> None:
    copy = tmp_path / "backup" / "data" / "token"
    assert acl_of(copy) is None
    assert copy.stat().st_mode & 0o777 == 0o600


def test_an_acl_comes_back_with_the_bytes(tmp_path: Path, data_dir: Path, saved: dict[str, Any]) -> None:
    (data_dir / "token").unlink()
    (data_dir / "token").write_text("v2's")
    assert restore(tmp_path, saved) == ["token"]
    assert acl_of(data_dir / "token") == FOR_ONE_USER
    assert (data_dir / "token").stat().st_mode & 0o777 == 0o640


def test_an_acl_alone_that_changed_comes_back(tmp_path: Path, data_dir: Path, saved: dict[str, Any]) -> None:
    os.removexattr(data_dir / "token", _file_attributes.ACL)
    (data_dir / "token").chmod(0o640)
    assert [each.what for each in _snapshot.compare_with(str(data_dir), saved)] == ["attributes"]
    assert restore(tmp_path, saved) == ["token"]
    assert acl_of(data_dir / "token") == FOR_ONE_USER
    assert _snapshot.compare_with(str(data_dir), saved) == []


def test_a_mask_that_chmod_changed_comes_back(tmp_path: Path, data_dir: Path, saved: dict[str, Any]) -> None:
    (data_dir / "token").chmod(0o600)
    restore(tmp_path, saved)
    assert acl_of(data_dir / "token") == FOR_ONE_USER


def test_an_acl_that_came_later_goes(tmp_path: Path, data_dir: Path) -> None:
    os.removexattr(data_dir / "token", _file_attributes.ACL)
    (data_dir / "token").chmod(0o600)
    files = _snapshot.copy_stopped(str(data_dir), str(tmp_path / "backup" / "data"), ["token"])
    manifest = _snapshot.write_manifest(str(tmp_path / "backup"), files, None)
    set_acl(data_dir / "token", FOR_ONE_USER)
    restore(tmp_path, manifest)
    assert acl_of(data_dir / "token") is None
    assert (data_dir / "token").stat().st_mode & 0o777 == 0o600


def test_what_a_directory_bequeaths_does_not_open_a_restored_file(
    tmp_path: Path, data_dir: Path, saved: dict[str, Any]
) -> None:
    set_acl(data_dir, INHERITED, "system.posix_acl_default")
    (data_dir / "token").unlink()
    restore(tmp_path, saved)
    assert acl_of(data_dir / "token") == FOR_ONE_USER


def test_a_manifest_of_an_older_version_says_nothing_of_acls(
    tmp_path: Path, data_dir: Path, saved: dict[str, Any]
) -> None:
    for record in saved["files"]:
        del record["attributes"]
    assert _snapshot.compare_with(str(data_dir), saved) == []
    os.removexattr(data_dir / "token", _file_attributes.ACL)
    (data_dir / "token").write_text("v2's")
    assert restore(tmp_path, saved) == ["token"]


def test_an_selinux_label_is_recorded_and_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """No SELinux runs where the tests do; the attribute is the kernel's, the calls are the same."""
    attributes = {_file_attributes.LABEL: b"system_u:object_r:container_file_t:s0\0"}

    def get(file: Any, name: str, **_links: Any) -> bytes:
        if name not in attributes:
            raise OSError(61, "No data available")
        return attributes[name]

    monkeypatch.setattr(os, "getxattr", get)
    monkeypatch.setattr(os, "setxattr", lambda file, name, value, **_links: attributes.update({name: value}))
    was = _file_attributes.read("token")
    attributes[_file_attributes.LABEL] = b"system_u:object_r:var_lib_t:s0\0"
    _file_attributes.restore("token", was)
    assert attributes[_file_attributes.LABEL].startswith(b"system_u:object_r:container_file_t")


def test_a_label_that_may_not_be_set_is_told_with_the_way_out(
    tmp_path: Path, data_dir: Path, saved: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_links: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    os.removexattr(data_dir / "token", _file_attributes.ACL)
    (data_dir / "token").chmod(0o640)
    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(_snapshot.SnapshotError, match="chcon"):
        restore(tmp_path, saved)
    (data_dir / "token").unlink()
    with pytest.raises(_snapshot.SnapshotError, match="chcon"):
        restore(tmp_path, saved)
    assert list(data_dir.iterdir()) == []


def test_a_directory_that_is_made_anew_lets_in_whom_the_old_one_let_in(data_dir: Path, tmp_path: Path) -> None:
    set_acl(data_dir, INHERITED)
    set_acl(data_dir, INHERITED, _file_attributes.DEFAULT_ACL)
    backup = tmp_path / "backup"
    files = _snapshot.copy_stopped(str(data_dir), str(backup / "data"), ["token"])
    manifest = _snapshot.write_manifest(str(backup), files, None, {"data_dir": str(data_dir)})
    again = tmp_path / "again"
    again.mkdir()
    set_acl(again, FOR_ONE_USER, _file_attributes.DEFAULT_ACL)
    _snapshot.restore_directory(str(again), manifest["directory"])
    assert acl_of(again) == INHERITED
    assert os.getxattr(again, _file_attributes.DEFAULT_ACL) == INHERITED
    del manifest["directory"]["attributes"]
    _snapshot.restore_directory(str(again), manifest["directory"])  # of an older version
    os.removexattr(data_dir, _file_attributes.DEFAULT_ACL)
    manifest = _snapshot.write_manifest(str(backup), files, None, {"data_dir": str(data_dir)})
    _snapshot.restore_directory(str(again), manifest["directory"])
    assert _file_attributes.DEFAULT_ACL not in os.listxattr(again)
