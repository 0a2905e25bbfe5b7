# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An external database of a legacy server: looked at, dumped, the dump restored once, its rows kept to compare."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _database_url,
    _external_rules,
    _releases,
    _rows_image,
    _scratch_database,
    _snapshot,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_tools import DUMP, Images, Tools
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine
from ansible_collections.fleetops.gpustack.plugins.module_utils._external_kind import Kind
from ansible_collections.fleetops.gpustack.plugins.module_utils._external_mysql import Mysql
from ansible_collections.fleetops.gpustack.plugins.module_utils._external_postgresql import Postgresql
from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import Release

EXTERNAL = "external"
VERSION_TABLE = "alembic_version"
_KINDS: dict[str, Kind] = {_database_url.POSTGRESQL: Postgresql(), _database_url.MYSQL: Mysql()}


def kind_of(url: DatabaseUrl) -> Kind:
    """What is particular to a database's kind."""
    return _KINDS[url.kind]


def connect(url: DatabaseUrl) -> Any:
    """A connection in which every transaction is read-only and sees one moment; close it."""
    return kind_of(url).connect(url)


def is_external(record: Mapping[str, Any]) -> bool:
    """Whether a container's server keeps its rows in an external database."""
    facts = describe(record).facts["server"]
    return facts is not None and bool(facts["database"]["kind"] == EXTERNAL)


def url_of(record: Mapping[str, Any]) -> DatabaseUrl:
    """The external database of a container's server."""
    try:
        return _database_url.parse(str(describe(record).settings.get("database_url")))
    except _database_url.DatabaseUrlError as error:
        raise SwitchError(f"Container {record['Name'].lstrip('/')}: {error}.") from None


def require(record: Mapping[str, Any], release: str, deeply: bool) -> None:
    """A server's external database can be upgraded in place; ``deeply`` asks it, for which its library is needed."""
    url = url_of(record)
    if deeply:
        require_usable(url, _releases.find(release, allow_unproven=True))


def facts_of(url: DatabaseUrl) -> dict[str, Any]:
    """What the database says of itself and of the role's rights."""
    with contextlib.closing(connect(url)) as connection:
        return kind_of(url).facts(connection)


def require_usable(url: DatabaseUrl, release: Release) -> dict[str, Any]:
    """What the database says of itself; anything that speaks against an upgrade in place is an error."""
    facts = facts_of(url)
    found = [f"{each.cause} ({each.way_out})" for each in _external_rules.obstacles(facts, release)]
    if found:
        raise SwitchError(f"The external database {url.address} cannot be upgraded in place: {'; '.join(found)}.")
    kind_of(url).require_maintenance(url)
    return facts


def require_tools(tools: Tools, url: DatabaseUrl, facts: Mapping[str, Any], image: str) -> None:
    """The programs of neither kind dump a server that is newer than they are."""
    have, (need, example) = tools.version(), kind_of(url).tools_needed(facts)
    if have < need:
        raise SwitchError(
            f"The programs in image {image} are of version {_dotted(have)}, and the external database of "
            f"{_dotted(need)}; name an image with programs of that version or newer in gpustack_database_tools_image "
            f"(such as {example}), present on this host."
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)


def tools_for(
    engine: Engine, params: Mapping[str, Any], images: Images, record: Mapping[str, Any], run_id: str
) -> Tools:
    """The database's programs in the network of a server's container."""
    make = kind_of(url_of(record)).tools
    return make(engine, images, record["HostConfig"]["NetworkMode"], run_id, params["state_dir"])


def schema_head(connection: Any) -> str | None:
    """The Alembic revision; several, joined, when the table holds more than one."""
    heads = sorted(row[0] for row in connection.execute(f"SELECT version_num FROM {VERSION_TABLE}"))
    return ",".join(heads) or None


def live_head(url: DatabaseUrl) -> str | None:
    """The Alembic revision of a database; None where there is no such table."""
    with contextlib.closing(connect(url)) as connection:
        return _head(kind_of(url), connection)


def _head(kind: Kind, connection: Any) -> str | None:
    return schema_head(connection) if VERSION_TABLE in kind.columns(connection) else None


