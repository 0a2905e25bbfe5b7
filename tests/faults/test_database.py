# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Legacy databases that somebody else has open, or that are not sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e import outside
from tests.faults.conftest import Keep
from tests.faults.subject import Subject

LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
time.sleep(600)
"""
WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
while True:
    connection.execute("INSERT INTO system_loads (timestamp, cpu, ram, gpu, vram) VALUES (1, 1, 1, 1, 1)")
"""
# What a tool of the operator's may have done: no write-ahead log any more. Then a page in the middle is overwritten.
CORRUPT = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode = DELETE")
connection.close()
with open(sys.argv[1], "r+b") as database:
    database.seek(os.path.getsize(sys.argv[1]) // 4096 // 2 * 4096)
    database.write(os.urandom(4096))
"""
HOT_JOURNAL = """
import sys
with open(sys.argv[1] + "-journal", "wb") as journal:
    journal.write(bytes.fromhex("d9d505f920a163d7") + (1).to_bytes(4, "big") * 5 + bytes(484) + bytes(4104))
"""


@pytest.fixture
def spoilt(server: Subject) -> Iterator[Subject]:
    """A server whose database files are put back after the test."""
    server.reach.exec_root("sh", "-c", 'mkdir /var/tmp/kept && cp -a "$0"/database.db* /var/tmp/kept', server.data_dir)
    yield server
    server.reach.exec_root(
        "sh", "-c", 'rm "$0"/database.db*; cp -a /var/tmp/kept/. "$0" && rm -r /var/tmp/kept', server.data_dir
    )


@contextmanager
def process(server: Subject, code: str) -> Iterator[None]:
    """A process of somebody else's at the database, until it is killed."""
    database = f"{server.data_dir}/database.db"
    server.reach.exec_root("systemd-run", "--unit=somebody", "--collect", "python3", "-c", code, database)
    try:
        yield
    finally:
        server.reach.exec_root("systemctl", "kill", "--signal=KILL", "somebody")


def python(server: Subject, code: str) -> None:
    server.reach.exec_root("python3", "-c", code, f"{server.data_dir}/database.db")


def test_database_locked_by_another_process(spoilt: Subject, keep: Keep) -> None:
    with process(spoilt, LOCK):
        answer = spoilt.call("upgraded")
        assert not answer.failed, answer.message
        came_to = spoilt.assert_state("upgraded")
    keep("database locked by another process", answer, came_to)


@pytest.mark.quick
def test_write_ahead_log_that_changes_during_the_copy(spoilt: Subject, keep: Keep) -> None:
    with process(spoilt, WRITE):
        answer = spoilt.call("upgraded")
    assert "changed while it was being copied" in answer.message
    spoilt.assert_definition()
    assert not outside.is_running(spoilt.reach)
    came_to = "legacy, identical definition; the bytes are those of the process that wrote"
    keep("write-ahead log changes during the copy", answer, came_to)


@pytest.mark.quick
def test_hot_journal(spoilt: Subject, keep: Keep) -> None:
    python(spoilt, HOT_JOURNAL)
    spoilt.note_definition()
    spoilt.note_files()
    answer = spoilt.call("upgraded")
    assert answer.failed
    assert "hot rollback journal" in answer.message
    keep("hot rollback journal", answer, spoilt.assert_state("legacy"))


@pytest.mark.quick
def test_corrupt_page(spoilt: Subject, keep: Keep) -> None:
    python(spoilt, CORRUPT)
    spoilt.note_definition()
    spoilt.note_files()
    answer = spoilt.call("upgraded")
    assert "database disk image is malformed" in answer.message
    keep("corrupt page in the database", answer, spoilt.assert_state("legacy"))
