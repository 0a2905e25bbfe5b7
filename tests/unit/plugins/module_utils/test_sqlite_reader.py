# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real SQLite files: what is read, and that reading leaves no trace."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _sqlite_reader
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import (
    SCHEMA_HEAD,
    insert,
    make,
)


def fingerprint(directory: Path) -> dict[str, str]:
    """Hash of every file of a directory."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where private copies go."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    return directory


def killed(data_dir: Path, tmp_path: Path) -> Path:
    """A copy of the files of a live database, as kill -9 leaves them."""
    copy = tmp_path / "killed"
    shutil.copytree(str(data_dir), str(copy))
    return copy


@contextlib.contextmanager
def server_process(path: Path) -> Iterator[None]:
    """Another process that has the database open: SQLite shares locks and memory within one process."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute(\"INSERT INTO users (username, source) VALUES ('ünal', 'Local')\")\n"
        "connection.commit()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_a_live_wal_database_is_read_in_place_without_a_trace(data_dir: Path, scratch: Path) -> None:
    make(data_dir / "database.db").close()
    with server_process(data_dir / "database.db"):
        before = fingerprint(data_dir)
        assert before.keys() == {"database.db", "database.db-shm", "database.db-wal"}
        found = _sqlite_reader.database(str(data_dir / "database.db"), live=True, scratch=str(scratch))
        assert fingerprint(data_dir) == before
    assert found["error"] is None
    assert (found["readable"], found["integrity"], found["counts"]["users"]) == (True, "ok", 1)
    assert (found["schema_head"], found["release"]) == (SCHEMA_HEAD, "0.7.1")
    assert found["wal_size"] > 0


def test_rows_that_only_the_wal_holds_are_seen_after_a_clean_stop(
    data_dir: Path, scratch: Path, tmp_path: Path
) -> None:
    """A stopped 0.7.1 server leaves its rows in the WAL and no -shm."""
    server = make(data_dir / "database.db")
    insert(server, "users", id=1, username="a", source="Local")
    stopped = killed(data_dir, tmp_path)
    server.close()
    (stopped / "database.db-shm").unlink()
    before = fingerprint(stopped)
    found = _sqlite_reader.database(str(stopped / "database.db"), live=False, scratch=str(scratch))
    assert found["error"] is None
    assert found["counts"]["users"] == 1
    assert fingerprint(stopped) == before
    assert list(scratch.iterdir()) == []


def test_a_killed_server_is_read_without_a_trace(data_dir: Path, scratch: Path, tmp_path: Path) -> None:
    server = make(data_dir / "database.db")
    insert(server, "users", id=1, username="a", source="Local")
    left = killed(data_dir, tmp_path)
    server.close()
    before = fingerprint(left)
    found = _sqlite_reader.database(str(left / "database.db"), live=False, scratch=str(scratch))
    assert found["counts"]["users"] == 1
    assert fingerprint(left) == before


def test_a_wal_database_without_a_wal_gets_none(data_dir: Path, scratch: Path) -> None:
    make(data_dir / "database.db").close()
    assert fingerprint(data_dir).keys() == {"database.db"}
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=False, scratch=str(scratch))
    assert found["readable"]
    assert fingerprint(data_dir).keys() == {"database.db"}


def test_a_hot_journal_is_reported_and_rolled_back_in_the_copy(data_dir: Path, scratch: Path, tmp_path: Path) -> None:
    server = make(data_dir / "database.db", journal_mode="DELETE")
    insert(server, "users", id=1, username="committed", source="Local")
    server.execute("PRAGMA cache_size=1")
    server.execute("BEGIN IMMEDIATE")
    server.executemany("INSERT INTO users (username) VALUES (?)", [("x" * 500,)] * 500)
    left = killed(data_dir, tmp_path)
    server.close()
    assert (left / "database.db-journal").stat().st_size > 0
    before = fingerprint(left)
    found = _sqlite_reader.database(str(left / "database.db"), live=False, scratch=str(scratch))
    assert found["hot_journal"] is True
    assert found["counts"]["users"] == 1
    assert fingerprint(left) == before


def test_the_journal_of_a_live_server_is_not_hot(data_dir: Path, scratch: Path) -> None:
    server = make(data_dir / "database.db", journal_mode="DELETE")
    server.execute("BEGIN IMMEDIATE")
    server.execute("INSERT INTO users (username) VALUES ('uncommitted')")
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=True, scratch=str(scratch))
    assert found["hot_journal"] is False
    assert found["counts"]["users"] == 0
    server.close()


def test_the_server_keeps_writing_while_it_is_read(data_dir: Path) -> None:
    server = make(data_dir / "database.db")
    path = str(data_dir / "database.db")
    with _sqlite_reader.opened(path, live=True) as reader:
        assert _sqlite_reader.count(reader, "users") == 0
        insert(server, "users", id=1, username="new", source="Local")
        assert _sqlite_reader.count(reader, "users") == 0
    with _sqlite_reader.opened(path, live=True) as reader:
        assert _sqlite_reader.count(reader, "users") == 1
    server.close()


