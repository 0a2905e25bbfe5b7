# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of a legacy database that the migration stumbles over, drops or that cannot run afterwards.

Every finding is ``{code, table, count, items}``: ``items`` names at most ``ITEM_LIMIT`` of the rows.
SQLite does the scanning: a million rows of ``system_loads`` never reach Python.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import at_least

ITEM_LIMIT = 100
INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1
_KNOWN_USER_SOURCES = "('Local', 'OIDC', 'SAML')"
_OLLAMA = "upper(source) = 'OLLAMA_LIBRARY'"
# Before 0.5 the backend was not stored: what is not GGUF ran on vLLM.
_LLAMA_BOX = (
    f"NOT ({_OLLAMA}) AND (backend = 'llama-box' OR (coalesce(backend, '') = '' AND ("
    "huggingface_filename LIKE '%.gguf' OR model_scope_file_path LIKE '%.gguf' OR local_path LIKE '%.gguf')))"
)
# 0.7 has subordinate_workers, 0.6 and older have rpc_servers and ray_actors.
_OTHER_WORKERS = ("subordinate_workers", "rpc_servers", "ray_actors")
_DISTRIBUTING_BACKENDS = ("vllm", "ascend-mindie")
#: The schema upgrade to this release reads every worker's status, and stops at one that has none.
_STATUS_READ_BY = "0.5"


@dataclass(frozen=True)
class Rule:
    """Rows of one table that match a condition; skipped where the schema lacks a column it needs."""

    code: str
    table: str
    condition: str
    item: str
    needs: Sequence[str]


RULES = (
    Rule("ollama_models", "models", _OLLAMA, "name", ("source", "name")),
    Rule("ollama_instances", "model_instances", _OLLAMA, "name", ("source", "name")),
    Rule(
        "ollama_files",
        "model_files",
        _OLLAMA,
        "coalesce(ollama_library_model_name, id)",
        ("source", "ollama_library_model_name"),
    ),
    Rule(
        "ollama_usages",
        "model_usages",
        f"model_id IN (SELECT id FROM models WHERE {_OLLAMA})",
        "(SELECT name FROM models WHERE id = model_id)",
        ("model_id",),
    ),
    Rule(
        "llama_box_models",
        "models",
        _LLAMA_BOX,
        "name",
        ("source", "backend", "huggingface_filename", "model_scope_file_path", "local_path"),
    ),
    Rule(
        "backend_version_set",
        "models",
        f"coalesce(backend_version, '') <> '' AND NOT ({_OLLAMA})",
        "name || ' (' || coalesce(backend, '') || ' ' || backend_version || ')'",
        ("source", "backend", "backend_version"),
    ),
    Rule(
        "unknown_user_source",
        "users",
        f"source IS NULL OR source NOT IN {_KNOWN_USER_SOURCES}",
        "username",
        ("source",),
    ),
    Rule("username_default", "users", "username = 'default'", "username", ("username",)),
    Rule("long_model_name", "models", "length(name) > 255", "name", ("name",)),
)
NULL_WORKER_STATUS = Rule("null_worker_status", "workers", "status IS NULL OR status = 'null'", "name", ("status",))


