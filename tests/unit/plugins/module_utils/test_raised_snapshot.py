# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An old snapshot at the schema of 0.7.1: what is asked of the engine, what is believed of the answer.

The migrator itself is the image's; here a container is made up that changes the file as it would. The real one is in
tests/e2e/test_older_servers.py.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Callable

import old_databases
import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _raised_snapshot, _schema_trial, _snapshot

HEAD = "d19176de3b74"
IMAGE = "gpustack/gpustack:v2.2.3"
Migrator = Callable[[sqlite3.Connection], int]


class Container:
    """Does in `start` what the migrator would do to the file."""

    def __init__(self, client: Client, options: dict[str, Any]) -> None:
        self.client, self.options = client, options
        self.status, self.attrs = "created", {"State": {"ExitCode": 0}}
        self.name, self.labels = "raise", options["labels"]

    def start(self) -> None:
        (directory,) = self.options["volumes"]
        self.client.seen = sorted(os.listdir(directory))
        connection = sqlite3.connect(Path(directory, "database.db"))
        self.attrs["State"]["ExitCode"] = self.client.migrator(connection)
        connection.commit()
        connection.close()
        self.status = "exited"

    def reload(self) -> None:
        pass

    def logs(self, tail: int) -> bytes:
        return self.client.output.encode()

    def remove(self, force: bool, v: bool) -> None:
        self.client.removed.append(self.options["labels"])


class Client:
    """The part of the Docker SDK's client that is used."""

    def __init__(self, migrator: Migrator) -> None:
        self.migrator = migrator
        self.output = ""
        self.seen: list[str] = []
        self.removed: list[dict[str, str]] = []
        self.left: list[Container] = []
        self.options: dict[str, Any] = {}
        self.containers = self

    def list(self, **_which: Any) -> list[Container]:
        return self.left

    def create(self, image: str, **options: Any) -> Container:
        self.options = {"image": image, **options}
        return Container(self, options)


def raised(connection: sqlite3.Connection) -> int:
    """As the real one changes a database of 0.5.1, as far as it is looked at."""
    connection.execute("DELETE FROM api_keys WHERE user_id NOT IN (SELECT id FROM users)")
    connection.execute("UPDATE alembic_version SET version_num = ?", (HEAD,))
    return 0


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup's recovered copy of a real 0.5.1."""
    for name in ("data", "recovered"):
        (tmp_path / "backup" / name).mkdir(parents=True, mode=0o700)
    old_databases.make(tmp_path / "backup" / "data", "0.5.1")
    return tmp_path / "backup"


def run(backup: Path, client: Client) -> _raised_snapshot.Raised:
    facts = _snapshot.recover(str(backup / "data"), str(backup / "recovered"))
    labels = {"fleetops.gpustack.trial": "run"}
    return _raised_snapshot.raise_to_migration_head(client, IMAGE, str(backup), facts, labels)


def test_the_copy_is_raised_and_what_that_dropped_is_counted(backup: Path) -> None:
    done = run(backup, Client(raised))
    assert (done.head_before, done.facts.schema_head, done.dropped) == ("e6bf9e067296", HEAD, {"api_keys": 1})
    assert sorted(os.listdir(backup)) == ["data", "raised", "recovered"]
    manifest = {"database": {"schema_head": "e6bf9e067296"}}
    assert _raised_snapshot.database_to_compare(str(backup), manifest) == str(backup / "raised" / "database.db")


def test_the_backup_stays_as_it_is(backup: Path) -> None:
    _snapshot.recover(str(backup / "data"), str(backup / "recovered"))
    before = {name: (backup / name / "database.db").read_bytes() for name in ("data", "recovered")}
    run(backup, Client(raised))
    assert {name: (backup / name / "database.db").read_bytes() for name in before} == before


def test_the_container_is_alone_with_the_copy(backup: Path) -> None:
    client = Client(raised)
    run(backup, client)
    options = client.options
    assert (options["network_mode"], options["read_only"]) == ("none", True)
    assert list(options["volumes"]) == [str(backup / "raising")]
    assert client.seen == ["database.db"]
    assert not {"environment", "ports", "privileged", "devices"} & set(options)
    assert options["mem_limit"] > 0
    assert client.removed == [options["labels"]]


def test_leftovers_of_a_run_that_was_killed_are_removed_and_done_again(backup: Path) -> None:
    client = Client(raised)
    client.left = [Container(client, {"labels": {"left": "over"}})]
    (backup / "raising").mkdir()
    (backup / "raising" / "half").write_text("written")
    (backup / "raised").mkdir()
    (backup / "raised" / "database.db").write_text("half a copy")
    run(backup, client)
    assert {"left": "over"} in client.removed
    assert client.seen == ["database.db"]
    assert not (backup / "raising").exists()


def test_a_failure_names_the_cause_without_rows_and_leaves_no_copy(backup: Path) -> None:
    client = Client(lambda _connection: 1)
    client.output = (
        "Traceback (most recent call last):\nRuntimeError: Database upgrade failed: the JSON object must be str\n"
        "[SQL: UPDATE users SET hashed_password=?]\n[parameters: ('planted-hash',)]\n"
    )
    with pytest.raises(_raised_snapshot.RaiseError, match="the JSON object must be str") as error:
        run(backup, client)
    assert "planted-hash" not in str(error.value)
    assert IMAGE in str(error.value)
    assert sorted(os.listdir(backup)) == ["data", "recovered"]


def test_a_migrator_that_ends_well_with_another_schema_is_not_believed(backup: Path) -> None:
    with pytest.raises(_raised_snapshot.RaiseError, match="to schema e6bf9e067296, not to d19176de3b74"):
        run(backup, Client(lambda _connection: 0))


def test_rows_that_point_to_nothing_are_refused_before_postgresql_does(backup: Path) -> None:
    def orphans(connection: sqlite3.Connection) -> int:
        connection.execute("DELETE FROM models")
        return raised(connection)

    with pytest.raises(_raised_snapshot.RaiseError, match="rows of the database point to rows that are not there"):
        run(backup, Client(orphans))


def test_without_the_raised_copy_an_old_backup_is_not_compared(backup: Path) -> None:
    with pytest.raises(_snapshot.SnapshotError, match="schema of an older release"):
        _raised_snapshot.database_to_compare(str(backup), {"database": {"schema_head": "e6bf9e067296"}})


def test_of_0_7_1_the_recovered_copy_is_compared(backup: Path) -> None:
    (backup / "recovered" / "database.db").write_text("")
    found = _raised_snapshot.database_to_compare(str(backup), {"database": {"schema_head": HEAD}})
    assert found == str(backup / "recovered" / "database.db")


def test_a_trial_beside_the_serving_server_leaves_nothing(tmp_path: Path) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    data.mkdir()
    backups.mkdir(mode=0o700)
    path = old_databases.make(data, "0.6.2")
    before = path.read_bytes()
    done = _schema_trial.try_schema(Client(raised), IMAGE, str(data), True, str(backups), "run")
    assert (done.head_before, done.facts.schema_head) == ("c45e397531d1", HEAD)
    assert (os.listdir(backups), os.listdir(data), path.read_bytes()) == ([], ["database.db"], before)
