# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a v2 server's PostgreSQL or MySQL says of its columns and of the numbers of next rows."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _mysql

# Type numbers of PostgreSQL (pg_type.dat): they never change.
BOOL, JSON, JSONB, DATE, TIMESTAMP, TIMESTAMPTZ = 16, 114, 3802, 1082, 1114, 1184
_BY_NAME = {
    "boolean": BOOL,
    "json": JSON,
    "date": DATE,
    "timestamp without time zone": TIMESTAMP,
}


class ColumnType(NamedTuple):
    """The type of a column, by PostgreSQL's number for it; 0 where nothing has to be converted."""

    number: int
    enumeration: bool


class NextNumber(NamedTuple):
    """Where the next number of a table's `id` comes from, and the last one that was given; None when none was."""

    source: str
    last: int | None


def columns(connection: Any, table: str) -> dict[str, ColumnType]:
    """Columns of a table; empty when there is no such table."""
    if isinstance(connection, _mysql.Connection):
        found = _mysql.grouped([row for row in connection.execute(_mysql.COLUMNS) if row[0] == table])
        # MySQL gives enumerations as text by itself.
        return {name: ColumnType(_BY_NAME.get(kind, 0), False) for name, kind in found.get(table, {}).items()}
    rows = connection.execute(
        "SELECT a.attname, t.oid::int8, t.typtype = 'e' FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (f'public."{table}"',),
    )
    return {name: ColumnType(number, enumeration) for name, number, enumeration in rows}


def next_number(connection: Any, table: str) -> NextNumber:
    """What numbers the rows of a table."""
    if isinstance(connection, _mysql.Connection):
        query = (
            "SELECT auto_increment FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s"
        )
        following = connection.execute(query, (table,)).fetchone()[0]
        return NextNumber(f"{table}.id", None if following is None else int(following) - 1)
    name = connection.execute("SELECT pg_get_serial_sequence(%s, 'id')", (f'public."{table}"',)).fetchone()[0]
    last = connection.execute(f"SELECT CASE WHEN is_called THEN last_value END FROM {name}").fetchone()[0]
    return NextNumber(name, last)
