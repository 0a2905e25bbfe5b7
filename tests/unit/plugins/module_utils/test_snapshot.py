# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of real SQLite files: complete, proven, private, and the original untouched."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import insert, make


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file of a directory."""
    return {path.name: (path.stat().st_mode, path.read_bytes()) for path in sorted(directory.iterdir())}


def stopped(directory: Path, journal_mode: str = "WAL") -> Path:
    """A data directory as a server leaves it that was killed: its committed rows are in the WAL alone."""
    live = directory / "live"
    live.mkdir()
    connection = make(live / "database.db", journal_mode=journal_mode)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    insert(connection, "users", id=1, username="admin")
    insert(connection, "workers", id=1, name="gpu-1")
    for number in range(3):
        insert(connection, "models", id=number, name=f"model-{number}")
    data_dir = directory / "data"
    shutil.copytree(str(live), str(data_dir))
    connection.close()
    (data_dir / "token").write_text("planted-secret\n", encoding="utf-8")
    (data_dir / "token").chmod(0o640)
    (data_dir / "worker_uuid").write_text("u\n", encoding="utf-8")
    return data_dir


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data directory of a stopped 0.7.1 server."""
    return stopped(tmp_path)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Where the backup goes."""
    return tmp_path / "backups" / "one"


def saved(data_dir: Path, backup: Path) -> dict[str, Any]:
    """A backup of a stopped server."""
    return _snapshot.save(str(data_dir), str(backup), running=False)


@contextlib.contextmanager
def server(database: Path) -> Iterator[None]:
    """Another process that has the database open, as a running server has."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('SELECT count(*) FROM users').fetchone()\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    try:
        yield
    finally:
        process.communicate()


class TestTheWal:
    """Committed rows live in the WAL until a checkpoint; a backup without it is an empty database that looks sound."""

    def test_rows_of_the_wal_are_in_the_backup(self, data_dir: Path, backup: Path) -> None:
        manifest = saved(data_dir, backup)
        counts = manifest["database"]["counts"]
        assert (counts["users"], counts["workers"], counts["models"]) == (1, 1, 3)
        with contextlib.closing(sqlite3.connect(str(backup / "recovered" / "database.db"))) as recovered:
            assert recovered.execute("SELECT name FROM models WHERE id = 2").fetchone() == ("model-2",)

    def test_the_database_file_alone_would_be_empty(self, data_dir: Path, tmp_path: Path) -> None:
        """The trap itself: this is what a copy of database.db holds."""
        shutil.copy(str(data_dir / "database.db"), str(tmp_path / "alone.db"))
        with contextlib.closing(sqlite3.connect(str(tmp_path / "alone.db"))) as alone:
            assert alone.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert alone.execute("SELECT count(*) FROM models").fetchone() == (0,)

    def test_a_backup_that_did_not_look_for_the_wal_does_not_count(self, data_dir: Path, backup: Path) -> None:
        names = [name for name in _snapshot.LEGACY_FILES if name != "database.db-wal"]
        files = _snapshot.copy_stopped(str(data_dir), str(backup / "data"), names)
        facts = _snapshot.recover(str(backup / "data"), str(backup / "recovered"))
        with pytest.raises(_snapshot.SnapshotError, match="nothing about database"):
            _snapshot.write_manifest(str(backup), files, facts)
        with pytest.raises(_snapshot.SnapshotError, match="no manifest"):
            _snapshot.verify_manifest(str(backup))

    def test_a_backup_that_lost_its_wal_is_refused(self, data_dir: Path, backup: Path) -> None:
        saved(data_dir, backup)
        (backup / "data" / "database.db-wal").unlink()
        with pytest.raises(_snapshot.SnapshotError, match="is missing from the backup"):
            _snapshot.verify_manifest(str(backup))

    def test_a_database_file_without_any_table_is_refused(self, tmp_path: Path) -> None:
        live = tmp_path / "live"
        live.mkdir()
        with contextlib.closing(make(live / "database.db")):
            (tmp_path / "copy").mkdir(mode=0o700)
            shutil.copy(str(live / "database.db"), str(tmp_path / "copy"))
        with pytest.raises(_snapshot.SnapshotError, match="without its -wal"):
            _snapshot.recover(str(tmp_path / "copy"), str(tmp_path / "recovered"))

    def test_the_original_is_not_touched(self, data_dir: Path, backup: Path) -> None:
        before = tree(data_dir)
        saved(data_dir, backup)
        assert tree(data_dir) == before

    def test_the_byte_copies_are_not_touched_by_the_recovery(self, data_dir: Path, backup: Path) -> None:
        saved(data_dir, backup)
        for name in ("database.db", "database.db-wal"):
            assert (backup / "data" / name).read_bytes() == (data_dir / name).read_bytes()


