# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An external PostgreSQL, as a kind of external database."""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _postgres, _scratch_database
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._external_kind import Kind
from ansible_collections.fleetops.gpustack.plugins.module_utils._postgresql_tools import PostgresqlTools

_FETCH = 5000


class Postgresql(Kind):
    """PostgreSQL, which upgrades a schema in one transaction and gives databases other names."""

    tools = PostgresqlTools

    def connect(self, url: DatabaseUrl) -> Any:
        return _postgres.connect_external(url)

    def require_maintenance(self, url: DatabaseUrl) -> None:
        with _scratch_database.maintenance(url):
            pass

    def facts(self, connection: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(connection.execute(_postgres.FACTS).fetchone()[0])
        return found

    def columns(self, connection: Any) -> dict[str, dict[str, str]]:
        tables: dict[str, dict[str, str]] = json.loads(connection.execute(_postgres.COLUMNS).fetchone()[0] or "{}")
        return tables

    def rows(self, connection: Any, table: str, columns: Mapping[str, str]) -> Iterator[str]:
        query = f"SELECT row_to_json(t)::text FROM {_scratch_database.quoted(table)} t"
        with connection.cursor(name="fleetops_gpustack_rows") as cursor:
            cursor.execute(query)
            while True:
                rows = cursor.fetchmany(_FETCH)
                if not rows:
                    return
                for row in rows:
                    yield row[0]

    def schema(self, connection: Any, head: str | None) -> str | None:
        return head

    def tools_needed(self, facts: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
        major = facts["version_number"] // 10000
        return (major,), f"postgres:{major}"

    def scratch_name(self, url: DatabaseUrl, attempt: str) -> str:
        return _scratch_database.scratch_name(attempt)

    def make_like(self, url: DatabaseUrl, name: str) -> DatabaseUrl:
        return _scratch_database.make_like(url, name)

    def drop(self, url: DatabaseUrl, *names: str) -> list[str]:
        return _scratch_database.drop(url, *names)

    def set_aside(self, url: DatabaseUrl, attempts: Iterable[str]) -> list[str]:
        return _scratch_database.set_aside(url, attempts)

    def take_place(self, url: DatabaseUrl, replacement: str, attempt: str) -> str:
        return _scratch_database.take_place(url, replacement, attempt)
