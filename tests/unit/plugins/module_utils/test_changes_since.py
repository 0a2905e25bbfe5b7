# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people did since an upgrade, found between real SQLite and a real PostgreSQL."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _changes_since, _parity, _postgres
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.upgraded_database import (
    Cluster,
    make_snapshot,
    migrate,
    running_cluster,
)

#: The tables in which users and their passwords are.
USERS = {"2.0.3": ("users", "username"), "2.2.3": ("principals", "name")}
PASSWORDS = {
    "2.0.3": "UPDATE users SET hashed_password = '$new' WHERE id = 2",
    "2.2.3": "UPDATE user_passwords SET hashed_secret = '$new' WHERE owner_principal_id = 2",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as started:
        yield started


class Server:
    """A v2 server right after its upgrade; people then work on it."""

    def __init__(self, cluster: Cluster, directory: Path, release: str) -> None:
        self.cluster, self.directory, self.release = cluster, directory, release
        self.snapshot = directory / "database.db"
        make_snapshot(self.snapshot, release)
        with contextlib.closing(cluster.connect()) as connection:
            migrate(self.snapshot, connection, release)
        self.users, self.name = USERS[release]

    def do(self, statement: str) -> None:
        with contextlib.closing(self.cluster.connect()) as connection:
            connection.execute(statement)

    def changes(self) -> list[dict[str, Any]]:
        connection = _postgres.connect(str(self.directory), "127.0.0.1", self.cluster.port)
        with contextlib.closing(connection):
            report = _parity.compare(str(self.snapshot), connection, self.release)
            return _changes_since.changes(str(self.snapshot), connection, self.release, report)


@pytest.fixture(params=sorted(USERS))
def server(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Server:
    return Server(cluster, tmp_path, request.param)


def change(kind: str, what: str, *names: str) -> dict[str, Any]:
    return {"kind": kind, "change": what, "count": len(names), "names": list(names)}


def test_what_the_new_server_makes_by_itself_is_nobodys_change(server: Server) -> None:
    server.do("INSERT INTO system_loads (timestamp, cpu) VALUES (1900000000, 5)")
    server.do("UPDATE workers SET state = 'READY', heartbeat_time = now(), updated_at = now()")
    server.do("UPDATE models SET ready_replicas = 1, updated_at = now()")
    assert server.changes() == []


def test_added_users_keys_models_and_workers_are_named(server: Server) -> None:
    server.do(f"INSERT INTO {server.users} ({server.name}) VALUES ('new person'), ('李雷 2')")
    server.do("INSERT INTO api_keys (name, user_id) VALUES ('new key', 1)")
    server.do("INSERT INTO models (name, source) VALUES ('new model', 'HUGGING_FACE')")
    server.do("INSERT INTO workers (name) VALUES ('new worker')")
    assert sorted(server.changes(), key=str) == sorted(
        [
            change("user", "added", "new person", "李雷 2"),
            change("API key", "added", "new key"),
            change("model", "added", "new model"),
            change("worker", "added", "new worker"),
        ],
        key=str,
    )


def test_a_changed_model_is_named_with_what_changed(server: Server) -> None:
    server.do("UPDATE models SET replicas = 7 WHERE id = 1")
    assert server.changes() == [change("model", "changed", "qwen3 (replicas)")]


def test_a_changed_password_is_a_change_of_its_user(server: Server) -> None:
    server.do(PASSWORDS[server.release])
    (found,) = server.changes()
    assert (found["kind"], found["change"], found["count"]) == ("user", "changed", 1)
    assert found["names"][0].startswith("jörg (")


@pytest.mark.parametrize("statement", ["DELETE FROM api_keys", "UPDATE api_keys SET deleted_at = now()"])
def test_a_deleted_key_is_named_however_it_was_deleted(server: Server, statement: str) -> None:
    server.do(f"{statement} WHERE name = 'ci'")
    assert server.changes() == [change("API key", "deleted", "ci")]


def test_what_was_made_and_deleted_since_is_not_given_up(server: Server) -> None:
    server.do("INSERT INTO models (name, source, deleted_at) VALUES ('passing', 'HUGGING_FACE', now())")
    assert server.changes() == []


def test_usage_is_what_was_counted_since_in_old_rows_and_new_ones(server: Server) -> None:
    server.do("UPDATE model_usages SET request_count = request_count + 3, date = current_date WHERE id = 1")
    server.do("INSERT INTO model_usages (user_id, request_count, prompt_token_count, date) VALUES (1, 4, 50, now())")
    (found,) = [each for each in server.changes() if each["kind"] == "usage"]
    assert found == {"kind": "usage", "change": "added", "count": 50, "names": ["7 requests", "50 prompt tokens"]}


def test_what_the_comparison_does_not_name_is_counted(server: Server) -> None:
    server.do("INSERT INTO api_keys (name, user_id) SELECT 'key ' || n, 1 FROM generate_series(1, 25) n")
    named, other = server.changes()
    assert (named["change"], named["count"]) == ("added", 20)
    assert other == {"kind": "API key", "change": "other", "count": 5, "names": []}