def schema(url: DatabaseUrl) -> str | None:
    """Tells whether a schema upgrade has changed anything, also one that failed half-way."""
    kind = kind_of(url)
    with contextlib.closing(connect(url)) as connection:
        return kind.schema(connection, _head(kind, connection))


def counts(url: DatabaseUrl) -> dict[str, int]:
    """Rows per table."""
    with contextlib.closing(connect(url)) as connection:
        tables = sorted(set(kind_of(url).columns(connection)) - {VERSION_TABLE})
        return {table: _count(connection, table) for table in tables}


def _count(connection: Any, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {_scratch_database.quoted(table)}").fetchone()[0])


@contextlib.contextmanager
def restored_once(tools: Tools, url: DatabaseUrl, directory: str, size: int, attempt: str) -> Iterator[DatabaseUrl]:
    """A scratch database with what a directory's dump holds; it is gone afterwards."""
    kind = kind_of(url)
    scratch = kind.make_like(url, kind.scratch_name(url, attempt))
    try:
        tools.restore(scratch, directory, size)
        yield scratch
    finally:
        kind.drop(url, scratch.name)


def keep_rows(url: DatabaseUrl, path: str) -> _snapshot.RecoveredFacts:
    """Write every row of a database into a new SQLite file, for the comparison; what it holds."""
    _snapshot.make_backup_dir(os.path.dirname(path))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    found: dict[str, int] = {}
    kind = kind_of(url)
    with contextlib.closing(connect(url)) as connection:
        with contextlib.closing(_rows_image.database(path)) as image:
            image.execute("PRAGMA synchronous = OFF")
            for name, columns in kind.columns(connection).items():
                rows = kind.rows(connection, name, columns)
                found[name] = _rows_image.add(image, _rows_image.Table(name, columns), rows)
        head = schema_head(connection)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    found.pop(VERSION_TABLE, None)
    return _snapshot.RecoveredFacts("ok", 0, head, found, os.stat(path).st_size)


def require_equal(url: DatabaseUrl, restored: _snapshot.RecoveredFacts, restored_schema: str | None) -> None:
    """The restored dump has the schema and, table by table, the rows of the database that it was made of."""
    differ = []
    head = live_head(url)
    if head != restored.schema_head:
        differ.append(f"schema head {restored.schema_head}, not {head}")
    elif schema(url) != restored_schema:
        differ.append("its tables are defined in another way")
    now = counts(url)
    for table in sorted({*now, *restored.counts}):
        if now.get(table) != restored.counts.get(table):
            differ.append(f"{table} has {restored.counts.get(table)} rows, not {now.get(table)}")
    if differ:
        raise SwitchError(
            f"The dump, restored once, is not the database {url.address}: {'; '.join(differ)}. Something beside this "
            "server writes there; stop it and run again."
        )


def bring_back(tools: Tools, url: DatabaseUrl, attempt: Attempt, manifest: Mapping[str, Any]) -> str:
    """Restore the dump into a fresh database, prove it, and give it the old name; what v2's is called from then on."""
    saved, kind = manifest["database"], kind_of(url)
    fresh = kind.make_like(url, _scratch_database.restored_name(url.name, attempt.name))
    tools.restore(fresh, attempt.backup, manifest["external"]["size"])
    found, head = counts(fresh), live_head(fresh)
    if found != saved["counts"] or head != saved["schema_head"]:
        raise SwitchError(
            f"The dump {os.path.join(attempt.backup, DUMP)}, restored as {fresh.name}, lacks rows of the manifest, or "
            f"has others. Database {url.name} was left as v2 made it; use another copy of the backup "
            "(gpustack_backup_fetch_dir)."
        )
    return kind.take_place(url, fresh.name, attempt.name)


def drop(url: DatabaseUrl, *names: str) -> list[str]:
    """Drop databases of ours beside it that exist; which those were."""
    return kind_of(url).drop(url, *names)


def set_aside(url: DatabaseUrl, attempts: Iterable[str]) -> list[str]:
    """The databases beside it in which ways back of these attempts kept what v2 had made."""
    return kind_of(url).set_aside(url, attempts)
