# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on a real database: check, do, and do again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.modules import database_backup
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import insert, make
from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A stopped server, whose only row is in the WAL."""
    live = tmp_path / "live"
    live.mkdir()
    with contextlib.closing(make(live / "database.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        insert(connection, "models", id=1, name="qwen3")
        shutil.copytree(str(live), str(tmp_path / "data"))
    (tmp_path / "data" / "token").write_text("planted-secret\n", encoding="utf-8")
    return tmp_path / "data"


def call(data_dir: Path, check_mode: bool = False, **parameters: Any) -> dict[str, Any]:
    settings = {"dest": str(data_dir.parent / "backups"), "name": "one", "running": False}
    settings.update(parameters)
    return run_module("database_backup", data_dir.parent, check_mode, data_dir=str(data_dir), **settings)


def test_check_do_check_again_do_again(data_dir: Path) -> None:
    before = sorted(os.listdir(str(data_dir.parent)))
    assert call(data_dir, check_mode=True)["changed"]
    assert sorted(set(os.listdir(str(data_dir.parent))) - {"path"}) == before
    result = call(data_dir)
    assert result["changed"]
    assert result["database"]["counts"]["models"] == 1
    assert Path(result["path"], "manifest.json").exists()
    assert not call(data_dir, check_mode=True)["changed"]
    again = call(data_dir)
    assert not again["changed"]
    assert again["created"] == result["created"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_place_that_others_can_write_is_refused(data_dir: Path, check_mode: bool) -> None:
    (data_dir.parent / "backups").mkdir()
    (data_dir.parent / "backups").chmod(0o777)
    assert "can be written by others" in call(data_dir, check_mode=check_mode)["msg"]


def test_no_secret_is_returned(data_dir: Path) -> None:
    result = call(data_dir)
    assert "planted-secret" not in json.dumps(result)
    assert {record["name"]: record["sha256"] for record in result["files"]}["token"] is None


def test_an_unfinished_backup_is_made_again(data_dir: Path) -> None:
    path = Path(call(data_dir)["path"])
    (path / "manifest.json").unlink()
    assert call(data_dir)["changed"]
    assert (path / "manifest.json").exists()


def test_a_broken_backup_fails(data_dir: Path) -> None:
    path = Path(call(data_dir)["path"])
    (path / "data" / "database.db-wal").unlink()
    result = call(data_dir)
    assert result["failed"]
    assert "missing from the backup" in result["msg"]


def test_the_name_of_another_backup_fails(data_dir: Path) -> None:
    call(data_dir)
    other = data_dir.parent / "other"
    shutil.copytree(str(data_dir), str(other))
    assert "is a backup of" in call(other)["msg"]


@pytest.mark.parametrize("name", ["../one", ".hidden", "", "a/b"])
def test_a_name_that_leaves_the_directory_fails(data_dir: Path, name: str) -> None:
    assert "cannot be the name" in call(data_dir, name=name)["msg"]


def test_no_database_fails_in_check_mode_too(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = call(tmp_path / "empty", check_mode=True)
    assert result["failed"]
    assert "name the data directory" in result["msg"]


def test_the_definition_of_the_container_is_part_of_what_counts(data_dir: Path) -> None:
    path = data_dir.parent / "backups" / "one"
    definition = engine_records.container(name="my-gpustack")
    database_backup.save(str(data_dir), str(path), False, definition)
    assert json.loads((path / "container.json").read_text()) == definition
    assert (path / "container.json").stat().st_mode & 0o777 == 0o600
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["legacy"]["name"] == "my-gpustack"
    (path / "container.json").write_text("{}")
    assert "is not what the manifest says" in call(data_dir)["msg"]


def test_a_container_that_is_not_there_fails(data_dir: Path) -> None:
    result = call(data_dir, container="gpustack", docker_host=f"unix://{data_dir}/no.sock")
    assert "There is no Docker engine" in result["msg"]
    assert not (data_dir.parent / "backups").exists()
