# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An external MySQL, as a kind of external database."""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _external_mysql_rules, _mysql, _scratch_mysql
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._external_kind import Kind
from ansible_collections.fleetops.gpustack.plugins.module_utils._mysql_tools import MysqlTools
from ansible_collections.fleetops.gpustack.plugins.module_utils._scratch_database import quoted

_FETCH = 5000


class Mysql(Kind):
    """MySQL, which commits every change of a schema by itself and moves tables between databases."""

    tools = MysqlTools

    def connect(self, url: DatabaseUrl) -> Any:
        return _mysql.connect_external(url)

    def require_maintenance(self, url: DatabaseUrl) -> None:
        with _scratch_mysql.maintenance(url):
            pass

    def facts(self, connection: Any) -> dict[str, Any]:
        found: dict[str, Any] = connection.execute(_mysql.FACTS).fetchone()[0]
        return found

    def columns(self, connection: Any) -> dict[str, dict[str, str]]:
        return _mysql.grouped(list(connection.execute(_mysql.COLUMNS)))

    def rows(self, connection: Any, table: str, columns: Mapping[str, str]) -> Iterator[str]:
        listed = ", ".join(quoted(column) for column in columns)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {listed} FROM {quoted(table)}")
            while True:
                rows = cursor.fetchmany(_FETCH)
                if not rows:
                    return
                for row in rows:
                    yield json.dumps(dict(zip(columns, row)), default=str)

    def schema(self, connection: Any, head: str | None) -> str | None:
        return _mysql.schema(connection, head)

    def tools_needed(self, facts: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
        version = _external_mysql_rules.version_number(str(facts["server_version"]))[:2]
        return version, "mysql:{}.{}".format(*version)

    def scratch_name(self, url: DatabaseUrl, attempt: str) -> str:
        return _scratch_mysql.scratch_name(url.name, attempt)

    def make_like(self, url: DatabaseUrl, name: str) -> DatabaseUrl:
        return _scratch_mysql.make_like(url, name)

    def drop(self, url: DatabaseUrl, *names: str) -> list[str]:
        return _scratch_mysql.drop(url, *names)

    def set_aside(self, url: DatabaseUrl, attempts: Iterable[str]) -> list[str]:
        return _scratch_mysql.set_aside(url, attempts)

    def take_place(self, url: DatabaseUrl, replacement: str, attempt: str) -> str:
        return _scratch_mysql.take_place(url, replacement, attempt)
