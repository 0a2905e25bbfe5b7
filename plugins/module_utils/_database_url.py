# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The URL of an external database, as GPUStack's `--database-url` takes it. Pure.

Nothing here prints a password: `address` is what messages may name.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

POSTGRESQL, MYSQL = "postgresql", "mysql"
_PORTS = {POSTGRESQL: 5432, MYSQL: 3306}
#: SSL modes of libpq (PostgreSQL's documentation, "SSL Support"); those that verify need files of the host.
_SSL_MODES = ("disable", "allow", "prefer", "require")


class DatabaseUrlError(Exception):
    """The URL is none that this collection can follow; the message says why and what to do."""


class DatabaseUrl(NamedTuple):
    """The parts of a database URL, decoded."""

    kind: str
    host: str
    port: int
    user: str
    password: str
    name: str
    ssl_mode: str

    def named(self, name: str) -> DatabaseUrl:
        """Another database of the same server."""
        return self._replace(name=name)

    @property
    def address(self) -> str:
        """Host, port and database, for messages."""
        return f"{self.host}:{self.port}/{self.name}"

    @property
    def fingerprint(self) -> str:
        """Tells one database from another without saying which; without the password, which may change."""
        text = "\0".join((self.kind, self.host, str(self.port), self.user, self.name))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    @property
    def url(self) -> str:
        """The URL as GPUStack takes it; it holds the password."""
        password = ":" + quote(self.password, safe="") if self.password else ""
        user = quote(self.user, safe="") + password
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{user}@{host}:{self.port}/{quote(self.name, safe='')}"


def kind_of(url: str) -> str:
    """The kind of database: `postgresql`, `mysql`, or another scheme. A driver behind a + says nothing."""
    return url.split("://", 1)[0].split("+", 1)[0].lower()


def parse(url: str) -> DatabaseUrl:
    """The parts of a URL of PostgreSQL or MySQL; another, and one with parts that cannot be followed, is an error."""
    kind = kind_of(url)
    if kind not in _PORTS:
        raise DatabaseUrlError(
            f"the server's database is {kind or 'of an unknown kind'}, and only the dump, rehearsal and way back of "
            "PostgreSQL and MySQL are automated; upgrade this server by upstream's guide after a dump that was "
            "restored once"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS[kind]
    except ValueError:
        raise DatabaseUrlError(_malformed(kind)) from None
    name = unquote(parts.path.lstrip("/"))
    user = unquote(parts.username or "")
    if not host or not name or not user or "," in host or "/" in name:
        raise DatabaseUrlError(_malformed(kind))
    ssl_mode = _ssl_mode(parts.query) if kind == POSTGRESQL else _only_charset(parts.query)
    return DatabaseUrl(kind, host, port, user, unquote(parts.password or ""), name, ssl_mode)


def _malformed(kind: str) -> str:
    return (
        f"the database URL is not of the form {kind}://user:password@host:port/database with one host and a name "
        "of a database; write it so (special characters percent-encoded)"
    )


def _ssl_mode(query: str) -> str:
    options = dict(parse_qsl(query, keep_blank_values=True))
    mode = options.pop("sslmode", options.pop("ssl", "prefer"))
    if options or mode not in _SSL_MODES:
        named = ", ".join(sorted(options)) or "sslmode"
        raise DatabaseUrlError(
            f"the database URL has options that this collection cannot follow ({named}); v2 drops all options but the "
            f"search path. Only sslmode may be there, as one of {', '.join(_SSL_MODES)}"
        )
    return mode


def _only_charset(query: str) -> str:
    """MySQL's options go to two drivers of GPUStack's; the character set is the one that both have."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    if options.pop("charset", "utf8mb4") != "utf8mb4" or options:
        named = ", ".join(sorted(options)) or "charset"
        raise DatabaseUrlError(
            f"the database URL has options that this collection cannot follow ({named}); only charset=utf8mb4 may be "
            "there"
        )
    return "prefer"
