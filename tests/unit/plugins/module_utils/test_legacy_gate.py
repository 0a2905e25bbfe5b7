# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of a legacy server that runs again, in a real SQLite database that another process has open."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _legacy_gate
from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import GateError

SAVED = {"users": 2, "system_loads": 3, "model_instances": 1}


@pytest.fixture
def live(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database in WAL mode that its server has open."""
    connection = sqlite3.connect(str(tmp_path / "database.db"), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for table, rows in SAVED.items():
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
        for _row in range(rows):
            connection.execute(f"INSERT INTO {table} DEFAULT VALUES")
    yield connection
    connection.close()


def test_the_rows_that_were_saved_pass(live: sqlite3.Connection, tmp_path: Path) -> None:
    assert _legacy_gate.rows(str(tmp_path), SAVED) == SAVED


def test_what_a_running_server_adds_by_itself_passes(live: sqlite3.Connection, tmp_path: Path) -> None:
    live.execute("INSERT INTO system_loads DEFAULT VALUES")
    live.execute("DELETE FROM model_instances")
    assert _legacy_gate.rows(str(tmp_path), SAVED)["system_loads"] == 4


def test_a_database_that_is_not_there_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"its rows cannot be counted: .*database\.db: No such file.*; put it back"):
        _legacy_gate.rows(str(tmp_path), SAVED)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM users WHERE id = 1", "users has 1 rows, not 2"),
        ("INSERT INTO users DEFAULT VALUES", "users has 3 rows, not 2"),
        ("DELETE FROM system_loads WHERE id = 1", "system_loads has 2 rows, not 3"),
        ("DROP TABLE users", "users is missing"),
    ],
)
def test_anything_else_is_a_failure(live: sqlite3.Connection, tmp_path: Path, statement: str, said: str) -> None:
    live.execute(statement)
    with pytest.raises(GateError, match=said):
        _legacy_gate.rows(str(tmp_path), SAVED)


def test_reading_does_not_write(live: sqlite3.Connection, tmp_path: Path) -> None:
    # Within one process SQLite shares the -shm; that another process leaves it alone is for test_sqlite_reader.
    parts = [tmp_path / "database.db", tmp_path / "database.db-wal"]
    before = [part.read_bytes() for part in parts]
    _legacy_gate.rows(str(tmp_path), SAVED)
    assert [part.read_bytes() for part in parts] == before


def test_a_database_that_cannot_be_read_is_a_failure_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "database.db").write_bytes(b"not a database at all")
    with pytest.raises(GateError, match="backup"):
        _legacy_gate.rows(str(tmp_path), SAVED)


@given(st.dictionaries(st.sampled_from(["users", "models", "model_usages"]), st.integers(0, 5)))
def test_equal_counts_never_differ(counts: dict[str, int]) -> None:
    assert _legacy_gate.differences(counts, dict(counts)) == []
