# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases of our own beside an external one: made, dropped, and put in its place.

Every name ends in the attempt's, so that what is dropped is provably ours.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterable, Iterator

from ansible_collections.fleetops.gpustack.plugins.module_utils import _postgres
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl

#: Databases to be connected to while others are made or renamed; every server has one of them.
_MAINTENANCE = ("postgres", "template1")
#: PostgreSQL cuts longer names off (NAMEDATALEN - 1).
_LONGEST = 63


def scratch_name(attempt: str) -> str:
    """The database that a dump is tried in."""
    return f"gpustack_scratch_{attempt.lower()}"


def restored_name(name: str, attempt: str) -> str:
    """The database that a dump is restored into before it takes the old name."""
    return with_suffix(name, f"_restored_{attempt.lower()}")


def aside_name(name: str, attempt: str, number: int = 1) -> str:
    """What the database that v2 upgraded is called once another has its name."""
    return with_suffix(name, f"_v2_{attempt.lower()}" + (f"_{number}" if number > 1 else ""))


def with_suffix(name: str, suffix: str) -> str:
    """A name with a suffix, cut so that the suffix stays whole. MySQL takes one letter more (64)."""
    return name.encode("utf-8")[: _LONGEST - len(suffix)].decode("utf-8", "ignore") + suffix


@contextlib.contextmanager
def maintenance(url: DatabaseUrl) -> Iterator[Any]:
    """A connection to none of the databases that are made, renamed or dropped."""
    refused: _postgres.PostgresError | None = None
    for name in _MAINTENANCE:
        try:
            connection = _postgres.connect_to_change(url.named(name))
        except _postgres.PostgresError as error:
            refused = error
            continue
        with contextlib.closing(connection):
            yield connection
        return
    raise _postgres.PostgresError(
        f"{refused} To make databases beside {url.name}, the role {url.user} has to connect to one of "
        f"{', '.join(_MAINTENANCE)}: GRANT CONNECT ON DATABASE postgres TO {quoted(url.user)};"
    )


def exists(connection: Any, name: str) -> bool:
    """Whether there is such a database."""
    return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def make_like(url: DatabaseUrl, name: str) -> DatabaseUrl:
    """A new, empty database of the same encoding and collation; one of that name, ours, is dropped before."""
    with maintenance(url) as connection:
        row = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = %s",
            (url.name,),
        ).fetchone()
        if row is None:
            raise _postgres.PostgresError(f"there is no database {url.address}; check the server's database URL.")
        encoding, collate, ctype = (_literal(value) for value in row)
        _execute(connection, _drop_statement(name))
        _execute(
            connection,
            f"CREATE DATABASE {quoted(name)} TEMPLATE template0 "
            f"ENCODING {encoding} LC_COLLATE {collate} LC_CTYPE {ctype}",
        )
    return url.named(name)


def drop(url: DatabaseUrl, *names: str) -> list[str]:
    """Drop databases of ours that exist; which those were."""
    dropped = []
    with maintenance(url) as connection:
        for name in names:
            if exists(connection, name):
                _execute(connection, _drop_statement(name))
                dropped.append(name)
    return dropped


def set_aside(url: DatabaseUrl, attempts: Iterable[str]) -> list[str]:
    """The databases that ways back of these attempts took the name from."""
    found = []
    with maintenance(url) as connection:
        for attempt in attempts:
            number = 1
            while exists(connection, aside_name(url.name, attempt, number)):
                found.append(aside_name(url.name, attempt, number))
                number += 1
    return found


def take_place(url: DatabaseUrl, replacement: str, attempt: str) -> str:
    """Give a replacement the database's name, in one transaction; the name under which the old one is kept."""
    with maintenance(url) as connection:
        number = 1
        while exists(connection, aside_name(url.name, attempt, number)):
            number += 1
        name = aside_name(url.name, attempt, number)
        _end_sessions(connection, url.name, replacement)
        with connection.transaction():
            _execute(connection, f"ALTER DATABASE {quoted(url.name)} RENAME TO {quoted(name)}")
            _execute(connection, f"ALTER DATABASE {quoted(replacement)} RENAME TO {quoted(url.name)}")
    return name


def _end_sessions(connection: Any, *names: str) -> None:
    """A database is renamed only while nobody is connected; what may be connected is the role's own."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND usename = current_user",
        (list(names),),
    )


def _execute(connection: Any, statement: str) -> None:
    driver = _postgres.driver()
    try:
        connection.execute(statement)
    except driver.Error as error:
        raise _postgres.PostgresError(
            f"`{statement}` was refused: {_postgres.explain(error)}; end what is connected to that database, or give "
            "the role the right to it, then run again."
        ) from None


def _drop_statement(name: str) -> str:
    return f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)"


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
