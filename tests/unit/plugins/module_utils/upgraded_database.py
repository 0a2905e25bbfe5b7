# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL of the test's own, and a legacy database in it as the releases leave it.

What a release does to rows is written in SQL here, apart from the rules that are tested.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterator

import psycopg
import pytest

NOW = "2026-11-24 02:52:10"
_SOURCE = {
    "source": "enumeration",
    "huggingface_repo_id": "text",
    "huggingface_filename": "text",
    "model_scope_model_id": "text",
    "model_scope_file_path": "text",
    "local_path": "text",
}
_TIMES = {"created_at": "timestamp", "updated_at": "timestamp", "deleted_at": "timestamp"}

#: Columns of 0.7.1 that v2 keeps, with their types in PostgreSQL.
TABLES: dict[str, dict[str, str]] = {
    "system_loads": {
        "id": "serial",
        "timestamp": "integer",
        "cpu": "float8",
        "ram": "float8",
        "gpu": "float8",
        "vram": "float8",
    },
    "workers": {
        "id": "serial",
        "name": "text",
        "hostname": "text",
        "ip": "text",
        "port": "integer",
        "labels": "json",
        "system_reserved": "json",
        "state": "enumeration",
        "state_message": "text",
        "status": "json",
        "unreachable": "boolean",
        "heartbeat_time": "timestamp",
        "worker_uuid": "text",
        **_TIMES,
    },
    "users": {
        "id": "serial",
        "username": "text",
        "full_name": "text",
        "is_admin": "boolean",
        "hashed_password": "text",
        "require_password_change": "boolean",
        "source": "enumeration",
        "avatar_url": "text",
        **_TIMES,
    },
    "api_keys": {
        "id": "serial",
        "name": "text",
        "description": "text",
        "access_key": "text",
        "hashed_secret_key": "text",
        "user_id": "integer",
        "expires_at": "timestamp",
        **_TIMES,
    },
    "model_files": {
        "id": "serial",
        **_SOURCE,
        "source_index": "text",
        "size": "bigint",
        "download_progress": "float8",
        "resolved_paths": "json",
        "state": "enumeration",
        "state_message": "text",
        "worker_id": "integer",
        **_TIMES,
    },
    "models": {
        "id": "serial",
        "name": "text",
        **_SOURCE,
        "replicas": "integer",
        "ready_replicas": "integer",
        "categories": "json",
        "backend": "text",
        "backend_parameters": "json",
        "gpu_selector": "json",
        "worker_selector": "json",
        "distributable": "boolean",
        "distributed_inference_across_workers": "boolean",
        "restart_on_error": "boolean",
        "env": "json",
        "meta": "json",
        **_TIMES,
    },
    "model_instances": {"id": "serial", "name": "text", **_SOURCE, "model_id": "integer", "gpu_indexes": "json"},
    "modelinstancemodelfilelink": {"model_instance_id": "integer", "model_file_id": "integer"},
    "model_usages": {
        "id": "serial",
        "user_id": "integer",
        "model_id": "integer",
        "date": "date",
        "prompt_token_count": "integer",
        "completion_token_count": "integer",
        "request_count": "integer",
        "operation": "enumeration",
    },
}
#: Columns of 0.7.1 that v2 does not have.
GONE = {
    "model_files": ["ollama_library_model_name"],
    "model_instances": ["ollama_library_model_name"],
    "models": ["ollama_library_model_name", "embedding_only", "reranker", "image_only"],
}
_SQLITE_TYPES = {
    "serial": "INTEGER",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "float8": "FLOAT",
    "json": "JSON",
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
    "enumeration": "VARCHAR",
}

