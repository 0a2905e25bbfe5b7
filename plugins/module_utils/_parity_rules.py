# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be equal between a legacy SQLite database and PostgreSQL after the upgrade, per table and release. Pure.

One table of rules for 2.0.0, and one of what changed since; nothing else in the project asks for the release when it
compares rows. Taken from gpustack/cmd/db_migration.py and gpustack/migrations/versions of the releases.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases

Row = Mapping[str, Any]


@dataclass(frozen=True)
class DroppedRows:
    """Rows of SQLite that the release deletes; ``condition`` is SQL on the SQLite table."""

    condition: str
    reason: str


@dataclass(frozen=True)
class AddedRows:
    """Rows that only PostgreSQL has: by the value of a column, or above the highest old key."""

    reason: str
    column: str = ""
    values: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    above_old_keys: bool = False

    def explains(self, row: Row, above: bool) -> bool:
        """Whether this is why the row is there."""
        if self.above_old_keys:
            return above
        value = str(row.get(self.column) or "")
        return value in self.values or (bool(self.prefixes) and value.startswith(self.prefixes))


@dataclass(frozen=True)
class TableRule:
    """How one table of SQLite is found again in one table of PostgreSQL."""

    table: str
    target: str
    #: Columns of SQLite that make the key; ``renamed`` applies to them too.
    key: tuple[str, ...] = ("id",)
    #: SQLite column to PostgreSQL column, where the name differs.
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: When set, only these columns are compared (and the key).
    only: tuple[str, ...] | None = None
    #: Columns that the release no longer has.
    gone: tuple[str, ...] = ()
    #: SQLite column to the value that the release makes of a row.
    derived: Mapping[str, Callable[[Row], Any]] = field(default_factory=dict)
    #: Columns that a running server changes by itself.
    volatile: tuple[str, ...] = ()
    #: Columns that the scheduler may fill where they were empty.
    filled: tuple[str, ...] = ()
    #: Counters of a row that may grow as long as ``growing_on`` (a date) is not before the day of the snapshot.
    growing: tuple[str, ...] = ()
    growing_on: str = ""
    #: Columns that a worker reports anew when it registers, which moves ``witness``.
    reported: tuple[str, ...] = ()
    witness: str = ""
    #: Rows of SQLite that have a counterpart at all (SQL).
    where: str = ""
    dropped: tuple[DroppedRows, ...] = ()
    added: tuple[AddedRows, ...] = ()
    #: A running server deletes and makes rows by itself: only counted.
    counted_only: bool = False

    def target_column(self, column: str) -> str:
        """The name of a SQLite column in PostgreSQL."""
        return self.renamed.get(column, column)


# Values that a release makes


_BACKENDS = {"vllm": "vLLM", "ascend-mindie": "MindIE", "vox-box": "VoxBox"}
_GPU_TYPES = {"npu": "cann", "dcu": "dtk", "mlu": "neuware"}


def backend(row: Row) -> Any:
    """``models.backend`` under its new name (revision bb9ce21dcc10)."""
    return _BACKENDS.get(row["backend"], row["backend"])


def gpu_selector(row: Row) -> Any:
    """``models.gpu_selector`` with the new names of the device types (revision 53667f33f000)."""
    selector = row["gpu_selector"]
    if not isinstance(selector, dict) or not isinstance(selector.get("gpu_ids"), list):
        return selector
    return dict(selector, gpu_ids=[_gpu_id(item) for item in selector["gpu_ids"]])


def _gpu_id(item: Any) -> Any:
    parts = item.split(":") if isinstance(item, str) else []
    if len(parts) != 3:
        return item
    return ":".join((parts[0], _GPU_TYPES.get(parts[1], parts[1]), parts[2]))


def source_index(row: Row) -> Any:
    """``model_files.source_index``, which counts in the kind of source for ModelScope (revision 53667f33f000)."""
    if row["source"] != "MODEL_SCOPE" or row["deleted_at"] is not None:
        return row["source_index"]
    parts = ["MODEL_SCOPE", row["model_scope_model_id"], row["model_scope_file_path"]]
    return hashlib.sha256("/".join(part for part in parts if part).encode("utf-8")).hexdigest()


def display_name(row: Row) -> Any:
    """``principals.display_name``: the full name, or the user name where there was none (revision 7c5e3f9a2d18)."""
    return row["username"] if row["full_name"] is None else row["full_name"]


# The rules of 2.0.0


