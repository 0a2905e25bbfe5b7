# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to a server's PostgreSQL: embedded or external for reading, and to make databases."""

from __future__ import annotations

import os
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _libraries
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._server_database_error import ServerDatabaseError

DATABASE = "gpustack"
USER = "root"
PORT = 5432
#: Written by every v2 image: the password of ``root`` for addresses that are not loopback (loopback is trusted).
PASSWORD_FILE = "postgres_root_pass"

CONNECT_SECONDS = 10
#: One statement here reads a batch of rows; a minute means that something holds it up.
STATEMENT_MILLISECONDS = 60000
LOCK_MILLISECONDS = 10000

APPLICATION = "fleetops.gpustack"
#: A session that cannot write, and that holds nobody up for long.
SETTINGS = {
    "default_transaction_read_only": "on",
    "timezone": "UTC",
    "datestyle": "ISO",
    "statement_timeout": str(STATEMENT_MILLISECONDS),
    "lock_timeout": str(LOCK_MILLISECONDS),
}
_OPTIONS = " ".join(
    ["-c default_transaction_isolation=repeatable\\ read", *(f"-c {name}={value}" for name, value in SETTINGS.items())]
)

#: One JSON object: what an upgrade in place needs to know of the server, the database and the role's rights.
FACTS = """
SELECT json_build_object(
    'server_version', current_setting('server_version'),
    'version_number', current_setting('server_version_num')::int,
    'size', pg_database_size(current_database()),
    'encoding', pg_encoding_to_char(d.encoding),
    'collate', d.datcollate,
    'ctype', d.datctype,
    'provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
    'schema', current_schema(),
    'may_create', r.rolcreatedb OR r.rolsuper,
    'owns', r.rolsuper OR pg_has_role(d.datdba, 'USAGE')
)::text
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user
"""
#: One JSON object: per table of the schema its columns with their types, in order.
COLUMNS = """
SELECT json_object_agg(t.name, t.columns)::text FROM (
    SELECT c.relname AS name, json_object_agg(a.attname, format_type(a.atttypid, NULL) ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY c.relname
) t
"""


class PostgresError(ServerDatabaseError):
    """The database cannot be read; the message says where it was looked for, why, and what to do."""


def driver() -> Any:
    """psycopg, imported only where rows of a v2 server are read."""
    try:
        import psycopg
    except ImportError as error:
        raise PostgresError(
            f"psycopg cannot be imported ({error}); prepare the host first "
            f"(fleetops.gpustack.node with state=prepared), or install {_libraries.PSYCOPG.specifier} for this Python."
        ) from None
    if not _libraries.PSYCOPG.accepts(psycopg.__version__):
        raise PostgresError(
            f"psycopg {psycopg.__version__} is too old; prepare the host first "
            f"(fleetops.gpustack.node with state=prepared), or install {_libraries.PSYCOPG.specifier} for this Python."
        )
    return psycopg


def connect(data_dir: str, host: str = "127.0.0.1", port: int = PORT) -> Any:
    """A connection in which every transaction is read-only and sees one moment."""
    password = _password(data_dir)
    at = {"host": host, "port": port, "user": USER, "dbname": DATABASE, "password": password, "sslmode": "disable"}
    return _connected(at, "check that the v2 server runs and that this is its address", options=_OPTIONS)


def connect_external(url: DatabaseUrl) -> Any:
    """The same to an external database."""
    return _connected(_parts(url), "check that it runs and lets this host in", options=_OPTIONS)


def connect_to_change(url: DatabaseUrl) -> Any:
    """A connection that commits every statement by itself, to make, rename and drop databases."""
    return _connected(_parts(url), "check that it runs and lets this host in", autocommit=True)


def _parts(url: DatabaseUrl) -> dict[str, Any]:
    return {
        "host": url.host,
        "port": url.port,
        "user": url.user,
        "dbname": url.name,
        "password": url.password or None,
        "sslmode": url.ssl_mode,
    }


def _connected(at: Mapping[str, Any], way_out: str, **how: Any) -> Any:
    psycopg = driver()
    try:
        return psycopg.connect(
            **at, connect_timeout=CONNECT_SECONDS, client_encoding="utf8", application_name=APPLICATION, **how
        )
    except psycopg.Error as error:
        raise PostgresError(
            f"PostgreSQL at {at['host']}:{at['port']} does not let {at['user']} into database {at['dbname']}: "
            f"{explain(error, at['password'])}; {way_out}."
        ) from None


def explain(error: BaseException, password: str | None = None) -> str:
    """One line of what PostgreSQL said, without the values of rows (``DETAIL``) and without the password."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    text = " ".join(str(primary or error).split())
    return text.replace(password, "********") if password else text


def _password(data_dir: str) -> str | None:
    path = os.path.join(data_dir, PASSWORD_FILE)
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PostgresError(f"{path} cannot be read: {error.strerror or error}; run as root.") from error
