# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a legacy server's external database is, read through the server's own container: nothing is written.

The container has the driver, the name resolution and the network that the server itself uses, so that the host needs
neither a library nor a way to the database for this.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _database_url,
    _docker_exec,
    _mysql,
    _postgres,
    _releases,
    _rows_image,
    _sqlite_reader,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError

SECONDS = 60.0
#: Only these tables' rows are looked at; of the others, which can be large, the rows are counted.
_READ = ("alembic_version", "workers", "users", "api_keys", "model_files", "models", "model_instances")
#: The interpreter that has GPUStack's own libraries is the one that its command names.
COMMAND = ("sh", "-c", 'exec "$(head -n 1 "$(command -v gpustack)" | cut -c 3-)" -c "$FLEETOPS_SCRIPT"')
_POSTGRESQL_SCRIPT = """
import asyncio, asyncpg, json, os

async def main():
    asked = json.loads(os.environ["FLEETOPS_ASKED"])
    connection = await asyncpg.connect(**asked["connect"], timeout=10, server_settings=asked["settings"])
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = json.loads(await connection.fetchval(asked["facts"]))
        found["tables"] = {}
        for name, columns in json.loads(await connection.fetchval(asked["columns"]) or "{}").items():
            wanted = {column: kind for column, kind in columns.items() if "hashed" not in column}
            listed = ", ".join('"%s"' % column for column in wanted)
            count = await connection.fetchval('SELECT count(*) FROM "%s"' % name)
            table = {"columns": wanted, "count": count, "rows": []}
            if name in asked["read"]:
                query = 'SELECT row_to_json(t)::text FROM (SELECT %s FROM "%s" ORDER BY 1) t' % (listed, name)
                table["rows"] = [row[0] for row in await connection.fetch(query)]
            found["tables"][name] = table
    await connection.close()
    print(json.dumps(found))

try:
    asyncio.run(main())
except Exception as error:
    raise SystemExit("%s: %s" % (type(error).__name__, error))
"""
#: Values that JSON has no form for, times that is, are written as text.
_MYSQL_SCRIPT = """
import json, os, pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions

def main():
    asked = json.loads(os.environ["FLEETOPS_ASKED"])
    connection = pymysql.connect(**asked["connect"], connect_timeout=10, read_timeout=60, charset="utf8mb4",
                                 conv={**conversions, FIELD_TYPE.JSON: json.loads})
    cursor = connection.cursor()

    def rows(query):
        cursor.execute(query)
        return cursor.fetchall()

    if asked["other"] not in connection.get_server_info().lower():
        cursor.execute(asked["fresh"])
    for statement in asked["session"]:
        cursor.execute(statement)
    found = rows(asked["facts"])[0][0]
    found["columns"] = rows(asked["columns"])
    found["tables"] = {}
    for name in dict.fromkeys(row[0] for row in found["columns"]):
        wanted = [row[1] for row in found["columns"] if row[0] == name and "hashed" not in row[1]]
        table = {"wanted": wanted, "count": rows('SELECT count(*) FROM "%s"' % name)[0][0], "rows": []}
        if name in asked["read"]:
            listed = ", ".join('"%s"' % column for column in wanted)
            found_rows = rows('SELECT %s FROM "%s" ORDER BY 1' % (listed, name))
            table["rows"] = [json.dumps(dict(zip(wanted, row)), default=str) for row in found_rows]
        found["tables"][name] = table
    connection.close()
    print(json.dumps(found))

try:
    main()
except Exception as error:
    raise SystemExit("%s: %s" % (type(error).__name__, error))
"""


def evidence(reader: DockerReader, record: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The evidence ``database`` of a legacy server with an external database; never fails."""
    found = dict(_sqlite_reader.empty_evidence(), external=None)
    try:
        target = _database_url.parse(url)
        answer = _asked(reader, record, target)
    except _database_url.DatabaseUrlError as error:
        return dict(found, error=str(error))
    except DockerReaderError as error:
        return dict(found, error=str(error))
    if isinstance(answer, str):
        return dict(found, error=answer)
    tables = answer.pop("tables")
    return {**found, **_contents(tables), "readable": True, "size": answer["size"], "external": answer}


def _asked(reader: DockerReader, record: Mapping[str, Any], target: _database_url.DatabaseUrl) -> dict[str, Any] | str:
    """What the database said, or why it said nothing."""
    name = record["Name"].lstrip("/")
    if not record["State"]["Running"]:
        return f"container {name} does not run, and the external database is read through it; start it"
    script, asked = _question(target)
    environment = {"FLEETOPS_SCRIPT": script, "FLEETOPS_ASKED": json.dumps({**asked, "read": _READ})}
    answer = _docker_exec.run(reader, str(record["Id"]), COMMAND, environment, SECONDS)
    if answer.status == 0:
        found: dict[str, Any] = json.loads(answer.output)
        return _with_types(found)
    said = " ".join((answer.errors or answer.output).split()[-60:])
    if target.password:
        said = said.replace(target.password, "********")
    return (
        f"database {target.address} does not answer from inside container {name}: {said or 'no word'}; check that it "
        "runs and lets this server in"
    )


def _question(target: _database_url.DatabaseUrl) -> tuple[str, dict[str, Any]]:
    """The script that asks this kind of database, and what it is told."""
    connect = {
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "password": target.password,
        "database": target.name,
    }
    if target.kind == _database_url.MYSQL:
        session = (*_mysql.SESSION, _mysql.READ_ONLY)
        return _MYSQL_SCRIPT, {
            "connect": connect,
            "other": _mysql.MARIADB,
            "fresh": _mysql.FRESH_STATISTICS,
            "session": session,
            "facts": _mysql.FACTS,
            "columns": _mysql.COLUMNS,
        }
    return _POSTGRESQL_SCRIPT, {
        "connect": {**connect, "ssl": target.ssl_mode},
        "settings": dict(_postgres.SETTINGS, application_name=_postgres.APPLICATION),
        "facts": _postgres.FACTS,
        "columns": _postgres.COLUMNS,
    }


def _with_types(found: dict[str, Any]) -> dict[str, Any]:
    """An answer in which each table has its columns with their types; MySQL's are named here."""
    for name, columns in _mysql.grouped(found.pop("columns", [])).items():
        table = found["tables"][name]
        table["columns"] = {column: columns[column] for column in table.pop("wanted")}
    return found


def _contents(tables: Mapping[str, Any]) -> dict[str, Any]:
    with contextlib.closing(_rows_image.database(":memory:")) as image:
        for name, table in tables.items():
            _rows_image.add(image, _rows_image.Table(name, table["columns"]), table["rows"])
        contents = _sqlite_reader.contents(image)
    counts = {name: tables[name]["count"] for name in contents["counts"]}
    release = _releases.legacy_release(contents["schema_head"]) if contents["schema_head"] else None
    return {**contents, "counts": counts, "release": release, "integrity": "ok", "integrity_check": None}
