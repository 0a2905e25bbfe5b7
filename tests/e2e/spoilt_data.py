# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host: a copy of the server's data directory in which one thing is wrong. The original is only read."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

SOURCE, COPY = Path("/data/gpustack"), Path("/data/spoilt")
DATABASE = COPY / "database.db"


def copy() -> None:
    """The database as it is now, in a file of its own, and the token."""
    COPY.mkdir()
    original = sqlite3.connect(f"file:{SOURCE}/database.db?mode=ro", uri=True)
    target = sqlite3.connect(DATABASE)
    original.backup(target)
    target.execute("PRAGMA journal_mode=DELETE")
    target.close()
    original.close()
    (COPY / "token").write_bytes((SOURCE / "token").read_bytes())


def corrupt() -> None:
    """An index that says something else than its table."""
    database = sqlite3.connect(DATABASE)
    (page_size,) = database.execute("PRAGMA page_size").fetchone()
    (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_models_name'").fetchone()
    (name,) = database.execute("SELECT name FROM models ORDER BY id").fetchone()
    database.close()
    data = bytearray(DATABASE.read_bytes())
    start = (root - 1) * page_size
    at = data.index(name.encode(), start, start + page_size)
    data[at] ^= 1
    DATABASE.write_bytes(data)


def hot_journal() -> None:
    """A transaction that was written to the file in part when its process died."""
    if os.fork() == 0:
        database = sqlite3.connect(DATABASE, isolation_level=None)
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("UPDATE system_loads SET cpu = 0")
        os._exit(0)
    os.wait()


def ollama() -> None:
    """A model of the source that v2 gives up."""
    database = sqlite3.connect(DATABASE)
    database.execute("UPDATE models SET source = 'OLLAMA_LIBRARY' WHERE id = (SELECT min(id) FROM models)")
    database.commit()
    database.close()


def token() -> None:
    """A registration token that looks like one of v2's."""
    (COPY / "token").write_text("gpustack_0123456789abcdef_0123456789abcdef")


if __name__ == "__main__":
    copy()
    {"corrupt": corrupt, "hot_journal": hot_journal, "ollama": ollama, "token": token}[sys.argv[1]]()
