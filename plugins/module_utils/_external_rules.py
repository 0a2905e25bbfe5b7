# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against upgrading an external database in place, from what it says of itself. Pure.

The rules for MySQL are in `_external_mysql_rules.py`.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _database_url, _external_mysql_rules
from ansible_collections.fleetops.gpustack.plugins.module_utils._external_obstacle import Obstacle
from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import RELEASES, Release


def obstacles(facts: Mapping[str, Any], release: Release) -> Iterator[Obstacle]:
    """Everything that speaks against it. ``facts`` are those of the database's kind (``_postgres.FACTS``)."""
    if facts.get("kind") == _database_url.MYSQL:
        yield from _external_mysql_rules.obstacles(facts, release)
    else:
        yield from _of_postgresql(facts, release)


def _of_postgresql(facts: Mapping[str, Any], release: Release) -> Iterator[Obstacle]:
    major = facts["version_number"] // 10000
    yield from _version(major, str(facts["server_version"]).split(" ", maxsplit=1)[0], release)
    if facts["schema"] != "public":
        yield Obstacle(
            "external_schema",
            f"the server's tables are in schema {facts['schema']} of the external database, not in public",
            "move them to public, or upgrade this server by upstream's guide",
        )
    if facts["provider"] != "c":
        yield Obstacle(
            "external_collation",
            "the external database has a collation of ICU, which a copy made by this collection would not have",
            "move it into a database with a collation of the C library, or upgrade this server by upstream's guide",
        )
    if not facts["may_create"]:
        yield Obstacle(
            "external_createdb",
            "the server's role may not create databases, and a dump counts only when it was restored once, beside the "
            "original",
            "as a superuser: ALTER ROLE <the server's role> CREATEDB; (it can be taken away again after the cleanup)",
        )
    if not facts["owns"]:
        yield Obstacle(
            "external_owner",
            "the server's role does not own its database, so that the way back could not give the old rows its name",
            "as a superuser: ALTER DATABASE <the server's database> OWNER TO <the server's role>;",
        )


def _version(major: int, version: str, release: Release) -> Iterator[Obstacle]:
    oldest = release.external_postgresql
    if oldest is None:
        yield Obstacle(
            "external_release",
            f"v{release.version} takes the URL of an external database as an argument only, where its password shows",
            f"choose another gpustack_version; {', '.join(_able(major)) or 'none'} can",
        )
    elif major < oldest:
        yield Obstacle(
            "external_version",
            f"the external database is PostgreSQL {version}, and v{release.version} upgrades one in place from "
            f"PostgreSQL {oldest} on",
            f"upgrade PostgreSQL first, or choose another gpustack_version ({', '.join(_able(major)) or 'none can'})",
        )


def _able(major: int) -> list[str]:
    """The releases that upgrade a PostgreSQL of this version."""
    return [
        each.version
        for each in RELEASES.values()
        if each.external_postgresql is not None and each.external_postgresql <= major
    ]
