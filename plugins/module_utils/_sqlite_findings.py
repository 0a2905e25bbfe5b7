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
#: Columns that name a file of a model; before 0.3 there was the first alone.
_MODEL_FILES = ("huggingface_filename", "model_scope_file_path", "local_path")
# 0.7 has subordinate_workers, 0.6 and older have rpc_servers and ray_actors.
_OTHER_WORKERS = ("subordinate_workers", "rpc_servers", "ray_actors")
_DISTRIBUTING_BACKENDS = ("vllm", "ascend-mindie")
#: The schema upgrade to this release reads every worker's status, and stops at one that has none.
_STATUS_READ_BY = "0.5"
#: The schema upgrades to these releases delete rows (revisions 6dcb3a50da19 and c45e397531d1).
_INSTANCES_DELETED_BY = "0.2"
_ORPHAN_KEYS_DELETED_BY = "0.6"


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
# Up to 0.4 a model was bound to a GPU by its name, which 0.5 and later do not read (schemas/models.py: GPUSelector).
GPU_NAME_SELECTORS = Rule(
    "gpu_name_selector", "models", """gpu_selector LIKE '%"gpu_name": "%'""", "name", ("gpu_selector",)
)
INSTANCES_OF_0_1 = Rule("instances_deleted", "model_instances", "1", "name", ("name",))
ORPHAN_API_KEYS = Rule(
    "orphan_api_keys_deleted", "api_keys", "user_id NOT IN (SELECT id FROM users)", "name", ("user_id",)
)
#: Rules for databases of releases before the one named.
RULES_BEFORE = (
    (_STATUS_READ_BY, GPU_NAME_SELECTORS),
    (_INSTANCES_DELETED_BY, INSTANCES_OF_0_1),
    (_ORPHAN_KEYS_DELETED_BY, ORPHAN_API_KEYS),
)
NULL_WORKER_STATUS = Rule("null_worker_status", "workers", "status IS NULL OR status = 'null'", "name", ("status",))


def findings(
    connection: Any, tables: Sequence[str], release: str | None, violations: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """All findings in the tables that exist. ``violations`` are pairs (table, referenced table)."""
    columns = {table: declared_columns(connection, table) for table in tables}
    rules = (*RULES, llama_box(columns.get("models", {})), *rules_before(release))
    found = [matching_rows(connection, rule) for rule in rules if set(rule.needs) <= set(columns.get(rule.table, {}))]
    found.append(duplicate_usernames(connection, columns))
    found.append(models_without_workers(connection, columns))
    found.append(custom_distributed(connection, columns))
    found.extend(orphans(violations))
    for table, declared in columns.items():
        found.extend(unstorable_values(connection, table, declared))
    return [finding for finding in found if finding["count"]]


def rules_before(release: str | None) -> tuple[Rule, ...]:
    """What the way up from an old release does not survive, or does away with."""
    rules = (*RULES_BEFORE, (_STATUS_READ_BY, NULL_WORKER_STATUS))
    return tuple(rule for before, rule in rules if release is not None and not at_least(release, before))


def llama_box(columns: Iterable[str]) -> Rule:
    """Models that ran on llama-box. Before 0.5 a backend was not always stored: what is GGUF ran on it."""
    there = set(columns)
    gguf = " OR ".join(f"{name} LIKE '%.gguf'" for name in _MODEL_FILES if name in there) or "0"
    backend = "coalesce(backend, '')" if "backend" in there else "''"
    condition = f"NOT ({_OLLAMA}) AND ({backend} = 'llama-box' OR ({backend} = '' AND ({gguf})))"
    return Rule("llama_box_models", "models", condition, "name", ("source", "name"))


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
