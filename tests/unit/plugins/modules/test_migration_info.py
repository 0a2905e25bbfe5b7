# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against a real PostgreSQL."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.upgraded_database import (
    Cluster,
    make_snapshot,
    migrate,
    running_cluster,
)
from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL for the tests of this file."""
    with running_cluster() as started:
        yield started


@pytest.fixture
def backup(cluster: Cluster, tmp_path: Path) -> Path:
    """A backup of a server that was then upgraded to 2.0.3."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    make_snapshot(data_dir / "database.db", "2.0.3")
    _snapshot.save(str(data_dir), str(tmp_path / "backup"), running=False)
    with contextlib.closing(cluster.connect()) as connection:
        migrate(tmp_path / "backup" / "recovered" / "database.db", connection, "2.0.3")
    return tmp_path / "backup"


def call(backup: Path, port: int, **parameters: Any) -> dict[str, Any]:
    settings = {"snapshot": str(backup), "release": "v2.0.3", "data_dir": str(backup.parent / "data"), "port": port}
    settings.update(parameters)
    return run_module("migration_info", backup.parent, **settings)


def test_an_upgraded_server_is_equal(cluster: Cluster, backup: Path) -> None:
    result = call(backup, cluster.port)
    assert result["problems"] == []
    assert (result["equal"], result["changed"]) == (True, False)


def test_a_lost_row_is_reported_and_does_not_fail(cluster: Cluster, backup: Path) -> None:
    with contextlib.closing(cluster.connect()) as connection:
        connection.execute("DELETE FROM models WHERE id = 1")
    result = call(backup, cluster.port, snapshot=str(backup / "recovered" / "database.db"))
    assert not result.get("failed")
    assert result["problems"] == ["models: 1 differences (id=1 row is missing)"]


def test_a_backup_that_was_changed_fails(cluster: Cluster, backup: Path) -> None:
    with open(str(backup / "recovered" / "database.db"), "ab") as stream:
        stream.write(b"x")
    assert "is not what the manifest says" in call(backup, cluster.port)["msg"]


def test_no_server_fails_with_the_address(backup: Path) -> None:
    assert "PostgreSQL at 127.0.0.1:1 " in call(backup, 1)["msg"]


def test_an_unknown_release_fails(cluster: Cluster, backup: Path) -> None:
    assert "not in the release table" in call(backup, cluster.port, release="1.0.0")["msg"]
