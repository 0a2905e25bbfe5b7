# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup on the controller as the source of a fleet: it keeps its bytes, and only a good one counts."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import legacy_database
import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _gpustack_backup
from ansible_collections.fleetops.gpustack.plugins.plugin_utils._gpustack_backup import BackupError

FIRST, SECOND = "20261124T031500Z", "20261125T031500Z"


def make(
    parent: Path, name: str = FIRST, workers: tuple[str, ...] = ("own", "gpu1"), head: str = legacy_database.SCHEMA_HEAD
) -> Path:
    """A backup of a server that was killed, so that the rows are in the WAL."""
    data, killed, backup = parent / "data", parent / "killed", parent / "server.example.com" / name
    data.mkdir(parents=True)
    connection = legacy_database.make(data / "database.db", head)
    for number, worker in enumerate(workers, 1):
        legacy_database.insert(
            connection,
            "workers",
            id=number,
            name=worker,
            hostname=worker,
            ip=f"192.0.2.{number}",
            labels=json.dumps({"os": "linux"}),
            state="READY",
            status=json.dumps({"gpu_devices": [{"vendor": "NVIDIA", "type": "cuda", "index": 0, "name": "A100"}]}),
            heartbeat_time="2026-11-24 03:14:55.000000",
            worker_uuid=f"uuid-{worker}",
        )
    shutil.copytree(data, killed)
    connection.close()
    (killed / "database.db-shm").unlink()
    (killed / "worker_uuid").write_text("uuid-own\n")
    (killed / "token").write_text("planted-token")
    _snapshot.save(str(killed), str(backup), running=False)
    shutil.rmtree(data)
    shutil.rmtree(killed)
    return backup


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_backup_tells_its_fleet_and_keeps_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = make(tmp_path)
    assert (backup / "data/database.db-wal").stat().st_size > 0
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = contents(backup)

    fleet = _gpustack_backup.read_fleet(str(backup))

    assert contents(backup) == before
    assert list(scratch.iterdir()) == []
    assert (fleet["release"], fleet["host"]) == ("0.7.1", "server.example.com")
    assert (fleet["own_uuid"], fleet["own_name"]) == ("uuid-own", "")
    assert [worker["name"] for worker in fleet["workers"]] == ["own", "gpu1"]
    assert fleet["workers"][1]["gpus"] == [{"vendor": "nvidia", "name": "A100"}]
    assert fleet["workers"][1]["labels"] == {"os": "linux"}
    assert "planted-token" not in json.dumps(fleet)


def test_a_copy_without_the_recovered_database_will_do(tmp_path: Path) -> None:
    backup = make(tmp_path)
    shutil.rmtree(backup / "recovered")
    assert len(_gpustack_backup.read_fleet(str(backup))["workers"]) == 2


def test_of_several_backups_the_newest_finished_one_of_a_server_is_taken(tmp_path: Path) -> None:
    first, second = make(tmp_path), make(tmp_path, SECOND)
    unfinished = first.parent / "20261126T031500Z"
    shutil.copytree(second, unfinished)
    (unfinished / "manifest.json").unlink()
    worker = first.parent / "20261127T031500Z"
    shutil.copytree(second, worker)
    shutil.rmtree(worker / "data")
    assert _gpustack_backup.find(str(first.parent)) == str(second)
    assert _gpustack_backup.find(str(first) + "/") == str(first)


def test_a_directory_without_a_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"is not there; name the directory of a backup"):
        _gpustack_backup.find(str(tmp_path / "gone"))
    with pytest.raises(BackupError, match=r"holds no finished backup of a server; name .* one directory per host"):
        _gpustack_backup.find(str(tmp_path))


def test_a_backup_that_changed_is_refused(tmp_path: Path) -> None:
    backup = make(tmp_path)
    (backup / "data/database.db-wal").write_bytes(b"")
    with pytest.raises(BackupError, match=r"database\.db-wal is not what the manifest says; use another backup$"):
        _gpustack_backup.read_fleet(str(backup))


def test_the_backup_of_a_worker_is_refused(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "gpu1" / FIRST
    data.mkdir()
    (data / "worker_uuid").write_text("u")
    _snapshot.begin(str(backup))
    files = _snapshot.copy_stopped(str(data), str(backup / "data"))
    _snapshot.write_manifest(str(backup), files, None)
    with pytest.raises(BackupError, match=r"is the backup of a worker and has no database; name one of the server"):
        _gpustack_backup.read_fleet(str(backup))


def test_a_schema_that_no_legacy_release_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BackupError, match=r"has the schema 0123abc, which no release .* take a backup of a 0\.x server"
    ):
        _gpustack_backup.read_fleet(str(make(tmp_path, head="0123abc")))


def test_a_backup_without_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"lists no workers; take another backup"):
        _gpustack_backup.read_fleet(str(make(tmp_path, workers=())))


def test_a_scratch_directory_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = make(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(BackupError, match=r"cannot be made in .*gone: No such file.*; make room there, or set TMPDIR"):
        _gpustack_backup.read_fleet(str(backup))
