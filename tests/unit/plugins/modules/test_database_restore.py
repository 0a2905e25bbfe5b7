# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on a real backup: check, do, check again, do again; and what it refuses to overwrite."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _journal, _snapshot
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import insert, make
from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module

RUN = "20261124T031500Z"


def make_data_dir(root: Path, model: str) -> Path:
    """The data directory of a stopped server, whose only row is in the WAL."""
    live = root / f"live-{model}"
    live.mkdir()
    data = root / model
    with contextlib.closing(make(live / "database.db")) as connection:
        insert(connection, "users", id=1, username=f"owner of {model}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        insert(connection, "models", id=1, name=model)
        shutil.copytree(str(live), str(data))
    (data / "database.db-shm").unlink()
    (data / "token").write_text(f"planted-secret-of-{model}\n", encoding="utf-8")
    (data / "token").chmod(0o640)
    return data


class Disk:
    """A data directory, its backup, and nothing else that is shared with the machine."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, make_data_dir(root, "qwen3")
        self.backup = root / "backups" / "one"
        _snapshot.save(str(self.data), str(self.backup), running=False)
        self.was = self.tree(self.data)

    @staticmethod
    def tree(path: Path) -> dict[str, tuple[int, bytes]]:
        """Mode and content of the files of a directory, but for the note of a restore."""
        files = (each for each in path.iterdir() if each.is_file() and each.name != ".gpustack-restored.json")
        return {each.name: (each.stat().st_mode, each.read_bytes()) for each in files}

    def lose(self) -> None:
        shutil.rmtree(str(self.data))

    def restore(self, check_mode: bool = False, **parameters: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "state_dir": str(self.root / "state"),
            "docker_host": f"unix://{self.root}/no.sock",
            "run_id": RUN,
        }
        settings.update({"backup": str(self.backup), **parameters})
        return run_module("database_restore", self.root, check_mode, **settings)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_check_do_check_again_do_again(disk: Disk) -> None:
    disk.lose()
    before = sorted(os.listdir(str(disk.root)))
    checked = disk.restore(check_mode=True)
    assert checked["changed"]
    assert sorted(set(os.listdir(str(disk.root))) - {"path"}) == before
    done = disk.restore()
    assert done["changed"]
    assert done["restored"] == checked["restored"] == ["database.db", "database.db-wal", "token"]
    assert done["data_dir"] == str(disk.data)
    assert done["counts"]["models"] == 1
    assert disk.tree(disk.data) == disk.was
    assert not disk.restore(check_mode=True)["changed"]
    assert not disk.restore()["changed"]
    assert sorted(os.listdir(str(disk.backup.parent))) == ["one"]


def test_a_server_that_ran_on_it_since_is_left_alone(disk: Disk) -> None:
    disk.lose()
    disk.restore()
    with contextlib.closing(sqlite3.connect(str(disk.data / "database.db"))) as connection:
        insert(connection, "models", id=2, name="new")
    used = disk.tree(disk.data)
    again = disk.restore()
    assert not again["changed"]
    assert again["restored_at"]
    assert disk.tree(disk.data) == used


def test_force_puts_the_bytes_back_and_keeps_what_was_there(disk: Disk) -> None:
    disk.lose()
    other = make_data_dir(disk.root, "llama3")
    os.rename(str(other), str(disk.data))
    (disk.data / "postgresql").mkdir()
    (disk.data / "cache").mkdir()
    its_token = (disk.data / "token").read_bytes()
    refused = disk.restore()
    assert refused["failed"]
    assert "database.db, database.db-wal, postgresql, token" in refused["msg"]
    assert "with force" in refused["msg"]
    assert (disk.data / "token").read_bytes() == its_token
    done = disk.restore(force=True)
    assert disk.tree(disk.data) == disk.was
    aside = Path(done["aside"])
    assert aside == disk.data / f".gpustack-replaced-{RUN}"
    assert sorted(os.listdir(str(aside))) == ["database.db", "database.db-wal", "postgresql", "token"]
    assert (aside / "token").read_bytes() == its_token
    assert aside.stat().st_mode & 0o777 == 0o700
    assert (disk.data / "cache").is_dir()
    assert not disk.restore(force=True)["changed"]


def test_a_wal_that_the_backup_does_not_have_is_in_the_way(disk: Disk) -> None:
    with contextlib.closing(sqlite3.connect(str(disk.data / "database.db"))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    without_wal = disk.backup.parent / "two"
    _snapshot.save(str(disk.data), str(without_wal), running=False)
    (disk.data / "database.db-wal").write_bytes(b"frames of another day")
    refused = disk.restore(backup=str(without_wal))
    assert "database.db-wal" in refused["msg"]


def test_a_mode_alone_is_mended_without_force(disk: Disk) -> None:
    (disk.data / "token").chmod(0o644)
    done = disk.restore()
    assert done["restored"] == ["token"]
    assert disk.tree(disk.data) == disk.was


def test_a_database_that_is_open_is_refused(disk: Disk) -> None:
    (disk.data / "token").unlink()
    script = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", script, str(disk.data / "database.db")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        refused = disk.restore()
        process.communicate()
    assert f"is open in process {process.pid}" in refused["msg"]
    assert disk.restore()["changed"]


def test_a_copy_without_the_recovered_database_is_whole(disk: Disk) -> None:
    shutil.rmtree(str(disk.backup / "recovered"))
    disk.lose()
    assert disk.restore()["changed"]


def test_nothing_is_touched_by_a_backup_that_is_not_what_its_manifest_says(disk: Disk) -> None:
    disk.lose()
    (disk.backup / "data" / "database.db-wal").write_bytes(b"")
    assert "is not what the manifest says" in disk.restore()["msg"]
    assert not disk.data.exists()


def test_a_copy_that_holds_other_rows_than_the_manifest_is_found_by_the_try(disk: Disk) -> None:
    manifest = json.loads((disk.backup / "manifest.json").read_text())
    manifest["database"]["counts"]["models"] = 2
    (disk.backup / "manifest.json").write_text(json.dumps(manifest))
    disk.lose()
    assert "its counts are not those of the manifest" in disk.restore()["msg"]
    assert not disk.data.exists()
    assert sorted(os.listdir(str(disk.backup.parent))) == ["one"]


def test_what_a_later_release_notes_in_a_manifest_does_not_hurt(disk: Disk) -> None:
    manifest = json.loads((disk.backup / "manifest.json").read_text())
    manifest["files"] = [dict(record, acl="user::rw-", later=1) for record in manifest["files"]]
    (disk.backup / "manifest.json").write_text(json.dumps(manifest))
    disk.lose()
    assert disk.restore()["changed"]


def test_a_backup_that_others_can_write_is_refused(disk: Disk) -> None:
    disk.backup.chmod(0o777)
    assert "can be written by others" in disk.restore()["msg"]


def test_the_mode_of_the_directory_is_that_of_the_original(disk: Disk) -> None:
    disk.data.chmod(0o711)
    again = disk.backup.parent / "two"
    _snapshot.save(str(disk.data), str(again), running=False)
    disk.lose()
    disk.restore(backup=str(again))
    assert disk.data.stat().st_mode & 0o777 == 0o711


def test_no_secret_is_shown(disk: Disk) -> None:
    disk.lose()
    done = disk.restore()
    assert "planted-secret" not in json.dumps(done)
    assert _snapshot.hash_file(str(disk.data / "token")) not in json.dumps(done)


def test_a_worker_s_backup_has_identity_files_alone(disk: Disk) -> None:
    (disk.data / "worker_name").write_text("gpu-1\n")
    path = disk.backup.parent / "worker"
    files = _snapshot.copy_stopped(str(disk.data), str(path / "data"), ("worker_name", "token"))
    _snapshot.write_manifest(str(path), files, None, {"data_dir": str(disk.data)})
    (disk.data / "worker_name").unlink()
    done = disk.restore(backup=str(path))
    assert done["restored"] == ["worker_name"]
    assert done["counts"] is None


def record_attempt(disk: Disk, *marks: tuple[str, str]) -> str:
    state = str(disk.root / "state")
    journal = _journal.Journal(state, RUN)
    journal.record("begin", "started", {"data_dir": str(disk.data)})
    for step, outcome in marks:
        journal.record(step, outcome)
    return state


def test_an_unfinished_attempt_is_refused(disk: Disk) -> None:
    record_attempt(disk)
    disk.lose()
    assert f"Attempt {RUN}" in disk.restore()["msg"]
    assert not disk.data.exists()


def test_an_attempt_whose_files_were_replaced_is_over(disk: Disk) -> None:
    state = record_attempt(disk, ("done", "done"))
    disk.lose()
    disk.restore()
    assert _journal.summary(state)["outcome"] == "none"


def test_a_directory_that_is_no_backup_is_refused(disk: Disk) -> None:
    assert "it was not finished" in disk.restore(backup=str(disk.data))["msg"]
    assert "is not there" in disk.restore(backup=str(disk.root / "gone"))["msg"]
