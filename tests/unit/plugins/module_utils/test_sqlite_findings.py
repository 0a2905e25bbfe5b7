# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of a legacy database that deserve a word before the upgrade."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _sqlite_reader
from ansible_collections.fleetops.gpustack.plugins.module_utils._sqlite_findings import (
    ITEM_LIMIT,
    findings,
    spans_workers,
)
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import insert, make


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty 0.7.1 database with one worker."""
    connection = make(tmp_path / "database.db")
    insert(connection, "workers", id=1, name="w", status="{}")
    yield connection
    connection.close()


def found(connection: sqlite3.Connection, release: str = "0.7.1") -> dict[str, dict[str, Any]]:
    """The findings by code."""
    violations = _sqlite_reader.foreign_key_violations(connection)
    tables = [table for table in _sqlite_reader.MIGRATED_TABLES if table in _sqlite_reader.table_names(connection)]
    return {finding["code"]: finding for finding in findings(connection, tables, release, violations)}


def model(connection: sqlite3.Connection, name: str = "m", number: int = 1, **columns: Any) -> None:
    """A model."""
    row = {"source": "HUGGING_FACE", "huggingface_repo_id": "o/n", "backend": "vllm", **columns}
    insert(connection, "models", id=number, name=name, **row)


def test_a_database_without_peculiarities_has_no_findings(database: sqlite3.Connection) -> None:
    model(database)
    insert(database, "users", id=1, username="admin", source="Local")
    insert(database, "api_keys", id=1, name="k", user_id=1)
    insert(database, "model_usages", id=1, user_id=1, model_id=1, prompt_token_count=2**31 - 1)
    insert(database, "model_files", id=1, source="HUGGING_FACE", size=2**40)
    insert(database, "model_instances", id=1, name="m-1", model_id=1, distributed_servers="null")
    assert found(database) == {}


def test_models_of_the_ollama_library_with_all_that_goes_with_them(database: sqlite3.Connection) -> None:
    model(database, "llama3", source="OLLAMA_LIBRARY", ollama_library_model_name="llama3:8b", backend="llama-box")
    insert(database, "users", id=1, username="admin", source="Local")
    insert(database, "model_instances", id=1, name="llama3-1", model_id=1, source="OLLAMA_LIBRARY")
    insert(database, "model_files", id=1, source="OLLAMA_LIBRARY", ollama_library_model_name="llama3:8b")
    for number in (1, 2):
        insert(database, "model_usages", id=number, user_id=1, model_id=1, prompt_token_count=1)
    codes = found(database)
    assert codes["ollama_models"]["rows"] == ["llama3"]
    assert codes["ollama_instances"]["rows"] == ["llama3-1"]
    assert codes["ollama_files"]["rows"] == ["llama3:8b"]
    assert (codes["ollama_usages"]["count"], codes["ollama_usages"]["rows"]) == (2, ["llama3"])
    assert "llama_box_models" not in codes


@pytest.mark.parametrize(
    ("columns", "is_llama_box"),
    [
        ({"backend": "llama-box"}, True),
        ({"backend": None, "huggingface_filename": "q4.gguf"}, True),
        ({"backend": "", "source": "LOCAL_PATH", "local_path": "/models/q4.gguf"}, True),
        ({"backend": None}, False),
        ({"backend": "vllm", "huggingface_filename": "q4.gguf"}, False),
    ],
)
def test_models_of_llama_box(database: sqlite3.Connection, columns: dict[str, Any], is_llama_box: bool) -> None:
    model(database, **columns)
    assert ("llama_box_models" in found(database)) is is_llama_box


def test_a_backend_version_of_ones_own(database: sqlite3.Connection) -> None:
    model(database, backend_version="0.8.5")
    assert found(database)["backend_version_set"]["rows"] == ["m (vllm 0.8.5)"]


def test_instances_across_workers_on_a_backend_that_cannot_do_so_any_more(database: sqlite3.Connection) -> None:
    spanning = '{"subordinate_workers": [{"worker_id": 2}]}'
    model(database, "boxed", 1, backend="llama-box")
    model(database, "fine", 2, backend="vllm")
    insert(database, "model_instances", id=1, name="boxed-1", model_id=1, distributed_servers=spanning)
    insert(database, "model_instances", id=2, name="fine-1", model_id=2, distributed_servers=spanning)
    assert found(database)["custom_distributed"]["rows"] == ["boxed-1"]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        (None, False),
        ("null", False),
        ("not JSON", False),
        ('{"subordinate_workers": []}', False),
        ('{"rpc_servers": [{"worker_id": 2}]}', True),
        ('{"ray_actors": [{"worker_id": 2}]}', True),
    ],
)
def test_what_spans_workers(text: str | None, spans: bool) -> None:
    assert spans_workers(text) is spans


def test_models_but_no_worker(database: sqlite3.Connection) -> None:
    model(database)
    database.execute("DELETE FROM workers")
    assert found(database)["models_without_workers"]["rows"] == ["m"]


def test_user_names_and_sources(database: sqlite3.Connection) -> None:
    for number, (name, source) in enumerate(
        [("default", "Local"), ("twin", "OIDC"), ("twin", "SAML"), ("odd", "LDAP")]
    ):
        insert(database, "users", id=number, username=name, source=source)
    codes = found(database)
    assert codes["username_default"]["rows"] == ["default"]
    assert codes["duplicate_usernames"]["rows"] == ["twin"]
    assert codes["unknown_user_source"]["rows"] == ["odd"]


def test_a_model_name_that_is_too_long(database: sqlite3.Connection) -> None:
    model(database, "m" * 256)
    assert found(database)["long_model_name"]["count"] == 1


def test_integers_that_do_not_fit(database: sqlite3.Connection) -> None:
    insert(database, "users", id=1, username="a", source="Local")
    model(database)
    insert(database, "model_usages", id=1, user_id=1, model_id=1, prompt_token_count=2**31)
    insert(database, "model_usages", id=2, user_id=1, model_id=1, prompt_token_count=-(2**31) - 1)
    finding = found(database)["int32_overflow"]
    assert (finding["table"], finding["count"]) == ("model_usages", 2)
    assert finding["rows"] == ["model_usages.prompt_token_count: 2"]


@pytest.mark.parametrize("column", ["username", "full_name"])
def test_texts_with_a_nul(database: sqlite3.Connection, column: str) -> None:
    row = {"username": "a", "full_name": "b", column: "x\x00y"}
    insert(database, "users", id=1, source="Local", **row)
    assert found(database)["nul_bytes"]["rows"] == [f"users.{column}: 1"]


def test_rows_that_point_to_nothing(database: sqlite3.Connection) -> None:
    insert(database, "api_keys", id=1, name="k", user_id=99)
    insert(database, "model_usages", id=1, user_id=99, model_id=98, prompt_token_count=1)
    violations = _sqlite_reader.foreign_key_violations(database)
    orphans = [each for each in findings(database, ["api_keys"], None, violations) if each["code"] == "orphan_rows"]
    assert [(each["table"], each["count"], each["rows"]) for each in orphans] == [
        ("api_keys", 1, ["api_keys without users: 1"]),
        ("model_usages", 2, ["model_usages without models: 1", "model_usages without users: 1"]),
    ]


@pytest.mark.parametrize(("release", "matters"), [("0.3.2", True), ("0.4.1", True), ("0.5.1", False), ("0.7.1", False)])
def test_a_worker_without_status_matters_up_to_0_4(database: sqlite3.Connection, release: str, matters: bool) -> None:
    insert(database, "workers", id=2, name="silent", status=None)
    assert ("null_worker_status" in found(database, release)) is matters


def test_a_schema_without_the_columns_is_not_asked_for_them(database: sqlite3.Connection) -> None:
    database.execute("DROP TABLE users")
    database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR)")
    assert "unknown_user_source" not in found(database)


def test_items_are_bounded_and_the_count_is_not(database: sqlite3.Connection) -> None:
    for number in range(ITEM_LIMIT + 5):
        model(database, f"m{number}", number, backend="llama-box")
    finding = found(database)["llama_box_models"]
    assert (finding["count"], len(finding["rows"])) == (ITEM_LIMIT + 5, ITEM_LIMIT)