class TestTheRollbackJournal:
    def uncommitted(self, data_dir: Path, tmp_path: Path) -> Path:
        """A database that was killed inside a transaction, half of which is in the file."""
        with contextlib.closing(make(data_dir / "database.db", journal_mode="DELETE")) as connection:
            insert(connection, "models", id=1, name="old")
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("PRAGMA cache_spill = 1")
            connection.execute("UPDATE models SET name = 'new'")
            for number in range(2, 3000):
                connection.execute("INSERT INTO models (id, name) VALUES (?, ?)", (number, "x" * 100))
            killed = tmp_path / "killed"
            shutil.copytree(str(data_dir), str(killed))
        return killed

    def test_a_hot_journal_is_played_back_in_the_copy_alone(self, tmp_path: Path, backup: Path) -> None:
        (tmp_path / "live").mkdir()
        killed = self.uncommitted(tmp_path / "live", tmp_path)
        assert _snapshot.hot_journal(str(killed / "database.db"))
        before = tree(killed)
        assert saved(killed, backup)["database"]["counts"]["models"] == 1
        assert tree(killed) == before

    def test_no_journal_is_not_hot(self, data_dir: Path) -> None:
        assert not _snapshot.hot_journal(str(data_dir / "database.db"))

    def test_a_finished_journal_is_not_hot(self, data_dir: Path) -> None:
        (data_dir / "database.db-journal").write_bytes(b"\0" * 512)
        assert not _snapshot.hot_journal(str(data_dir / "database.db"))


class TestALiveDatabase:
    def test_it_is_copied_with_the_rows_of_its_wal(self, data_dir: Path, backup: Path) -> None:
        with server(data_dir / "database.db"):
            wal = (data_dir / "database.db-wal").read_bytes()
            manifest = _snapshot.save(str(data_dir), str(backup), running=True)
            assert (data_dir / "database.db-wal").read_bytes() == wal
        assert manifest["database"]["counts"]["models"] == 3
        assert sorted(path.name for path in (backup / "data").iterdir()) == ["database.db", "token", "worker_uuid"]
        _snapshot.verify_manifest(str(backup))

    def test_it_is_refused_when_nobody_has_it_open(self, tmp_path: Path, backup: Path) -> None:
        with contextlib.closing(make(tmp_path / "database.db")):
            pass
        assert not (tmp_path / "database.db-wal").exists()
        before = sorted(path.name for path in tmp_path.iterdir())
        with pytest.raises(_snapshot.SnapshotError, match="No server has"):
            _snapshot.backup_live(str(tmp_path / "database.db"), str(backup / "data" / "database.db"))
        assert sorted(path.name for path in tmp_path.iterdir()) == before


