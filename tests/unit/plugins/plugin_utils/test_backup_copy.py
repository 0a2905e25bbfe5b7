# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a backup: whole, private, proven, and inside of its own directory whatever the host says."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _backup_copy


class Host:
    """A host with a worker's backup, and a controller with a place for its copy."""

    def __init__(self, root: Path) -> None:
        self.data, self.backup, self.dest = root / "data", root / "backups" / "one", root / "controller" / "h" / "one"
        self.data.mkdir()
        (self.data / "token").write_bytes(b"planted-secret\n")
        (self.data / "worker_name").write_bytes(b"gpu-1\n")
        _snapshot.begin(str(self.backup))
        (self.backup / "container.json").write_text("{}")
        (self.backup / "recovered").mkdir()
        (self.backup / "recovered" / "database.db").write_bytes(b"rows")
        files = _snapshot.copy_stopped(
            str(self.data), str(self.backup / "data"), ("token", "worker_name", "worker_uuid")
        )
        _snapshot.write_manifest(str(self.backup), files, None, {"data_dir": str(self.data)})
        self.read_paths: list[str] = []

    def blocks(self, path: str) -> Iterator[bytes]:
        self.read_paths.append(os.path.relpath(path, str(self.backup)))
        content = Path(path).read_bytes()
        yield from (content[at : at + 4] for at in range(0, len(content), 4))

    def fetch(self) -> list[str]:
        """The names that were copied."""
        text = (self.backup / "manifest.json").read_bytes()
        manifest = _backup_copy.manifest_of(str(self.backup), text)
        files = _backup_copy.wanted(manifest)
        names = _backup_copy.missing(str(self.dest), text, files)
        if names:
            _backup_copy.copy(str(self.backup), str(self.dest), text, files, names, self.blocks)
        return names

    def copied(self) -> dict[str, int]:
        found = {str(path.relative_to(self.dest)): path for path in self.dest.rglob("*")}
        return {name: stat.S_IMODE(path.stat().st_mode) for name, path in found.items()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_copy_is_whole_private_and_counts_by_itself(host: Host) -> None:
    host.fetch()
    assert host.copied() == {
        "data": 0o700,
        "data/token": 0o600,
        "data/worker_name": 0o600,
        "container.json": 0o600,
        "manifest.json": 0o600,
    }
    assert (host.dest / "data" / "token").read_bytes() == b"planted-secret\n"
    assert _snapshot.verify_manifest(str(host.dest), may_lack=_snapshot.REPLACEABLE)
    assert host.dest.parent.stat().st_mode & 0o777 == 0o700


def test_a_second_time_copies_nothing(host: Host) -> None:
    host.fetch()
    assert host.fetch() == []


def test_an_interruption_is_continued_and_meanwhile_the_copy_is_no_backup(host: Host) -> None:
    class CutError(Exception):
        """The line is dead."""

    whole = host.blocks

    def cut(path: str) -> Iterator[bytes]:
        if path.endswith("worker_name"):
            raise CutError
        return whole(path)

    host.blocks = cut  # type: ignore[method-assign]
    with pytest.raises(CutError):
        host.fetch()
    with pytest.raises(_snapshot.SnapshotError, match="no manifest"):
        _snapshot.verify_manifest(str(host.dest))
    host.blocks, host.read_paths = whole, []  # type: ignore[method-assign]
    host.fetch()
    assert host.read_paths == ["data/worker_name"]
    assert _snapshot.verify_manifest(str(host.dest), may_lack=_snapshot.REPLACEABLE)


def test_what_did_not_arrive_as_the_manifest_says_does_not_stay(host: Host) -> None:
    (host.backup / "data" / "token").write_bytes(b"other\n")
    with pytest.raises(_backup_copy.CopyError, match="did not arrive"):
        host.fetch()
    assert "data/token" not in host.copied()
    assert "manifest.json" not in host.copied()


@pytest.mark.parametrize("damage", ["content", "mode", "gone"])
def test_a_copy_that_was_damaged_is_made_good(host: Host, damage: str) -> None:
    host.fetch()
    token = host.dest / "data" / "token"
    if damage == "content":
        token.write_bytes(b"x")
    elif damage == "mode":
        token.chmod(0o644)
    else:
        token.unlink()
    assert host.fetch() == ["data/token"]
    assert host.copied()["data/token"] == 0o600
    assert token.read_bytes() == b"planted-secret\n"


@pytest.mark.parametrize("name", ["../../token", "/etc/passwd", "data/../../x", "a//b", ".", ""])
def test_a_host_cannot_write_outside_of_the_copy(host: Host, name: str) -> None:
    manifest: dict[str, Any] = json.loads((host.backup / "manifest.json").read_text())
    manifest["artefacts"][name] = "0" * 64
    with pytest.raises(_backup_copy.CopyError, match="outside of the backup"):
        _backup_copy.manifest_of(str(host.backup), json.dumps(manifest).encode())


@pytest.mark.parametrize("path", ["/var/backups/gpustack/..", "/var/backups/gpustack/.", "", "/"])
def test_a_host_cannot_choose_the_place_of_its_copy(path: str) -> None:
    """The path comes from the journal of the host."""
    assert _backup_copy.destination("/var/backups/gpustack/one", "/srv/host") == "/srv/host/one"
    with pytest.raises(_backup_copy.CopyError, match="is not the path of a backup"):
        _backup_copy.destination(path, "/srv/host")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"format": 1}',
        b'{"format": 99, "files": [], "artefacts": {}}',
        b'{"format": 1, "files": ["token"], "artefacts": {}}',
    ],
)
def test_something_else_is_no_manifest(text: bytes) -> None:
    with pytest.raises(_backup_copy.CopyError, match="it is no backup"):
        _backup_copy.manifest_of("/backups/one", text)


def test_a_link_in_the_place_of_the_copy_is_refused(host: Host, tmp_path: Path) -> None:
    host.dest.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    host.dest.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(_snapshot.SnapshotError, match="symbolic link"):
        host.fetch()


def test_a_link_in_the_place_of_a_file_is_not_followed(host: Host, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    host.fetch()
    (host.dest / "data" / "token").unlink()
    (host.dest / "data" / "token").symlink_to(victim)
    host.fetch()
    assert victim.read_bytes() == b"mine"
    assert not (host.dest / "data" / "token").is_symlink()
