# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to an external MySQL: for reading, and to make databases.

A connection answers like one of psycopg, as far as this collection uses that: SQL with quoted names (`ANSI_QUOTES`),
JSON parsed, truth values as such, times without a zone as GPUStack has them.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from typing import Any, Iterator, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _libraries
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._server_database_error import ServerDatabaseError

CONNECT_SECONDS = 10
#: One statement here reads a batch of rows or makes a database; longer means that something holds it up.
STATEMENT_SECONDS = 60
LOCK_SECONDS = 10

#: A session that sees one moment per transaction. It keeps the server's time zone, as GPUStack's own do: they write UTC
#: without saying so, and only in the same zone is it UTC that is read.
SESSION = (
    "SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'ANSI_QUOTES')",
    f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
)
READ_ONLY = "SET SESSION TRANSACTION READ ONLY"
#: MySQL alone has it; others are to be refused by their name (_external_mysql_rules), not to fail of this.
FRESH_STATISTICS = "SET SESSION information_schema_stats_expiry = 0"
MARIADB = "mariadb"

#: One JSON object: what an upgrade in place needs to know of the server, the database and the user's rights.
FACTS = """
SELECT JSON_OBJECT(
    'kind', 'mysql',
    'server_version', VERSION(),
    'size', (SELECT CAST(coalesce(sum(data_length + index_length), 0) AS SIGNED) FROM information_schema.tables
             WHERE table_schema = DATABASE()),
    'name', DATABASE(),
    'charset', s.default_character_set_name,
    'collation', s.default_collation_name,
    'other_engines', (SELECT JSON_ARRAYAGG(table_name) FROM information_schema.tables
                      WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'),
    'triggers', (SELECT JSON_ARRAYAGG(trigger_name) FROM information_schema.triggers
                 WHERE trigger_schema = DATABASE()),
    'global_rights', (SELECT JSON_ARRAYAGG(privilege_type) FROM information_schema.user_privileges
                      WHERE grantee = me.grantee),
    'rights', (SELECT JSON_ARRAYAGG(JSON_ARRAY(table_schema, privilege_type)) FROM information_schema.schema_privileges
               WHERE grantee = me.grantee)
)
FROM information_schema.schemata s, (
    SELECT concat('''',
                  substring(CURRENT_USER(), 1, char_length(CURRENT_USER()) - locate('@', reverse(CURRENT_USER()))),
                  '''@''', substring_index(CURRENT_USER(), '@', -1), '''') AS grantee
) me
WHERE s.schema_name = DATABASE()
"""
#: Table, column, type as declared; in their order. Views are left out.
COLUMNS = """
SELECT c.table_name, c.column_name, c.column_type FROM information_schema.columns c
JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' ORDER BY c.table_name, c.ordinal_position
"""
TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' "
    "ORDER BY table_name"
)
#: MySQL's types, without their lengths, by PostgreSQL's names for the same.
_TYPES = {
    "tinyint(1)": "boolean",
    "smallint": "smallint",
    "int": "integer",
    "bigint": "bigint",
    "float": "real",
    "double": "double precision",
    "json": "json",
    "date": "date",
    "datetime": "timestamp without time zone",
    "timestamp": "timestamp without time zone",
}
#: What PyMySQL says of a server without TLS (CR_SSL_CONNECTION_ERROR).
_NO_TLS = 2026
#: Where a table's next number stands; it says nothing of the rows.
_NEXT_NUMBER = re.compile(r" AUTO_INCREMENT=\d+")


class MysqlError(ServerDatabaseError):
    """MySQL refused or does not answer."""


class Column(NamedTuple):
    """A column of a result."""

    name: str


def driver() -> Any:
    """PyMySQL, imported only where a server's rows are in MySQL."""
    try:
        import pymysql
    except ImportError as error:
        raise MysqlError(
            f"PyMySQL cannot be imported ({error}); prepare the host first (fleetops.gpustack.node with "
            f"state=prepared), or install {_libraries.PYMYSQL.specifier} for this Python."
        ) from None
    version = _libraries.version_of(pymysql)
    if not _libraries.PYMYSQL.accepts(version):
        raise MysqlError(
            f"PyMySQL {version} is too old; prepare the host first (fleetops.gpustack.node with "
            f"state=prepared), or install {_libraries.PYMYSQL.specifier} for this Python."
        )
    return pymysql


class Cursor:
    """A result, whose columns have names like psycopg's."""

    def __init__(self, cursor: Any, explain: Any) -> None:
        self._cursor = cursor
        self._explain = explain

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_error: object) -> None:
        with self._explain():
            self._cursor.close()

    def execute(self, query: str, params: Sequence[Any] | None = None) -> Cursor:
        """Run a query."""
        with self._explain():
            self._cursor.execute(query, params)
        return self

    @property
    def description(self) -> list[Column]:
        """The columns."""
        return [Column(each[0]) for each in self._cursor.description]

    def fetchone(self) -> Any:
        """The next row, or None."""
        with self._explain():
            return self._cursor.fetchone()

    def fetchmany(self, size: int) -> list[Any]:
        """The next rows; none at the end."""
        with self._explain():
            return list(self._cursor.fetchmany(size))

    def __iter__(self) -> Iterator[Any]:
        while True:
            row = self.fetchone()
            if row is None:
                return
            yield row


