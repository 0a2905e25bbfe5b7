# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases of our own beside an external MySQL: made, dropped, and put in its place.

MySQL gives no database another name, but moves any number of tables from one to another in one atomic statement
(RENAME TABLE). Foreign keys move along; views cannot, and are made again.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterable, Iterator

from ansible_collections.fleetops.gpustack.plugins.module_utils import _mysql
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._scratch_database import (
    aside_name,
    quoted,
    restored_name,
    with_suffix,
)


def scratch_name(name: str, attempt: str) -> str:
    """The database that a dump is tried in. It begins like the others, so that one grant is enough for all."""
    return with_suffix(name, f"_scratch_{attempt.lower()}")


def names(name: str, attempt: str) -> tuple[str, str, str]:
    """Every database that an attempt may make beside one of this name."""
    return scratch_name(name, attempt), restored_name(name, attempt), aside_name(name, attempt)


@contextlib.contextmanager
def maintenance(url: DatabaseUrl) -> Iterator[Any]:
    """A connection to no database."""
    with contextlib.closing(_mysql.connect_to_change(url)) as connection:
        yield connection


def exists(connection: Any, name: str) -> bool:
    """Whether there is such a database."""
    query = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    return connection.execute(query, (name,)).fetchone() is not None


def make_like(url: DatabaseUrl, name: str) -> DatabaseUrl:
    """A new, empty database of the same character set and collation; one of that name, ours, is dropped before."""
    with maintenance(url) as connection:
        _execute(connection, _drop_statement(name))
        _make(connection, url.name, name)
    return url.named(name)


def drop(url: DatabaseUrl, *unwanted: str) -> list[str]:
    """Drop databases of ours that exist; which those were."""
    dropped = []
    with maintenance(url) as connection:
        for name in unwanted:
            if exists(connection, name):
                _execute(connection, _drop_statement(name))
                dropped.append(name)
    return dropped


def set_aside(url: DatabaseUrl, attempts: Iterable[str]) -> list[str]:
    """The databases that ways back of these attempts moved tables into."""
    found = []
    with maintenance(url) as connection:
        for attempt in attempts:
            number = 1
            while exists(connection, aside_name(url.name, attempt, number)):
                found.append(aside_name(url.name, attempt, number))
                number += 1
    return found


def take_place(url: DatabaseUrl, replacement: str, attempt: str) -> str:
    """Move a replacement's tables into the database in place of its own; the database that has those from then on.

    A run that was killed in between leaves an empty database of the name, which is used, or the replacement without
    tables, which the next one drops.
    """
    with maintenance(url) as connection:
        aside = _free(connection, url.name, attempt)
        views = {view: _definition(connection, replacement, view) for view in _tables(connection, replacement, "VIEW")}
        moves = [(url.name, aside, table) for table in _tables(connection, url.name)]
        moves += [(replacement, url.name, table) for table in _tables(connection, replacement)]
        for view in _tables(connection, url.name, "VIEW"):
            _execute(connection, f"DROP VIEW {_within(url.name, view)}")
        listed = ", ".join(f"{_within(source, table)} TO {_within(target, table)}" for source, target, table in moves)
        _execute(connection, f"RENAME TABLE {listed}")
        _execute(connection, f"USE {quoted(url.name)}")
        for definition in views.values():
            _execute(connection, definition)
        _execute(connection, _drop_statement(replacement))
    return aside


def _free(connection: Any, name: str, attempt: str) -> str:
    """An empty database under the first name that has no tables yet."""
    number = 1
    while _tables(connection, aside_name(name, attempt, number)):
        number += 1
    aside = aside_name(name, attempt, number)
    if not exists(connection, aside):
        _make(connection, name, aside)
    return aside


def _make(connection: Any, like: str, name: str) -> None:
    row = connection.execute(
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata "
        "WHERE schema_name = %s",
        (like,),
    ).fetchone()
    if row is None:
        raise _mysql.MysqlError(f"there is no database {like}; check the server's database URL.")
    _execute(connection, f"CREATE DATABASE {quoted(name)} CHARACTER SET {row[0]} COLLATE {row[1]}")


def _tables(connection: Any, database: str, kind: str = "BASE TABLE") -> list[str]:
    query = (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = %s "
        "ORDER BY table_name"
    )
    return [row[0] for row in connection.execute(query, (database, kind))]


def _definition(connection: Any, database: str, view: str) -> str:
    """The statement that makes a view; MySQL leaves the name of the session's own database out of it."""
    _execute(connection, f"USE {quoted(database)}")
    return str(connection.execute(f"SHOW CREATE VIEW {quoted(view)}").fetchone()[1])


def _execute(connection: Any, statement: str) -> None:
    try:
        connection.execute(statement)
    except _mysql.MysqlError as error:
        begin = " ".join(statement.split()[:3])
        raise _mysql.MysqlError(
            f"`{begin} ...` was refused: {error}; end what uses that database, or give the user the right to it, then "
            "run again."
        ) from None


def _drop_statement(name: str) -> str:
    return f"DROP DATABASE IF EXISTS {quoted(name)}"


def _within(database: str, name: str) -> str:
    return f"{quoted(database)}.{quoted(name)}"