_OLLAMA = "source = 'OLLAMA_LIBRARY'"
_2_0_0 = """
    UPDATE models SET backend = 'vLLM' WHERE backend = 'vllm';
    UPDATE models SET backend = 'MindIE' WHERE backend = 'ascend-mindie';
    INSERT INTO users (username, is_admin, hashed_password, require_password_change, created_at, updated_at)
        VALUES ('system/cluster-1', false, '', false, now(), now()),
               ('system/worker-1', false, '', false, now(), now());
    INSERT INTO api_keys (name, access_key, user_id)
        VALUES ('Legacy Cluster Token', '', 4), ('system/worker-1', 'a', 5);
    INSERT INTO system_loads (timestamp, cpu) VALUES (1800000000, 1);
"""
_2_0_2 = """
    DELETE FROM model_usages WHERE model_id IN (SELECT id FROM models WHERE source = 'OLLAMA_LIBRARY');
    DELETE FROM modelinstancemodelfilelink
        WHERE model_instance_id IN (SELECT id FROM model_instances WHERE source = 'OLLAMA_LIBRARY');
    DELETE FROM model_instances WHERE source = 'OLLAMA_LIBRARY';
    DELETE FROM model_files WHERE source = 'OLLAMA_LIBRARY';
    DELETE FROM models WHERE source = 'OLLAMA_LIBRARY';
"""
_2_1_0 = """
    UPDATE models SET gpu_selector = replace(gpu_selector::text, ':npu:', ':cann:')::json;
    UPDATE model_files SET source_index = encode(sha256('MODEL_SCOPE/deepseek-ai/x/*.gguf'), 'hex')
        WHERE source = 'MODEL_SCOPE';
"""
_2_2_0 = """
    ALTER TABLE users RENAME TO principals;
    ALTER TABLE principals RENAME COLUMN username TO name;
    ALTER TABLE principals RENAME COLUMN full_name TO display_name;
    UPDATE principals SET display_name = name WHERE display_name IS NULL;
    CREATE TABLE user_passwords (id serial PRIMARY KEY, owner_principal_id integer, hashed_secret text,
        require_password_change boolean, created_at timestamp);
    INSERT INTO user_passwords (owner_principal_id, hashed_secret, require_password_change, created_at)
        SELECT id, hashed_password, require_password_change, now() FROM principals
        WHERE hashed_password <> '' ORDER BY id;
    ALTER TABLE principals DROP COLUMN hashed_password;
    ALTER TABLE principals DROP COLUMN require_password_change;
    INSERT INTO principals (name) VALUES ('default'), ('system/authenticated');
"""
RELEASES = {
    "2.0.0": ("e30134bd18dc", _2_0_0),
    "2.0.3": ("2aed534bd7b2", _2_0_0 + _2_0_2),
    "2.1.2": ("8ad0f94c92e8", _2_0_0 + _2_0_2 + _2_1_0),
    "2.2.3": ("c4d7e8f9a0b1", _2_0_0 + _2_0_2 + _2_1_0 + _2_2_0),
}

_ROWS: dict[str, list[dict[str, Any]]] = {
    "system_loads": [
        {"id": number, "timestamp": 1760000000 + 60 * number, "cpu": number / 7, "ram": 20.25, "gpu": None, "vram": 0.1}
        for number in range(1, 26)
    ],
    "workers": [
        {
            "id": 1,
            "name": "gpu-1",
            "hostname": "gpu-1",
            "ip": "192.0.2.1",
            "port": 10150,
            "labels": '{"os": "linux"}',
            "system_reserved": '{"ram": 2147483648, "vram": 1073741824}',
            "state": "READY",
            "status": "{}",
            "unreachable": 0,
            "heartbeat_time": "2026-11-24 02:52:10.175332",
            "worker_uuid": "11111111-2222-4333-8444-555555555501",
        }
    ],
    "users": [
        {"id": 1, "username": "admin", "full_name": "Default System Admin", "is_admin": 1, "hashed_password": "$one"},
        {"id": 2, "username": "jörg", "full_name": None, "is_admin": 0, "hashed_password": "$two"},
        {"id": 3, "username": "sso", "full_name": "李雷", "is_admin": 0, "hashed_password": ""},
    ],
    "api_keys": [
        {
            "id": 1,
            "name": "ci",
            "access_key": "20ced44fb2a0321b",
            "hashed_secret_key": "$key",
            "user_id": 1,
            "expires_at": "2026-12-24 02:52:10.032287",
        }
    ],
    "model_files": [
        {"id": 1, "source": "HUGGING_FACE", "source_index": "a", "size": 5000000000, "state": "READY"},
        {
            "id": 2,
            "source": "MODEL_SCOPE",
            "model_scope_model_id": "deepseek-ai/x",
            "model_scope_file_path": "*.gguf",
            "source_index": "b",
            "state": "READY",
        },
    ],
    "models": [
        {
            "id": 1,
            "name": "qwen3",
            "source": "HUGGING_FACE",
            "backend": "vllm",
            "replicas": 1,
            "backend_parameters": '["--max-model-len=8192"]',
            "gpu_selector": '{"gpu_ids": ["gpu-1:cuda:0"]}',
            "env": '{"A": "\\u00fc"}',
            "categories": '["llm"]',
            "distributable": 0,
        },
        {
            "id": 2,
            "name": "deepseek",
            "source": "MODEL_SCOPE",
            "backend": "ascend-mindie",
            "replicas": 0,
            "backend_parameters": "null",
            "gpu_selector": '{"gpu_ids": ["npu-1:npu:0"]}',
            "categories": "[]",
            "distributable": 0,
        },
    ],
    "model_instances": [{"id": 1, "name": "qwen3-a", "source": "HUGGING_FACE", "model_id": 1}],
    "modelinstancemodelfilelink": [{"model_instance_id": 1, "model_file_id": 1}],
    "model_usages": [
        {"id": number, "user_id": 1, "model_id": number, "date": "2026-11-0" + str(number), "request_count": number}
        for number in (1, 2)
    ],
}
_OLLAMA_ROWS: dict[str, list[dict[str, Any]]] = {
    "model_files": [{"id": 3, "source": "OLLAMA_LIBRARY", "source_index": "c"}],
    "models": [{"id": 3, "name": "llama", "source": "OLLAMA_LIBRARY", "backend": "llama-box", "replicas": 1}],
    "model_instances": [{"id": 2, "name": "llama-a", "source": "OLLAMA_LIBRARY", "model_id": 3}],
    "modelinstancemodelfilelink": [{"model_instance_id": 2, "model_file_id": 3}],
    "model_usages": [{"id": 3, "user_id": 1, "model_id": 3, "date": "2026-11-03", "request_count": 3}],
}
_COMMON = {"created_at": NOW, "updated_at": NOW, "require_password_change": 0, "operation": "CHAT_COMPLETION"}


