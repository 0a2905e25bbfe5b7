# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the embedded PostgreSQL of a v2 server; for reading only."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _libraries

DATABASE = "gpustack"
USER = "root"
PORT = 5432
#: Written by every v2 image: the password of ``root`` for addresses that are not loopback (loopback is trusted).
PASSWORD_FILE = "postgres_root_pass"

CONNECT_SECONDS = 10
#: One statement here reads a batch of rows; a minute means that something holds it up.
STATEMENT_MILLISECONDS = 60000
LOCK_MILLISECONDS = 10000

_OPTIONS = (
    "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read "
    f"-c timezone=UTC -c datestyle=ISO "
    f"-c statement_timeout={STATEMENT_MILLISECONDS} -c lock_timeout={LOCK_MILLISECONDS}"
)


class PostgresError(Exception):
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
    psycopg = driver()
    password = _password(data_dir)
    try:
        return psycopg.connect(
            host=host,
            port=port,
            user=USER,
            dbname=DATABASE,
            password=password,
            sslmode="disable",
            connect_timeout=CONNECT_SECONDS,
            client_encoding="utf8",
            application_name="fleetops.gpustack",
            options=_OPTIONS,
        )
    except psycopg.Error as error:
        raise PostgresError(
            f"PostgreSQL at {host}:{port} does not let {USER} into database {DATABASE}: {explain(error, password)}; "
            "check that the v2 server runs and that this is its address."
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