def test_writing_through_the_reader_is_impossible(data_dir: Path) -> None:
    server = make(data_dir / "database.db")
    database = str(data_dir / "database.db")
    with _sqlite_reader.opened(database, live=True) as reader, pytest.raises(
        sqlite3.OperationalError, match="readonly"
    ):
        reader.execute("DELETE FROM users")
    server.close()


def test_a_file_that_is_no_database_is_refused_with_the_way_out(data_dir: Path) -> None:
    (data_dir / "database.db").write_bytes(b"something else entirely, and long enough")
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=False)
    assert found["readable"] is False
    assert "not an SQLite database; restore" in found["error"]


def test_damage_is_reported(data_dir: Path, scratch: Path) -> None:
    server = make(data_dir / "database.db", journal_mode="DELETE")
    server.executemany("INSERT INTO users (username) VALUES (?)", [("x" * 900,)] * 100)
    server.commit()
    server.close()
    with open(data_dir / "database.db", "r+b") as damaged:
        damaged.seek(os.path.getsize(data_dir / "database.db") - 4096 * 3)
        damaged.write(b"\xff" * 4096)
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=False, scratch=str(scratch))
    assert found["integrity"] != "ok" or not found["readable"]


def test_an_unknown_schema_head_has_no_release(data_dir: Path) -> None:
    make(data_dir / "database.db", head="0123456789ab").close()
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=False)
    assert (found["schema_head"], found["release"]) == ("0123456789ab", None)


def test_a_missing_file_is_evidence(data_dir: Path) -> None:
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=False)
    assert found["readable"] is False
    assert "No such file" in found["error"]


def test_without_room_for_a_copy_the_way_out_is_told(data_dir: Path, tmp_path: Path) -> None:
    make(data_dir / "database.db").close()
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=False, scratch=str(tmp_path / "none"))
    assert found["readable"] is False
    assert f"no {tmp_path / 'none'}" in found["error"]
    assert "start the old server" in found["error"]


def test_without_room_a_killed_server_is_read_in_place(data_dir: Path, tmp_path: Path) -> None:
    server = make(data_dir / "database.db")
    insert(server, "users", id=1, username="a", source="Local")
    left = killed(data_dir, tmp_path)
    server.close()
    before = fingerprint(left)
    found = _sqlite_reader.database(str(left / "database.db"), live=False, scratch=str(tmp_path / "none"))
    assert found["counts"]["users"] == 1
    assert fingerprint(left) == before


def test_a_stopped_database_keeps_its_inodes_as_they_are(data_dir: Path, scratch: Path, tmp_path: Path) -> None:
    """SQLite run by root changes the owner of -wal and -shm to what it is already."""
    server = make(data_dir / "database.db")
    left = killed(data_dir, tmp_path)
    server.close()
    before = {path.name: path.stat().st_ctime_ns for path in left.iterdir()}
    _sqlite_reader.database(str(left / "database.db"), live=False, scratch=str(scratch))
    assert {path.name: path.stat().st_ctime_ns for path in left.iterdir()} == before


def test_a_question_that_takes_too_long_is_given_up(data_dir: Path) -> None:
    make(data_dir / "database.db").close()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    reading = _sqlite_reader.transaction(str(data_dir / "database.db"), "mode=rw", deadline=0.05)
    with reading as reader, pytest.raises(sqlite3.OperationalError, match="interrupted"):
        reader.execute(endless).fetchone()


def test_records_of_workers_and_models(data_dir: Path) -> None:
    server = make(data_dir / "database.db")
    status = '{"gpu_devices": [{"index": 0, "name": "A", "vendor": "NVIDIA", "uuid": "u", "memory": {"total": 1}}]}'
    row = {
        "id": 4,
        "name": "gpu-1",
        "hostname": "h",
        "ip": "10.0.0.1",
        "port": 10150,
        "state": "READY",
        "worker_uuid": "w",
    }
    insert(server, "workers", status=status, **row)
    insert(server, "models", id=1, name="m", source="HUGGING_FACE", huggingface_repo_id="o/n", replicas=1)
    insert(server, "model_instances", id=1, name="m-1", model_id=1, model_name="m", worker_id=4, state="RUNNING")
    found = _sqlite_reader.database(str(data_dir / "database.db"), live=True)
    (worker,) = found["workers"]
    assert (worker["id"], worker["name"], worker["state"], worker["uuid"]) == (4, "gpu-1", "ready", "w")
    assert worker["gpus"][0]["vendor"] == "nvidia"
    assert found["models"][0]["name"] == "m"
    assert found["model_instances"][0]["worker_id"] == 4
    server.close()