class _Explained:
    """Whatever PyMySQL raises as ours, without the password."""

    def __init__(self, errors: tuple[type[BaseException], ...], password: str) -> None:
        self._errors = errors
        self._password = password

    def __call__(self) -> _Explained:
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if error is not None and isinstance(error, self._errors):
            raise MysqlError(explain(error, self._password)) from None


class Connection:
    """What this collection uses of psycopg's connection, of a MySQL."""

    Error = MysqlError

    def __init__(self, connection: Any, explained: _Explained) -> None:
        self._connection = connection
        self._explained = explained

    def execute(self, query: str, params: Sequence[Any] | None = None) -> Cursor:
        """Run a query; its whole result is here then."""
        return Cursor(self._connection.cursor(), self._explained).execute(query, params)

    def cursor(self, name: str = "", binary: bool = False) -> Cursor:
        """A cursor whose rows come as they are fetched. It takes psycopg's arguments, which mean nothing here."""
        del name, binary
        return Cursor(self._connection.cursor(driver().cursors.SSCursor), self._explained)

    def rollback(self) -> None:
        """End the transaction."""
        with self._explained():
            self._connection.rollback()

    def close(self) -> None:
        """End the session."""
        self._connection.close()


def connect_external(url: DatabaseUrl) -> Connection:
    """A connection in which every transaction is read-only and sees one moment."""
    return _connected(url, url.name, autocommit=False, statements=(*SESSION, READ_ONLY))


def connect_to_change(url: DatabaseUrl) -> Connection:
    """A connection to no database, that commits every statement by itself, to make, empty and drop databases."""
    return _connected(url, None, autocommit=True, statements=SESSION)


def _connected(url: DatabaseUrl, name: str | None, autocommit: bool, statements: Sequence[str]) -> Connection:
    pymysql = driver()
    explained = _Explained((pymysql.Error, OSError, RuntimeError), url.password)
    try:
        connection = _opened(
            pymysql,
            host=url.host,
            port=url.port,
            user=url.user,
            password=url.password,
            database=name,
            charset="utf8mb4",
            autocommit=autocommit,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=STATEMENT_SECONDS if not autocommit else None,
            conv=_decoders(pymysql),
        )
        with connection.cursor() as cursor:
            if MARIADB not in connection.get_server_info().lower():
                cursor.execute(FRESH_STATISTICS)
            for statement in statements:
                cursor.execute(statement)
    # RuntimeError: a password of caching_sha2_password without TLS wants a further library.
    except (pymysql.Error, OSError, RuntimeError) as error:
        raise MysqlError(
            f"MySQL at {url.host}:{url.port} does not let {url.user} into {url.name}: "
            f"{explain(error, url.password)}; check that it runs, lets this host in, and speaks TLS."
        ) from None
    return Connection(connection, explained)


def _opened(pymysql: Any, **parameters: Any) -> Any:
    """A connection by TLS where the server has it. PyMySQL before 1.2 does so by itself when it has a context."""
    try:
        return pymysql.connect(**parameters, ssl=_unverified())
    except pymysql.OperationalError as error:
        if error.args[0] != _NO_TLS:
            raise
        return pymysql.connect(**parameters, ssl_disabled=True)


def _unverified() -> ssl.SSLContext:
    """TLS without asking an authority, which the URL names none of."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _decoders(pymysql: Any) -> dict[Any, Any]:
    types = pymysql.constants.FIELD_TYPE
    # GPUStack has no other small numbers than truth values (SQLAlchemy writes them as tinyint(1)).
    return {**pymysql.converters.conversions, types.JSON: json.loads, types.TINY: _truth}


def _truth(text: str) -> bool:
    return bool(int(text))


def explain(error: BaseException, password: str = "") -> str:
    """One line of what MySQL or its driver said, without the password."""
    said = error.args[1] if len(error.args) > 1 else error
    text = " ".join(str(said).split())
    return text.replace(password, "********") if password else text


def kind_of(column_type: str) -> str:
    """A column's type by PostgreSQL's name for it; whatever is none of numbers, times and JSON is text."""
    declared = column_type.lower()
    return _TYPES.get(declared) or _TYPES.get(re.split(r"[ (]", declared, maxsplit=1)[0]) or "text"


def grouped(rows: Sequence[Sequence[str]]) -> dict[str, dict[str, str]]:
    """Per table its columns with their types, of the rows of `COLUMNS`."""
    tables: dict[str, dict[str, str]] = {}
    for table, column, column_type in rows:
        tables.setdefault(table, {})[column] = kind_of(column_type)
    return tables


def schema(connection: Connection, head: str | None) -> str:
    """Tells one schema from another. MySQL commits every change of one by itself, so the revision is not enough."""
    names = [row[0] for row in connection.execute(TABLES)]
    definitions = [str(connection.execute(f'SHOW CREATE TABLE "{name}"').fetchone()[1]) for name in names]
    text = "\0".join([str(head), *(_NEXT_NUMBER.sub("", definition) for definition in definitions)])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
