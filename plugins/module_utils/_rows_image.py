# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of an external database as an SQLite database of the form that GPUStack itself gives to it.

So everything that reads a legacy server's SQLite (findings, records of workers, the comparison row by row) reads an
external one's rows too.
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

try:
    import sqlite3
except ImportError:  # a Python built without it
    sqlite3 = None  # type: ignore[assignment]

_BATCH = 5000
_INTEGERS = ("smallint", "integer", "bigint", "boolean")
_REALS = ("double precision", "real")
_JSON = ("json", "jsonb")
#: `row_to_json` writes ISO 8601 and drops trailing zeros of the fraction, MySQL's driver a blank for the T and no
#: fraction where there is none; SQLAlchemy writes six digits into SQLite.
_TIMESTAMP = re.compile(r"(\d{4,}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(.*)")


class Table(NamedTuple):
    """A table: its columns by name, each with its type as `format_type` of PostgreSQL names it."""

    name: str
    columns: Mapping[str, str]


def database(path: str) -> Any:
    """A new SQLite database for rows; ``:memory:`` for one that leaves no file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def add(connection: Any, table: Table, rows: Iterable[str]) -> int:
    """Add a table with its rows, each as a JSON object like that of `row_to_json`; how many there were."""
    columns = ", ".join(f'"{name}" {_affinity(kind)}' for name, kind in table.columns.items())
    connection.execute(f'CREATE TABLE "{table.name}" ({columns})')
    insert = 'INSERT INTO "{}" VALUES ({})'.format(table.name, ", ".join("?" * len(table.columns)))
    count = 0
    batch: list[Sequence[Any]] = []
    connection.execute("BEGIN")
    for row in rows:
        batch.append(_values(table, json.loads(row)))
        count += 1
        if len(batch) >= _BATCH:
            connection.executemany(insert, batch)
            batch = []
    connection.executemany(insert, batch)
    connection.execute("COMMIT")
    return count


def _affinity(kind: str) -> str:
    if kind in _INTEGERS:
        return "INTEGER"
    return "REAL" if kind in _REALS else "TEXT"


def _values(table: Table, row: Mapping[str, Any]) -> list[Any]:
    return [value_of(row.get(name), kind) for name, kind in table.columns.items()]


def value_of(value: Any, kind: str) -> Any:
    """A value of `row_to_json` as GPUStack keeps it in SQLite."""
    if value is None:
        return None
    if kind == "boolean":
        return int(value)
    if kind in _JSON:
        return json.dumps(value, ensure_ascii=False)
    if kind.startswith("timestamp"):
        return _timestamp(str(value))
    return value


def _timestamp(text: str) -> str:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return text
    day, time, fraction, zone = match.groups()
    return f"{day} {time}.{(fraction or '').ljust(6, '0')}{zone}"
