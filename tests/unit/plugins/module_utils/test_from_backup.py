# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore refuses and what it takes for done; the module as a whole is in `test_database_restore`."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _directory_users, _from_backup, _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._from_backup import RestoreError

RUN = "20261124T031500Z"
SAVED = ("worker_name", "worker_uuid", "worker_token")


class Worker:
    """A worker's data directory and its backup, which needs no database."""

    def __init__(self, root: Path) -> None:
        self.root, self.data, self.backup = root, root / "data", root / "backups" / "one"
        self.data.mkdir()
        for name in SAVED:
            (self.data / name).write_text("legacy's")
        files = _snapshot.copy_stopped(str(self.data), str(self.backup / "data"), SAVED)
        _snapshot.write_manifest(str(self.backup), files, None, {"data_dir": str(self.data)})

    def restore(self, check_mode: bool = False, **changes: Any) -> dict[str, Any]:
        params = {
            "backup": str(self.backup),
            "data_dir": None,
            "force": False,
            "run_id": RUN,
            "state_dir": str(self.root / "state"),
            "docker_host": f"unix://{self.root}/no.sock",
            **changes,
        }
        return _from_backup.run(params, check_mode, lambda _word: None)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture
def restored(worker: Worker) -> Worker:
    """Its directory was lost and restored."""
    shutil.rmtree(str(worker.data))
    assert worker.restore()["changed"]
    return worker


def test_a_running_container_on_the_directory_is_refused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_directory_users, "containers", lambda _reader, _directory: ["gpustack"])
    (worker.data / "worker_name").unlink()
    for check_mode in (True, False):
        with pytest.raises(RestoreError, match="used by the running container gpustack"):
            worker.restore(check_mode, force=True)
    assert not (worker.data / "worker_name").exists()


def test_without_room_nothing_is_begun(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    (worker.data / "worker_name").unlink()
    monkeypatch.setattr(_from_backup.shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))
    with pytest.raises(RestoreError, match="0 MiB free"):
        worker.restore()
    assert not (worker.data / "worker_name").exists()


def test_a_directory_that_v2_has_used_since_is_not_taken_for_restored(restored: Worker) -> None:
    assert restored.restore()["restored_at"]
    (restored.data / "postgresql").mkdir()
    with pytest.raises(RestoreError, match="holds something else than the backup: postgresql"):
        restored.restore()


def test_a_directory_that_lost_a_file_since_is_not_taken_for_restored(restored: Worker) -> None:
    (restored.data / "worker_uuid").unlink()
    assert restored.restore()["restored"] == ["worker_uuid"]


def test_a_file_of_v2s_that_the_backup_has_is_not_in_the_way(worker: Worker) -> None:
    (worker.data / "worker_name").unlink()
    assert worker.restore()["aside"] is None
    assert (worker.data / "worker_token").read_text() == "legacy's"


def test_shared_memory_goes_with_the_database_that_it_belongs_to(worker: Worker) -> None:
    manifest: dict[str, Any] = {"files": [], "data_dir": str(worker.data)}
    (worker.data / "database.db-shm").touch()
    other = [_snapshot.Difference("database.db", "content")]
    assert "database.db-shm" in _from_backup._in_the_way(str(worker.data), manifest, other)
    assert "database.db-shm" not in _from_backup._in_the_way(str(worker.data), manifest, [])


def test_what_is_set_aside_is_never_put_over_something(worker: Worker) -> None:
    aside = worker.data / f".gpustack-replaced-{RUN}"
    aside.mkdir(mode=0o700)
    (aside / "worker_name").write_text("of an earlier run")
    (worker.data / "worker_name").write_text("v2's")
    with pytest.raises(RestoreError, match="run again with another run_id"):
        worker.restore(force=True)
    assert (aside / "worker_name").read_text() == "of an earlier run"
    assert (worker.data / "worker_name").read_text() == "v2's"


def test_somebody_who_writes_meanwhile_is_noticed(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def restore_files(backup: str, data_dir: str, manifest: dict[str, Any]) -> None:
        (worker.data / "worker_name").write_text("somebody's")

    (worker.data / "worker_name").unlink()
    monkeypatch.setattr(_snapshot, "restore_files", restore_files)
    with pytest.raises(RestoreError, match="something writes there"):
        worker.restore()
    assert not (worker.data / _from_backup.NOTE).exists()
