# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against upgrading an external MySQL in place, from what it says of itself. Pure."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _scratch_mysql
from ansible_collections.fleetops.gpustack.plugins.module_utils._external_obstacle import Obstacle
from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import RELEASES, Release

#: GPUStack 2.1.0 to 2.2.3, docs/cli-reference/start.md; 0.7.1 and 2.0.x say 8.0.
OLDEST = (8, 0, 36)
#: GPUStack 0.7.1 itself does not start on MariaDB 10.11: its schema says `status->'$.gpu_devices'`, which MariaDB does
#: not parse (migrations/versions/2024_12_26_1409-e6bf9e067296_add_model_categories.py).
_OTHERS = re.compile("mariadb|tidb|oceanbase", re.IGNORECASE)
#: What making, filling, upgrading and moving the tables of a database takes.
RIGHTS = frozenset(
    {
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "CREATE",
        "DROP",
        "ALTER",
        "INDEX",
        "REFERENCES",
        "CREATE VIEW",
        "SHOW VIEW",
    }
)
#: Of the form and length of an attempt's name.
_ATTEMPT = "20260101T000000Z"


def obstacles(facts: Mapping[str, Any], release: Release) -> Iterator[Obstacle]:
    """Everything that speaks against it. ``facts`` are those of ``_mysql.FACTS``."""
    yield from _version(str(facts["server_version"]), release)
    if facts["other_engines"]:
        yield Obstacle(
            "external_engine",
            f"tables of the external database are not InnoDB's ({', '.join(sorted(facts['other_engines']))}), so that "
            "no dump shows one moment of them",
            "ALTER TABLE <table> ENGINE=InnoDB; for each",
        )
    if facts["triggers"]:
        yield Obstacle(
            "external_triggers",
            f"the external database has triggers ({', '.join(sorted(facts['triggers']))}), with which the way back "
            "could not move its tables",
            "drop them; GPUStack makes none",
        )
    name = str(facts["name"])
    lacking = sorted(missing_rights(facts))
    if not all(made.startswith(f"{name}_") for made in _scratch_mysql.names(name, _ATTEMPT)):
        yield Obstacle(
            "external_name",
            "the external database's name is so long that those of databases beside it would not begin with it",
            "move its tables into one with a shorter name, or upgrade this server by upstream's guide after a dump "
            "that was restored once",
        )
    elif lacking:
        yield Obstacle(
            "external_createdb",
            f"the server's user may not make databases beside its own (it lacks {', '.join(lacking)} there, by grants "
            "to itself), and a dump counts only when it was restored once, beside the original",
            "as an administrator: GRANT ALL PRIVILEGES ON `{}\\_%`.* TO <the server's user>; (it can be revoked again "
            "after the cleanup)".format(name.replace("_", "\\_")),
        )


def version_number(text: str) -> tuple[int, ...]:
    """The version in numbers: major, minor, patch."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else (0, 0, 0)


def missing_rights(facts: Mapping[str, Any]) -> set[str]:
    """The rights that the user lacks on a database that an attempt would make."""
    lacking: set[str] = set()
    for name in _scratch_mysql.names(str(facts["name"]), _ATTEMPT):
        granted = {right for pattern, right in facts["rights"] or [] if matches(pattern, name)}
        lacking |= RIGHTS - granted - set(facts["global_rights"] or [])
    return lacking


def matches(pattern: str, name: str) -> bool:
    """Whether a grant's pattern is about a database: `%` any text, `_` any letter, a backslash takes that away."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(regex, name, re.DOTALL) is not None


def _version(version: str, release: Release) -> Iterator[Obstacle]:
    able = [each.version for each in RELEASES.values() if each.external_postgresql is not None]
    if _OTHERS.search(version):
        yield Obstacle(
            "external_product",
            f"the external database calls itself {version}, and only MySQL's own is taken",
            "move it into MySQL, or upgrade this server by upstream's guide after a dump that was restored once",
        )
    elif version_number(version) < OLDEST:
        yield Obstacle(
            "external_version",
            f"the external database is MySQL {version}, and v2 wants {'.'.join(map(str, OLDEST))} or newer",
            "upgrade MySQL first",
        )
    if release.external_postgresql is None:
        yield Obstacle(
            "external_release",
            f"v{release.version} takes the URL of an external database as an argument only, where its password shows",
            f"choose another gpustack_version; {', '.join(able)} can",
        )
