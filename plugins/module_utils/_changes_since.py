# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people did on a v2 server since its upgrade, by kind and name: what going back gives up.

The comparison of the rows says where one is new, gone or different, and explains what the new server makes by itself;
the rest is people's work. Usage is what was counted since.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _parity, _postgres
from ansible_collections.fleetops.gpustack.plugins.module_utils._parity_rules import TableRule, rules_for

ADDED, CHANGED, DELETED, OTHER = "added", "changed", "deleted", "other"
#: What a difference of the comparison means.
MEANING = {_parity.ROW_NEW: ADDED, _parity.ROW_MISSING: DELETED, _parity.VALUE_DIFFERS: CHANGED}
#: What people make, by its table in the legacy database.
KINDS = {"users": "user", "api_keys": "API key", "models": "model", "workers": "worker"}
NAME_COLUMNS = {"users": "username"}
PASSWORDS = "user_passwords"
DELETED_AT = "deleted_at"
USAGE = "model_usages"
COUNTERS = {
    "request_count": "requests",
    "prompt_token_count": "prompt tokens",
    "completion_token_count": "completion tokens",
}


class Change(NamedTuple):
    """One thing that somebody added, changed or deleted."""

    kind: str
    change: str
    name: str


class _Sides(NamedTuple):
    """The two databases, and how the tables of the one are found again in the other."""

    source: Any
    connection: Any
    rules: Mapping[str, TableRule]


def changes(sqlite_path: str, connection: Any, release: str, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The changes as ``{kind, change, count, names}``. ``report`` is the comparison of these two databases.

    Only the differences that the report names have a name here; the others are counted as ``other``.
    """
    rules = {rule.table: rule for rule in rules_for(release) if rule.target != PASSWORDS}
    try:
        with _parity.opened(sqlite_path) as source:
            sides = _Sides(source, connection, rules)
            found = grouped(_named(sides, report)) + list(_unnamed(report)) + _usage(sides)
        connection.rollback()
    except connection.Error as error:
        raise _parity.ParityError(
            f"The database stopped answering: {_postgres.explain(error)}; check that the v2 server runs, then try "
            "again."
        ) from None
    return found


def grouped(found: Iterator[Change]) -> list[dict[str, Any]]:
    """The names of each kind of change, each once, in the order in which they were found."""
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for each in found:
        groups.setdefault((each.kind, each.change), {})[each.name] = None
    return [
        {"kind": kind, "change": change, "count": len(names), "names": list(names)}
        for (kind, change), names in groups.items()
    ]


def _named(sides: _Sides, report: Mapping[str, Any]) -> Iterator[Change]:
    for table in report["tables"]:
        for difference in table["differences"] if table["table"] in KINDS else []:
            change = _change_of(sides, table, difference)
            if change is not None:
                yield change


def _change_of(sides: _Sides, table: Mapping[str, Any], difference: Mapping[str, Any]) -> Change | None:
    """What a difference says of one thing; None where it says nothing of its own."""
    name, key = table["table"], next(iter(difference["key"].values()), None)
    old, new = _old_row(sides, name, key), _new_row(sides, name, key)
    if table["target"] == PASSWORDS:
        return Change(KINDS[name], CHANGED, f"{old} (password)") if old and new else None
    if difference["column"] == DELETED_AT or (old and not new):
        return Change(KINDS[name], DELETED, old or str(key))
    meaning = MEANING.get(difference["problem"], OTHER)
    if meaning == CHANGED:
        return Change(KINDS[name], CHANGED, "{} ({})".format(old, difference["column"]))
    # What was made and deleted again since is nothing that could be given up.
    return Change(KINDS[name], meaning, new) if new else None


def _old_row(sides: _Sides, table: str, key: Any) -> str | None:
    """The name of a row of the snapshot."""
    column = NAME_COLUMNS.get(table, "name")
    row = sides.source.execute(f'SELECT "{column}" FROM "{table}" WHERE id = ?', (key,)).fetchone()
    return None if row is None else str(row[0])


def _new_row(sides: _Sides, table: str, key: Any) -> str | None:
    """The name of a row of the new server, unless it is deleted."""
    rule = sides.rules[table]
    found = sides.connection.execute(f'SELECT * FROM "{rule.target}" WHERE id = %s', (key,))
    names, values = [column.name for column in found.description], found.fetchone()
    row = dict(zip(names, values)) if values else {}
    if not row or row.get(DELETED_AT):
        return None
    return str(row.get(rule.target_column(NAME_COLUMNS.get(table, "name"))))


def _unnamed(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for table in report["tables"]:
        count = table["difference_count"] - len(table["differences"])
        if table["table"] in KINDS and count:
            yield {"kind": KINDS[table["table"]], "change": OTHER, "count": count, "names": []}


def _usage(sides: _Sides) -> list[dict[str, Any]]:
    """What was counted since: the sums of now, less those of the rows that went over."""
    rule = sides.rules[USAGE]
    kept = " AND ".join(f"NOT ({dropped.condition})" for dropped in rule.dropped) or "1"
    sums = ", ".join(f"coalesce(sum({column}), 0)" for column in COUNTERS)
    before = sides.source.execute(f'SELECT {sums} FROM "{rule.table}" WHERE {kept}').fetchone()
    after = sides.connection.execute(f'SELECT {sums} FROM "{rule.target}"').fetchone()
    grown = [(int(now) - int(then), what) for now, then, what in zip(after, before, COUNTERS.values())]
    counted = [f"{more} {what}" for more, what in grown if more > 0]
    return [{"kind": "usage", "change": ADDED, "count": max(grown)[0], "names": counted}] if counted else []
