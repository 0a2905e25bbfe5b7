# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots in real SQLite against a real PostgreSQL: what is equal, and that nothing else is."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _parity, _postgres
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.upgraded_database import (
    RELEASES,
    Cluster,
    make_snapshot,
    migrate,
    running_cluster,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL for the tests of this file."""
    with running_cluster() as started:
        yield started


class Upgrade:
    """A snapshot, and PostgreSQL after the upgrade to a release."""

    def __init__(self, cluster: Cluster, directory: Path, release: str) -> None:
        self.cluster = cluster
        self.release = release
        self.directory = directory
        self.snapshot = directory / "database.db"
        make_snapshot(self.snapshot, release)
        self.execute_with_snapshot()

    def execute_with_snapshot(self) -> None:
        with contextlib.closing(self.cluster.connect()) as connection:
            migrate(self.snapshot, connection, self.release)

    def execute(self, statement: str) -> None:
        """Change something in PostgreSQL."""
        with contextlib.closing(self.cluster.connect()) as connection:
            connection.execute(statement)

    def compare(self) -> dict[str, Any]:
        connection = _postgres.connect(str(self.directory), "127.0.0.1", self.cluster.port)
        with contextlib.closing(connection):
            return _parity.compare(str(self.snapshot), connection, self.release)


@pytest.fixture(params=sorted(RELEASES))
def upgrade(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Upgrade:
    """An upgrade to each release whose rules differ."""
    return Upgrade(cluster, tmp_path, request.param)


@pytest.fixture
def newest(cluster: Cluster, tmp_path: Path) -> Upgrade:
    """An upgrade to the default release."""
    return Upgrade(cluster, tmp_path, "2.2.3")


def table(report: dict[str, Any], target: str) -> dict[str, Any]:
    """The report of one table."""
    return next(item for item in report["tables"] if item["target"] == target)


def users_of(release: str) -> str:
    return "principals" if release == "2.2.3" else "users"


def test_an_upgraded_database_is_equal(upgrade: Upgrade) -> None:
    report = upgrade.compare()
    assert _parity.problems(report) == []
    assert report["equal"]


def test_rows_are_accounted_for(upgrade: Upgrade) -> None:
    report = upgrade.compare()
    ollama = 0 if upgrade.release == "2.0.0" else 1
    for item in report["tables"]:
        assert item["before"] - item["dropped"] + item["added"] == item["after"]
    assert table(report, "models")["dropped"] == ollama
    assert table(report, "model_usages")["dropped"] == ollama
    assert table(report, "modelinstancemodelfilelink")["dropped"] == ollama
    assert table(report, "models")["transformed"] == 2
    assert table(report, "system_loads")["identical"] == 25
    assert table(report, "system_loads")["added"] == 1
    assert sum(table(report, users_of(upgrade.release))["reasons"]["added"].values()) >= 2


def test_users_are_found_in_both_tables_of_2_2(newest: Upgrade) -> None:
    report = newest.compare()
    assert (table(report, "principals")["identical"], table(report, "principals")["transformed"]) == (2, 1)
    assert table(report, "user_passwords")["identical"] == 2


@pytest.mark.parametrize(
    ("statement", "target", "key", "column", "problem"),
    [
        ("DELETE FROM models WHERE id = 2", "models", {"id": 2}, None, "row is missing"),
        ("DELETE FROM system_loads WHERE id = 13", "system_loads", {"id": 13}, None, "row is missing"),
        ("UPDATE system_loads SET cpu = 9 WHERE id = 7", "system_loads", {"id": 7}, "cpu", "value differs"),
        ("UPDATE models SET backend = 'vllm' WHERE id = 1", "models", {"id": 1}, "backend", "value differs"),
        ("UPDATE models SET env = '{}' WHERE id = 1", "models", {"id": 1}, "env", "value differs"),
        ("UPDATE models SET categories = '[\"x\"]' WHERE id = 1", "models", {"id": 1}, "categories", "value differs"),
        ("UPDATE models SET created_at = now() WHERE id = 1", "models", {"id": 1}, "created_at", "value differs"),
        ("UPDATE workers SET worker_uuid = 'x'", "workers", {"id": 1}, "worker_uuid", "value differs"),
        ("UPDATE workers SET labels = '{}'", "workers", {"id": 1}, "labels", "value differs"),
        (
            "UPDATE api_keys SET hashed_secret_key = '$x' WHERE id = 1",
            "api_keys",
            {"id": 1},
            "hashed_secret_key",
            "value differs",
        ),
        ("UPDATE api_keys SET expires_at = NULL WHERE id = 1", "api_keys", {"id": 1}, "expires_at", "value differs"),
        ("UPDATE principals SET is_admin = true WHERE id = 2", "principals", {"id": 2}, "is_admin", "value differs"),
        (
            "UPDATE principals SET display_name = 'x' WHERE id = 2",
            "principals",
            {"id": 2},
            "display_name",
            "value differs",
        ),
        (
            "UPDATE user_passwords SET hashed_secret = '$x' WHERE owner_principal_id = 2",
            "user_passwords",
            {"owner_principal_id": 2},
            "hashed_secret",
            "value differs",
        ),
        (
            "DELETE FROM user_passwords WHERE owner_principal_id = 1",
            "user_passwords",
            {"owner_principal_id": 1},
            None,
            "row is missing",
        ),
        (
            "UPDATE model_files SET source_index = 'b' WHERE id = 2",
            "model_files",
            {"id": 2},
            "source_index",
            "value differs",
        ),
        (
            "INSERT INTO models (id, name) VALUES (9, 'new')",
            "models",
            {"id": 9},
            None,
            "row is new and nothing explains it",
        ),
        (
            "INSERT INTO models (id, name) VALUES (3, 'llama')",
            "models",
            {"id": 3},
            None,
            "row should have been dropped",
        ),
        (
            "INSERT INTO principals (id, name) VALUES (99, 'eve')",
            "principals",
            {"id": 99},
            None,
            "row is new and nothing explains it",
        ),
        ("ALTER TABLE models DROP COLUMN env", "models", {}, "env", "column is missing"),
        ("DROP TABLE system_loads", "system_loads", {}, None, "table is missing"),
    ],
)
def test_tampering_is_found(
    newest: Upgrade, statement: str, target: str, key: dict[str, int], column: str | None, problem: str
) -> None:
    newest.execute(statement)
    report = newest.compare()
    assert not report["equal"]
    assert {"key": key, "column": column, "problem": problem} in table(report, target)["differences"]
    assert [line for line in _parity.problems(report) if line.startswith(target + ":")]


def test_a_sequence_below_its_table_is_found(newest: Upgrade) -> None:
    newest.execute("SELECT setval('models_id_seq', 1)")
    report = newest.compare()
    assert not report["equal"]
    assert _parity.problems(report) == ["models: sequence public.models_id_seq is at 1, below the highest id 2"]


def test_another_schema_head_is_found(newest: Upgrade) -> None:
    newest.execute("UPDATE alembic_version SET version_num = 'd19176de3b74'")
    report = newest.compare()
    assert not report["equal"]
    assert _parity.problems(report) == ["schema head is d19176de3b74, release 2.2.3 has c4d7e8f9a0b1"]


def test_an_empty_target_is_found(newest: Upgrade) -> None:
    """The image was started without its migration: healthy, and nothing there."""
    for name in ("system_loads", "workers", "models", "model_files", "model_usages", "user_passwords", "api_keys"):
        newest.execute(f"DELETE FROM {name}")
    report = newest.compare()
    assert table(report, "system_loads")["difference_count"] == 25
    assert len(table(report, "system_loads")["differences"]) == _parity.NAMED_DIFFERENCES
    assert not report["equal"]


def test_a_snapshot_without_rows_does_not_pass_for_one_with_rows(newest: Upgrade) -> None:
    """A copy of the database without its WAL is empty; the server that was upgraded from the original is not."""
    with contextlib.closing(sqlite3.connect(str(newest.snapshot))) as connection:
        for name in ("system_loads", "workers", "users", "models"):
            connection.execute(f"DELETE FROM {name}")
        connection.commit()
    assert not newest.compare()["equal"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE workers SET state_message = 'x', unreachable = true, updated_at = now(), status = '{\"cpu\": 1}'",
        'UPDATE workers SET heartbeat_time = now(), labels = \'{"os": "linux", "x": "y"}\', ip = \'192.0.2.9\'',
        "UPDATE models SET ready_replicas = 1, updated_at = now(), meta = '{\"n\": 1}'",
        "UPDATE models SET categories = '[\"llm\"]', distributable = true WHERE id = 2",
        "DELETE FROM model_instances",
        "UPDATE model_files SET state_message = 'x', resolved_paths = '[]', updated_at = now()",
        "INSERT INTO model_usages (date) VALUES ('2026-11-25')",
    ],
)
def test_what_a_running_server_does_is_no_difference(newest: Upgrade, statement: str) -> None:
    newest.execute(statement)
    assert _parity.problems(newest.compare()) == []


def test_a_snapshot_of_0_7_0_lacks_two_columns(newest: Upgrade) -> None:
    with contextlib.closing(sqlite3.connect(str(newest.snapshot))) as connection:
        kept = "id, username, full_name, is_admin, hashed_password, require_password_change, created_at, updated_at"
        connection.execute(f"CREATE TABLE old AS SELECT {kept} FROM users")
        connection.execute("DROP TABLE users")
        connection.execute("ALTER TABLE old RENAME TO users")
        connection.execute("UPDATE alembic_version SET version_num = 'cbbc03c88985'")
        connection.commit()
    report = newest.compare()
    assert _parity.problems(report) == []
    assert report["schema_head"]["source"] == "cbbc03c88985"


def test_missing_instances_are_worth_a_warning(newest: Upgrade) -> None:
    newest.execute("DELETE FROM model_instances")
    assert newest.compare()["warnings"]


@pytest.mark.parametrize(("count", "equal"), [(5, True), (1, False)])
def test_usage_of_the_day_of_the_snapshot_may_only_grow(newest: Upgrade, count: int, equal: bool) -> None:
    noon = 1764072000  # 2025-11-25
    with contextlib.closing(sqlite3.connect(str(newest.snapshot))) as connection:
        connection.execute("UPDATE model_usages SET date = '2025-11-25', request_count = 2")
        connection.commit()
    os.utime(str(newest.snapshot), (noon, noon))
    newest.execute(f"UPDATE model_usages SET date = '2025-11-25', request_count = {count}")
    assert newest.compare()["equal"] is equal


def test_usage_of_an_older_day_may_not_change(newest: Upgrade) -> None:
    newest.execute("UPDATE model_usages SET request_count = 99, date = '2026-11-01' WHERE id = 1")
    os.utime(str(newest.snapshot), (1795608000, 1795608000))  # 2026-11-25
    assert not newest.compare()["equal"]


def test_secrets_stay_inside(newest: Upgrade) -> None:
    newest.execute("UPDATE user_passwords SET hashed_secret = '$planted'")
    newest.execute("UPDATE api_keys SET hashed_secret_key = '$planted', access_key = 'planted'")
    text = json.dumps(newest.compare())
    for secret in ("$planted", "planted", "$one", "$two", "$key", "20ced44fb2a0321b"):
        assert secret not in text


def test_many_rows_are_compared_in_batches(newest: Upgrade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parity, "_BATCH", 4)
    newest.execute("UPDATE system_loads SET gpu = 1 WHERE id = 22")
    report = table(newest.compare(), "system_loads")
    assert (report["before"], report["after"], report["identical"], report["difference_count"]) == (25, 26, 24, 1)


def test_the_comparison_cannot_write(newest: Upgrade) -> None:
    connection = _postgres.connect(str(newest.directory), "127.0.0.1", newest.cluster.port)
    refused = pytest.raises(_postgres.driver().errors.ReadOnlySqlTransaction)
    with contextlib.closing(connection), refused:
        connection.execute("DELETE FROM models")


def test_a_snapshot_that_was_not_recovered_is_refused(newest: Upgrade) -> None:
    Path(str(newest.snapshot) + "-wal").write_bytes(b"x")
    with pytest.raises(_parity.ParityError, match="no recovered copy"):
        newest.compare()