_OLLAMA = "source = 'OLLAMA_LIBRARY'"
_OLLAMA_ROWS = DroppedRows(_OLLAMA, "source is the Ollama library, which v2 no longer has")
_OLLAMA_USAGE = DroppedRows(
    f"model_id IN (SELECT id FROM models WHERE {_OLLAMA})", "its model came from the Ollama library"
)
_OLLAMA_LINK = DroppedRows(
    f"model_instance_id IN (SELECT id FROM model_instances WHERE {_OLLAMA})",
    "its model came from the Ollama library",
)
_OLD_MODEL_COLUMNS = (
    "ollama_library_model_name",
    "embedding_only",
    "image_only",
    "reranker",
    "speech_to_text",
    "text_to_speech",
)

_BASE = (
    TableRule(
        "system_loads",
        "system_loads",
        added=(AddedRows("recorded by the new server", above_old_keys=True),),
    ),
    TableRule(
        "workers",
        "workers",
        volatile=("status", "state", "state_message", "heartbeat_time", "unreachable", "updated_at"),
        reported=("hostname", "ip", "port", "labels", "system_reserved"),
        witness="heartbeat_time",
    ),
    TableRule(
        "users",
        "users",
        volatile=("updated_at",),
        added=(
            AddedRows("account of the cluster or of a worker", "username", prefixes=("system/",)),
            AddedRows(
                "made by the new server because the administrator had another name", "username", values=("admin",)
            ),
        ),
    ),
    TableRule(
        "api_keys",
        "api_keys",
        volatile=("updated_at",),
        added=(
            AddedRows("the old registration token", "name", values=("Legacy Cluster Token",)),
            AddedRows("key of a worker", "name", prefixes=("system/worker-",)),
        ),
    ),
    TableRule(
        "model_files",
        "model_files",
        gone=("ollama_library_model_name",),
        volatile=("state", "state_message", "download_progress", "resolved_paths", "size", "updated_at"),
        added=(AddedRows("made for a model instance of the new server", above_old_keys=True),),
    ),
    TableRule(
        "models",
        "models",
        gone=_OLD_MODEL_COLUMNS,
        derived={"backend": backend},
        volatile=("ready_replicas", "meta", "updated_at"),
        filled=("categories", "distributable", "distributed_inference_across_workers", "worker_selector"),
    ),
    TableRule("model_instances", "model_instances", counted_only=True),
    TableRule(
        "modelinstancemodelfilelink",
        "modelinstancemodelfilelink",
        key=("model_instance_id", "model_file_id"),
        counted_only=True,
    ),
    TableRule(
        "model_usages",
        "model_usages",
        growing=("prompt_token_count", "completion_token_count", "request_count"),
        growing_on="date",
        added=(AddedRows("recorded by the new server", above_old_keys=True),),
    ),
)

# What changed since: release, then table to the fields of its rule that are different from then on. A name that is not
# in the table yet is a new rule.
_CHANGES: tuple[tuple[str, Mapping[str, Mapping[str, Any]]], ...] = (
    (
        "2.0.2",
        {
            "model_files": {"dropped": (_OLLAMA_ROWS,)},
            "models": {"dropped": (_OLLAMA_ROWS,)},
            "model_instances": {"dropped": (_OLLAMA_ROWS,)},
            "modelinstancemodelfilelink": {"dropped": (_OLLAMA_LINK,)},
            "model_usages": {"dropped": (_OLLAMA_USAGE,)},
        },
    ),
    (
        "2.1.0",
        {
            "models": {"derived": {"backend": backend, "gpu_selector": gpu_selector}},
            "model_files": {"derived": {"source_index": source_index}},
        },
    ),
    (
        "2.2.0",
        {
            "users": {
                "target": "principals",
                "renamed": {"username": "name", "full_name": "display_name"},
                "derived": {"full_name": display_name},
                "gone": ("hashed_password", "require_password_change"),
                "added": (
                    AddedRows("the built-in organization", "name", values=("default",)),
                    AddedRows(
                        "built-in group, or account of the cluster or of a worker", "name", prefixes=("system/",)
                    ),
                ),
            },
            "user_passwords": {
                "table": "users",
                "target": "user_passwords",
                "renamed": {"id": "owner_principal_id", "hashed_password": "hashed_secret"},
                "only": ("hashed_password", "require_password_change"),
                "where": "hashed_password IS NOT NULL AND hashed_password <> ''",
            },
        },
    ),
)


def rules_for(release: str) -> list[TableRule]:
    """The rules of a release; a release newer than the table has those of the newest."""
    rules = {rule.table: rule for rule in _BASE}
    for since, changes in _CHANGES:
        if _releases.at_least(_releases.normalise(release), since):
            for name, fields in changes.items():
                rules[name] = replace(rules[name], **fields) if name in rules else TableRule(**fields)
    return list(rules.values())
