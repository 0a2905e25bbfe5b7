# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database with the tables and columns of GPUStack 0.7.1 that are looked at, made by SQLite itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

SCHEMA_HEAD = "d19176de3b74"
_SOURCE = (
    "source VARCHAR, huggingface_repo_id VARCHAR, huggingface_filename VARCHAR, ollama_library_model_name VARCHAR,"
    " model_scope_model_id VARCHAR, model_scope_file_path VARCHAR, local_path VARCHAR"
)
_TABLES = {
    "alembic_version": "version_num VARCHAR(32)",
    "system_loads": "id INTEGER PRIMARY KEY, timestamp INTEGER, cpu FLOAT",
    "workers": (
        "id INTEGER PRIMARY KEY, name VARCHAR, hostname VARCHAR, ip VARCHAR, port INTEGER, labels JSON,"
        " system_reserved JSON,"
        " state VARCHAR, state_message TEXT, status JSON, heartbeat_time TIMESTAMP, worker_uuid VARCHAR"
    ),
    "users": "id INTEGER PRIMARY KEY, username VARCHAR, full_name VARCHAR, hashed_password VARCHAR, source VARCHAR",
    "api_keys": "id INTEGER PRIMARY KEY, name VARCHAR, user_id INTEGER REFERENCES users (id)",
    "model_files": "id INTEGER PRIMARY KEY, size BIGINT, " + _SOURCE,
    "models": (
        "id INTEGER PRIMARY KEY, name VARCHAR, replicas INTEGER, ready_replicas INTEGER, backend VARCHAR,"
        " backend_version VARCHAR, " + _SOURCE
    ),
    "model_instances": (
        "id INTEGER PRIMARY KEY, name VARCHAR, model_id INTEGER REFERENCES models (id), model_name VARCHAR,"
        " worker_id INTEGER, worker_name VARCHAR, state VARCHAR, distributed_servers JSON, gpu_indexes JSON, " + _SOURCE
    ),
    "modelinstancemodelfilelink": "model_instance_id INTEGER, model_file_id INTEGER",
    "model_usages": (
        "id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id), model_id INTEGER REFERENCES models (id),"
        " prompt_token_count INTEGER"
    ),
}


def make(path: Path, head: str = SCHEMA_HEAD, journal_mode: str = "WAL") -> sqlite3.Connection:
    """The tables, empty; the connection that wrote them stays open as a server's would."""
    connection = sqlite3.connect(str(path))
    connection.execute("PRAGMA journal_mode=" + journal_mode)
    for table, columns in _TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({columns})")
    connection.execute("INSERT INTO alembic_version VALUES (?)", (head,))
    connection.commit()
    return connection


def insert(connection: sqlite3.Connection, table: str, **row: Any) -> None:
    """One row, committed."""
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
    connection.commit()