class TestRefusals:
    def test_a_damaged_database(self, data_dir: Path, backup: Path) -> None:
        connection = sqlite3.connect(str(data_dir / "database.db"))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        with open(str(data_dir / "database.db"), "r+b") as stream:
            stream.seek(4096)
            stream.write(b"\xff" * 8192)
        with pytest.raises(_snapshot.SnapshotError, match=f"^{data_dir}/database.db is damaged, .* [.]recover"):
            saved(data_dir, backup)
        assert not (backup / "manifest.json").exists()

    def test_what_is_no_database(self, data_dir: Path, backup: Path) -> None:
        (data_dir / "database.db").write_bytes(b"something else" * 100)
        with pytest.raises(_snapshot.SnapshotError, match=f"^{data_dir}/database.db is damaged, "):
            saved(data_dir, backup)

    def test_a_damaged_copy_of_which_there_is_no_original(self, data_dir: Path, backup: Path, tmp_path: Path) -> None:
        saved(data_dir, backup)
        (backup / "data" / "database.db").write_bytes(b"something else" * 100)
        with pytest.raises(_snapshot.SnapshotError, match=r"is damaged .*use another backup"):
            _snapshot.recover(str(backup / "data"), str(tmp_path / "scratch"))

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ("database or disk is full", "^/b/copy cannot be written: .*; make room there"),
            ("database is locked", "^/d/database.db stayed locked .*fuser"),
            ("disk I/O error", "^/b/copy could not be made from /d/database.db: disk I/O error; check the disk"),
        ],
    )
    def test_what_is_no_fault_of_the_database(self, said: str, told: str) -> None:
        with pytest.raises(_snapshot.SnapshotError, match=told), _snapshot._errors_of("/b/copy", "/d/database.db"):
            raise sqlite3.OperationalError(said)

    def test_a_copy_that_does_not_hold_what_was_written(
        self, data_dir: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = _snapshot._write_atomically

        def write_then_lose(target: str, *args: Any, **others: Any) -> int:
            size = real(target, *args, **others)
            os.truncate(target, 0)
            return size

        monkeypatch.setattr(_snapshot, "_write_atomically", write_then_lose)
        with pytest.raises(_snapshot.SnapshotError, match="does not hold what was written into it"):
            saved(data_dir, backup)

    def test_a_copy_that_something_else_has_open(self, data_dir: Path, tmp_path: Path) -> None:
        """A reader keeps the checkpoint from taking in the WAL, whose rows the copy would lack."""
        database = str(data_dir / "database.db")
        reader = sqlite3.connect(database, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM users").fetchall()
        with contextlib.closing(reader), contextlib.closing(sqlite3.connect(database, timeout=0)) as connection:
            insert(connection, "users", id=2, username="late")
            connection.commit()
            connection.isolation_level = None
            with pytest.raises(_snapshot.SnapshotError, match=r"something else has the copy open.*fuser"):
                _snapshot._recover_in_place(connection)

    def test_no_database(self, tmp_path: Path, backup: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(_snapshot.SnapshotError, match="not in the backup"):
            saved(tmp_path / "empty", backup)

    def test_a_file_that_changes_meanwhile(self, data_dir: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The writer comes between the copy and the second reading."""
        real = _snapshot.fsync_directory

        def write_then_sync(path: str) -> None:
            with open(str(data_dir / "database.db-wal"), "ab") as stream:
                stream.write(b"more")
            real(path)

        monkeypatch.setattr(_snapshot, "fsync_directory", write_then_sync)
        with pytest.raises(_snapshot.SnapshotError, match="changed while it was being copied"):
            saved(data_dir, backup)

    def test_a_source_that_is_a_link(self, data_dir: Path, backup: Path) -> None:
        (data_dir / "token").unlink()
        (data_dir / "token").symlink_to("/etc/hostname")
        with pytest.raises(_snapshot.SnapshotError, match="token"):
            saved(data_dir, backup)

    def test_a_target_that_is_a_link(self, data_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(_snapshot.SnapshotError, match="symbolic link"):
            saved(data_dir, tmp_path / "link")

    def test_a_target_that_others_can_write(self, data_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        with pytest.raises(_snapshot.SnapshotError, match="written by others"):
            saved(data_dir, tmp_path / "open")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
    def test_a_target_of_somebody_else(self, data_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        os.chown(str(tmp_path / "other"), 12345, 12345)
        with pytest.raises(_snapshot.SnapshotError, match="belongs to uid 12345"):
            saved(data_dir, tmp_path / "other")


class TestTheManifest:
    def test_it_says_what_was_absent(self, data_dir: Path, backup: Path) -> None:
        records = {record["name"]: record for record in saved(data_dir, backup)["files"]}
        assert records["token"]["mode"] == "0640"
        assert records["token"]["absent"] is False
        assert records["database.db-journal"]["absent"] is True
        assert records["worker_name"] == _snapshot.FileRecord("worker_name", absent=True)._asdict()

    def test_everything_is_private(self, data_dir: Path, backup: Path) -> None:
        saved(data_dir, backup)
        for path in [backup, *backup.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    def test_it_holds_no_secret(self, data_dir: Path, backup: Path) -> None:
        saved(data_dir, backup)
        assert "planted-secret" not in (backup / "manifest.json").read_text(encoding="utf-8")

    def test_no_temporary_file_stays(self, data_dir: Path, backup: Path) -> None:
        saved(data_dir, backup)
        assert not list(backup.rglob("*.new"))

    @pytest.mark.parametrize("name", ["data/database.db", "data/token", "recovered/database.db"])
    def test_a_changed_backup_is_refused(self, data_dir: Path, backup: Path, name: str) -> None:
        saved(data_dir, backup)
        with open(str(backup / name), "ab") as stream:
            stream.write(b"x")
        with pytest.raises(_snapshot.SnapshotError, match="is not what the manifest says"):
            _snapshot.verify_manifest(str(backup))

    @pytest.mark.parametrize("text", ["", "[]", '{"format": 99}'])
    def test_a_broken_manifest_is_refused(self, data_dir: Path, backup: Path, text: str) -> None:
        saved(data_dir, backup)
        (backup / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(_snapshot.SnapshotError, match="use another backup"):
            _snapshot.read_manifest(str(backup))

    def test_it_survives_json(self, data_dir: Path, backup: Path) -> None:
        manifest = saved(data_dir, backup)
        assert json.loads(json.dumps(manifest)) == _snapshot.verify_manifest(str(backup)) == manifest


class TestTheWayBack:
    def test_nothing_to_do(self, data_dir: Path, backup: Path) -> None:
        manifest = saved(data_dir, backup)
        assert _snapshot.compare_with(str(data_dir), manifest) == []
        assert _snapshot.restore_files(str(backup), str(data_dir), manifest) == []

    @pytest.mark.parametrize(
        ("change", "name", "what"),
        [
            (lambda path: path.write_text("gpustack_new", encoding="utf-8"), "token", "content"),
            (lambda path: path.chmod(0o600), "token", "mode"),
            (lambda path: path.unlink(), "worker_uuid", "absent"),
            (lambda path: path.write_text("v2", encoding="utf-8"), "worker_name", "present"),
            (lambda path: path.unlink(), "database.db-wal", "absent"),
        ],
    )
    def test_what_v2_changed_is_put_back(
        self, data_dir: Path, backup: Path, tmp_path: Path, change: Callable[[Path], Any], name: str, what: str
    ) -> None:
        before = tree(data_dir)
        manifest = saved(data_dir, backup)
        change(data_dir / name)
        assert (name, what) in _snapshot.compare_with(str(data_dir), manifest)
        assert _snapshot.restore_files(str(backup), str(data_dir), manifest, aside=str(tmp_path / "aside")) == [name]
        assert tree(data_dir) == before
        assert _snapshot.compare_with(str(data_dir), manifest) == []

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_an_owner_is_put_back(self, data_dir: Path, backup: Path) -> None:
        manifest = saved(data_dir, backup)
        os.chown(str(data_dir / "token"), 9999, 9999)
        assert _snapshot.compare_with(str(data_dir), manifest) == [("token", "owner")]
        _snapshot.restore_files(str(backup), str(data_dir), manifest)
        assert (data_dir / "token").stat().st_uid == 0

    def test_a_file_that_v2_made_is_set_aside(self, data_dir: Path, backup: Path, tmp_path: Path) -> None:
        manifest = saved(data_dir, backup)
        (data_dir / "worker_name").write_text("v2", encoding="utf-8")
        _snapshot.restore_files(str(backup), str(data_dir), manifest, aside=str(tmp_path / "aside"))
        assert (tmp_path / "aside" / "worker_name").read_text(encoding="utf-8") == "v2"

    def test_only_what_is_asked_for(self, data_dir: Path, backup: Path) -> None:
        manifest = saved(data_dir, backup)
        for name in ("token", "worker_uuid"):
            (data_dir / name).write_text("v2", encoding="utf-8")
        assert _snapshot.restore_files(str(backup), str(data_dir), manifest, which=["token"]) == ["token"]
        assert (data_dir / "worker_uuid").read_text(encoding="utf-8") == "v2"

    def test_a_changed_copy_is_never_put_back(self, data_dir: Path, backup: Path) -> None:
        manifest = saved(data_dir, backup)
        (data_dir / "token").write_text("v2", encoding="utf-8")
        (backup / "data" / "token").write_text("other", encoding="utf-8")
        with pytest.raises(_snapshot.SnapshotError, match="is not what the manifest says"):
            _snapshot.restore_files(str(backup), str(data_dir), manifest)
        assert (data_dir / "token").read_text(encoding="utf-8") == "v2"


def test_a_copy_that_is_gone_from_the_backup_is_told_with_the_way_out(data_dir: Path, backup: Path) -> None:
    manifest = saved(data_dir, backup)
    (data_dir / "token").write_text("v2", encoding="utf-8")
    (backup / "data" / "token").unlink()
    with pytest.raises(_snapshot.SnapshotError, match=f"{backup}/data/token cannot be read: No such file"):
        _snapshot.restore_files(str(backup), str(data_dir), manifest)


def test_a_backup_directory_that_became_read_only_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    (tmp_path / "backups").mkdir(mode=0o700)
    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(_snapshot.SnapshotError, match=r"cannot be made: Read-only file system; .*gpustack_backup_dir"):
        _snapshot.make_backup_dir(str(tmp_path / "backups"))


def test_a_backup_directory_that_cannot_be_made_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(_snapshot.SnapshotError, match=r"cannot be made: Read-only file system; .*gpustack_backup_dir"):
        _snapshot.make_backup_dir(str(tmp_path / "backups"))