def findings(
    connection: Any, tables: Sequence[str], release: str | None, violations: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """All findings in the tables that exist. ``violations`` are pairs (table, referenced table)."""
    columns = {table: declared_columns(connection, table) for table in tables}
    rules = RULES + ((NULL_WORKER_STATUS,) if status_is_required(release) else ())
    found = [matching_rows(connection, rule) for rule in rules if set(rule.needs) <= set(columns.get(rule.table, {}))]
    found.append(duplicate_usernames(connection, columns))
    found.append(models_without_workers(connection, columns))
    found.append(custom_distributed(connection, columns))
    found.extend(orphans(violations))
    for table, declared in columns.items():
        found.extend(unstorable_values(connection, table, declared))
    return [finding for finding in found if finding["count"]]


def status_is_required(release: str | None) -> bool:
    """Whether the way up from this release reads every worker's status."""
    return release is not None and not at_least(release, _STATUS_READ_BY)


def declared_columns(connection: Any, table: str) -> dict[str, str]:
    """Column names and declared types of a table."""
    return {row[1]: row[2].upper() for row in connection.execute(f'PRAGMA table_info("{table}")')}


def finding(code: str, table: str, count: int, items: Iterable[Any]) -> dict[str, Any]:
    """One finding."""
    return {"code": code, "table": table, "count": count, "rows": list(dict.fromkeys(str(item) for item in items))}


def matching_rows(connection: Any, rule: Rule) -> dict[str, Any]:
    """Count and names of the rows that a rule is about."""
    count = connection.execute(f'SELECT count(*) FROM "{rule.table}" WHERE {rule.condition}').fetchone()[0]
    items = []
    if count:
        query = f'SELECT DISTINCT {rule.item} FROM "{rule.table}" WHERE {rule.condition} LIMIT {ITEM_LIMIT}'
        items = [row[0] for row in connection.execute(query)]
    return finding(rule.code, rule.table, count, items)


def duplicate_usernames(connection: Any, columns: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """User names that occur more than once: 2.2 has a unique index."""
    names: list[str] = []
    if "users" in columns:
        query = "SELECT username FROM users GROUP BY username HAVING count(*) > 1"
        names = [row[0] for row in connection.execute(query)]
    return finding("duplicate_usernames", "users", len(names), names[:ITEM_LIMIT])


def models_without_workers(connection: Any, columns: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Models, but no worker: from 2.0.1 on the cluster they belong to is made only when there are workers."""
    names: list[str] = []
    if "models" in columns and "workers" in columns:
        query = "SELECT name FROM models WHERE NOT EXISTS (SELECT 1 FROM workers)"
        names = [row[0] for row in connection.execute(query)]
    return finding("models_without_workers", "models", len(names), names[:ITEM_LIMIT])


def custom_distributed(connection: Any, columns: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Instances that span workers on a backend that cannot do so in v2."""
    names: list[str] = []
    if "distributed_servers" in columns.get("model_instances", {}) and "backend" in columns.get("models", {}):
        query = (
            "SELECT model_instances.name, distributed_servers FROM model_instances"
            f" JOIN models ON models.id = model_id WHERE coalesce(backend, '') NOT IN {_DISTRIBUTING_BACKENDS}"
        )
        names = [row[0] for row in connection.execute(query) if spans_workers(row[1])]
    return finding("custom_distributed", "model_instances", len(names), names[:ITEM_LIMIT])


def spans_workers(distributed_servers: str | None) -> bool:
    """Whether the column names workers besides the main one."""
    try:
        value = json.loads(distributed_servers or "null")
    except ValueError:
        return False
    return isinstance(value, dict) and any(value.get(key) for key in _OTHER_WORKERS)


def orphans(violations: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Rows that point to rows that are not there, per table."""
    per_table: dict[str, Counter[str]] = {}
    for table, referenced in violations:
        per_table.setdefault(table, Counter())[referenced] += 1
    return [
        finding(
            "orphan_rows",
            table,
            sum(counts.values()),
            [f"{table} without {to}: {n}" for to, n in sorted(counts.items())],
        )
        for table, counts in sorted(per_table.items())
    ]


def unstorable_values(connection: Any, table: str, declared: Mapping[str, str]) -> list[dict[str, Any]]:
    """Integers that do not fit PostgreSQL's INTEGER and texts with a NUL, counted per column in one scan."""
    numbers = [name for name, kind in declared.items() if kind == "INTEGER"]
    texts = [name for name, kind in declared.items() if is_text(kind)]
    tests = [f'"{name}" NOT BETWEEN {INT32_MIN} AND {INT32_MAX}' for name in numbers]
    tests += [f'instr("{name}", char(0)) > 0' for name in texts]
    if not tests:
        return []
    query = 'SELECT {} FROM "{}"'.format(", ".join(f"coalesce(sum({test}), 0)" for test in tests), table)
    counts = dict(zip(numbers + texts, connection.execute(query).fetchone()))
    return [column_finding("int32_overflow", table, numbers, counts), column_finding("nul_bytes", table, texts, counts)]


def is_text(kind: str) -> bool:
    """Whether a declared type holds text."""
    return any(word in kind for word in ("CHAR", "TEXT", "JSON"))


def column_finding(code: str, table: str, columns: Iterable[str], counts: Mapping[str, int]) -> dict[str, Any]:
    """The finding that names the columns with bad values."""
    bad = {name: counts[name] for name in columns if counts[name]}
    return finding(code, table, sum(bad.values()), [f"{table}.{name}: {n}" for name, n in bad.items()])
