# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a write-ahead log, of logs that SQLite itself wrote."""

from __future__ import annotations

import io
import shutil
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _wal


def log_of(folder: Path, *, spill: bool) -> bytes:
    """The log after three transactions; with a fourth that is not finished, of which SQLite wrote pages already."""
    database = folder / "database.db"
    connection = sqlite3.connect(str(database), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA cache_size=5")
    connection.execute("PRAGMA cache_spill=1")
    connection.execute("CREATE TABLE t (x)")
    for _number in range(2):
        connection.execute("INSERT INTO t VALUES (zeroblob(3000))")
    if spill:
        connection.execute("BEGIN")
        for _number in range(400):
            connection.execute("INSERT INTO t VALUES (zeroblob(3000))")
    shutil.copyfile(f"{database}-wal", folder / "copy")
    connection.close()
    return (folder / "copy").read_bytes()


def finished(content: bytes) -> bool:
    return _wal.is_finished(io.BytesIO(content))


def test_a_whole_log_is_finished(tmp_path: Path) -> None:
    assert finished(log_of(tmp_path, spill=False))


def test_a_log_in_the_middle_of_a_transaction_is_not(tmp_path: Path) -> None:
    assert not finished(log_of(tmp_path, spill=True))


@pytest.mark.parametrize("cut", [1, 100, 4000])
def test_a_log_that_was_cut_off_is_not(tmp_path: Path, cut: int) -> None:
    assert not finished(log_of(tmp_path, spill=False)[:-cut])


def test_what_an_older_log_left_behind_the_last_frame_is_none_of_it(tmp_path: Path) -> None:
    content = log_of(tmp_path, spill=False)
    older = bytearray(content[32 : 32 + 24 + 4096])
    older[8] ^= 0xFF
    assert finished(content + bytes(older))


@pytest.mark.parametrize("content", [b"", b"\0" * 10, b"\0" * 5000])
def test_a_log_without_a_header_is_empty(content: bytes) -> None:
    assert finished(content)
