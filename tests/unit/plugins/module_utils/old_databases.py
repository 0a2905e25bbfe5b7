# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases that real servers of 0.1 to 0.6 wrote, from the statements that SQLite dumps of them.

Made by the releases themselves, filled over their API (tests/lab/old_data.py): two users and the API key of a third,
who is gone; three registered workers, two of them with GPUs; models for llama-box, Ollama and, from 0.3 on, vLLM.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

DUMPS = Path(__file__).parent / "data" / "old_databases"
RELEASES = tuple(sorted(dump.stem for dump in DUMPS.glob("*.sql")))


def make(directory: Path, release: str) -> Path:
    """The database of a release in a directory; in rollback journal mode, as those releases keep theirs."""
    path = directory / "database.db"
    connection = sqlite3.connect(path)
    connection.executescript((DUMPS / f"{release}.sql").read_text(encoding="utf-8"))
    connection.close()
    return path