def make_snapshot(path: Path, release: str) -> None:
    """A recovered legacy database. 2.0.0 refuses rows of the Ollama library, so it has none for that."""
    with contextlib.closing(sqlite3.connect(str(path))) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('d19176de3b74')")
        for table, columns in TABLES.items():
            names = [f"{name} {_SQLITE_TYPES[kind]}" for name, kind in columns.items()]
            names += [f"{name} VARCHAR" for name in GONE.get(table, [])]
            connection.execute("CREATE TABLE {} ({})".format(table, ", ".join(names)))
            rows = _ROWS[table] + ([] if release == "2.0.0" else _OLLAMA_ROWS.get(table, []))
            for row in rows:
                insert(connection, table, row)
        connection.commit()


def insert(connection: Any, table: str, row: dict[str, Any]) -> None:
    """One row with the values that all rows share."""
    whole = {name: value for name, value in _COMMON.items() if name in TABLES[table]}
    whole.update(row)
    marks = ", ".join("?" * len(whole))
    connection.execute("INSERT INTO {} ({}) VALUES ({})".format(table, ", ".join(whole), marks), tuple(whole.values()))


def migrate(snapshot: Path, connection: Any, release: str) -> None:
    """What `gpustack migrate` and the first start of a release do."""
    head, changes = RELEASES[release]
    connection.execute("DROP SCHEMA public CASCADE")
    connection.execute("DROP TYPE IF EXISTS enumeration")
    connection.execute("CREATE SCHEMA public")
    connection.execute(
        "CREATE TYPE enumeration AS ENUM ('HUGGING_FACE', 'MODEL_SCOPE', 'OLLAMA_LIBRARY', 'READY', 'CHAT_COMPLETION')"
    )
    connection.execute("CREATE TABLE alembic_version (version_num varchar(32))")
    connection.execute("INSERT INTO alembic_version VALUES (%s)", (head,))
    with contextlib.closing(sqlite3.connect(str(snapshot))) as source:
        for table, columns in TABLES.items():
            _copy(source, connection, table, columns)
    connection.execute(changes)


def _copy(source: Any, connection: Any, table: str, columns: dict[str, str]) -> None:
    definitions = [
        '"{}" {}'.format(name, "serial PRIMARY KEY" if kind == "serial" else kind) for name, kind in columns.items()
    ]
    connection.execute("CREATE TABLE {} ({}, cluster_id integer)".format(table, ", ".join(definitions)))
    names = ", ".join(f'"{name}"' for name in columns)
    casts = ", ".join("%s::text::{}".format(kind.replace("serial", "integer")) for kind in columns.values())
    for row in source.execute(f"SELECT {names} FROM {table}"):
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({casts})", row)
    if "id" in columns:
        connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")


class Cluster:
    """A PostgreSQL that listens on loopback, with the role and database of GPUStack."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, database: str = "gpustack") -> Any:
        """A connection that writes at once."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user="root", dbname=database, autocommit=True)


def _binaries() -> str | None:
    found = shutil.which("pg_ctl")
    candidates = [os.path.dirname(found)] if found else []
    candidates += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return next((path for path in candidates if os.path.exists(os.path.join(path, "initdb"))), None)


def _user() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster for as long as the context lasts."""
    binaries = _binaries()
    if binaries is None:
        pytest.fail("PostgreSQL's server is not installed; `make tools` installs it")
    directory = tempfile.mkdtemp(prefix="fleetops-gpustack-postgres-")
    data, port = os.path.join(directory, "data"), _free_port()
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        _run(binaries, "initdb", "-D", data, "-U", "root", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        _run(binaries, "pg_ctl", "-D", data, "-o", options, "-l", os.path.join(directory, "log"), "-w", "start")
        try:
            with contextlib.closing(Cluster(port).connect("postgres")) as connection:
                connection.execute("CREATE DATABASE gpustack")
            yield Cluster(port)
        finally:
            _run(binaries, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(directory)


def _run(binaries: str, program: str, *arguments: str) -> None:
    subprocess.run(
        [*_user(), os.path.join(binaries, program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/"
    )
