# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of the databases of real releases before 0.7, whose tables have other columns."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import old_databases
import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases, _sqlite_reader

BEFORE_0_6 = [release for release in old_databases.RELEASES if release < "0.6"]


def evidence(path: Path) -> dict:
    found = _sqlite_reader.database(str(path), live=False)
    assert found["readable"], found["error"]
    return found


def codes(found: dict) -> dict:
    return {finding["code"]: finding["rows"] for finding in found["findings"]}


@pytest.mark.parametrize("release", old_databases.RELEASES)
def test_the_release_is_known_by_its_schema_and_its_schema_has_to_be_raised(tmp_path: Path, release: str) -> None:
    found = evidence(old_databases.make(tmp_path, release))
    assert found["release"] == release
    assert _releases.is_raised(found["schema_head"])
    assert _releases.is_supported_legacy(found["release"])
    assert found["hot_journal"] is False
    assert found["integrity"] == "ok"


@pytest.mark.parametrize("release", old_databases.RELEASES)
def test_workers_have_no_uuid_but_gpus_and_a_port(tmp_path: Path, release: str) -> None:
    workers = evidence(old_databases.make(tmp_path, release))["workers"]
    assert [(worker["name"], worker["uuid"], worker["port"], len(worker["gpus"])) for worker in workers] == [
        ("gpu-one", "", 10150, 2),
        ("gpu-two", "", 10150, 1),
        ("cpu-three", "", 10150, 0),
    ]
    gpu = workers[0]["gpus"][1]
    assert (gpu["vendor"], gpu["index"], gpu["memory"]) == ("nvidia", 1, 16 * 2**30)


@pytest.mark.parametrize("release", old_databases.RELEASES)
def test_what_v2_gives_up_is_found_whatever_columns_there_are(tmp_path: Path, release: str) -> None:
    found = codes(evidence(old_databases.make(tmp_path, release)))
    assert found["ollama_models"] == ["llama"]
    assert "qwen-half" in found["llama_box_models"]
    assert "qwen-vllm" not in found["llama_box_models"]


def test_rows_that_the_way_up_deletes_are_named(tmp_path: Path) -> None:
    for release in old_databases.RELEASES:
        (tmp_path / release).mkdir()
        found = codes(evidence(old_databases.make(tmp_path / release, release)))
        assert ("orphan_api_keys_deleted" in found) == (release in BEFORE_0_6), release
        assert ("instances_deleted" in found) == (release == "0.1.2"), release


def test_a_model_that_is_bound_to_a_gpu_by_its_name_loses_that(tmp_path: Path) -> None:
    path = old_databases.make(tmp_path, "0.4.1")
    connection = sqlite3.connect(path)
    connection.execute("""UPDATE models SET gpu_selector = '{"gpu_name": "a-Tesla T4-0"}' WHERE id = 1""")
    connection.commit()
    connection.close()
    assert codes(evidence(path))["gpu_name_selector"] == ["qwen-half"]


@pytest.mark.parametrize(("release", "fatal"), [("0.3.2", True), ("0.4.1", True), ("0.5.1", False)])
def test_a_worker_without_a_status_stops_the_way_up_to_0_5_alone(tmp_path: Path, release: str, fatal: bool) -> None:
    path = old_databases.make(tmp_path, release)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE workers SET status = NULL WHERE id = 2")
    connection.commit()
    connection.close()
    assert ("null_worker_status" in codes(evidence(path))) is fatal


def test_a_hot_journal_of_a_release_without_wal_is_seen(tmp_path: Path) -> None:
    """The files of a server that was killed in the middle of a transaction: the copy has to be rolled back."""
    path = old_databases.make(tmp_path, "0.6.2")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN")
    for number in range(2000):
        writer.execute("INSERT INTO system_loads (cpu, ram, gpu, vram, timestamp) VALUES (1, 1, 1, 1, ?)", (number,))
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("database.db", "database.db-journal"):
        (killed / name).write_bytes((tmp_path / name).read_bytes())
    writer.close()
    found = evidence(killed / "database.db")
    assert found["hot_journal"] is True
    assert found["counts"]["system_loads"] == 0
