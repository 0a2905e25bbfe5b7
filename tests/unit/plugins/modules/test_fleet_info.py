# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on real databases of both generations."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import insert, make
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.upgraded_database import (
    Cluster,
    running_cluster,
)
from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module

UUID = "11111111-2222-4333-8444-555555555501"
GPU = {"index": 0, "name": "A100", "memory": {"total": 80}, "uuid": "GPU-0"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL with the tables that are read, and with a secret in a column that is not."""
    with running_cluster() as started:
        with contextlib.closing(started.connect()) as connection:
            connection.execute("CREATE TYPE state AS ENUM ('READY', 'NOT_READY')")
            connection.execute(
                "CREATE TABLE workers (id serial, name text, hostname text, ip text, port integer, worker_uuid text,"
                " state state, state_message text, heartbeat_time timestamp, status json,"
                " system_reserved json, token text)"
            )
            connection.execute(
                "CREATE TABLE models (id serial, name text, source text, huggingface_repo_id text,"
                " huggingface_filename text, model_scope_model_id text, model_scope_file_path text, local_path text,"
                " backend text, backend_version text, replicas integer, ready_replicas integer)"
            )
            connection.execute(
                "CREATE TABLE model_instances (id serial, name text, model_id integer, model_name text,"
                " worker_id integer, worker_name text, distributed_servers json, gpu_indexes json, state text,"
                " state_message text, updated_at timestamp)"
            )
        yield started


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A 0.7.1 server that runs."""
    status = json.dumps({"gpu_devices": [dict(GPU, vendor="NVIDIA", type="cuda")]})
    with contextlib.closing(make(tmp_path / "database.db")) as connection:
        insert(
            connection,
            "workers",
            id=2,
            name="gpu-1",
            state="READY",
            worker_uuid=UUID,
            status=status,
            heartbeat_time="2026-11-24 02:52:10.175332",
        )
        insert(connection, "models", id=1, name="qwen3", source="HUGGING_FACE", huggingface_repo_id="Qwen/Q")
        yield tmp_path


def set_worker(cluster: Cluster, state: str) -> None:
    """The worker as 2.x has it."""
    status = json.dumps({"gpu_devices": [dict(GPU, vendor="nvidia", type="cuda")]})
    with contextlib.closing(cluster.connect()) as connection:
        connection.execute("DELETE FROM workers")
        connection.execute(
            "INSERT INTO workers (id, name, worker_uuid, state, status, heartbeat_time, token)"
            " VALUES (2, 'gpu-1', %s, %s, %s, '2026-11-24 03:00:00', 'planted-secret')",
            (UUID, state, status),
        )


def legacy(data_dir: Path) -> dict[str, Any]:
    return run_module("fleet_info", data_dir, generation="legacy", data_dir=str(data_dir))


def v2(data_dir: Path, cluster: Cluster, **parameters: Any) -> dict[str, Any]:
    return run_module("fleet_info", data_dir, generation="v2", data_dir=str(data_dir), port=cluster.port, **parameters)


def test_both_generations_have_one_form(data_dir: Path, cluster: Cluster) -> None:
    set_worker(cluster, "READY")
    before, after = legacy(data_dir), v2(data_dir, cluster)
    assert before["models"][0]["reference"] == "Qwen/Q"
    for key in ("id", "name", "uuid", "state", "gpus"):
        assert before["workers"][0][key] == after["workers"][0][key]


def test_what_was_read_before_can_be_expected_after(data_dir: Path, cluster: Cluster) -> None:
    set_worker(cluster, "READY")
    result = v2(data_dir, cluster, expected=legacy(data_dir)["workers"])
    assert result["judgements"] == [{"name": "gpu-1", "problems": [], "warnings": []}]
    assert not result["changed"]


def test_a_secret_beside_the_record_is_not_returned(data_dir: Path, cluster: Cluster) -> None:
    set_worker(cluster, "READY")
    assert "planted-secret" not in json.dumps(v2(data_dir, cluster))


def test_it_waits_until_the_worker_is_back(data_dir: Path, cluster: Cluster) -> None:
    set_worker(cluster, "NOT_READY")
    back = threading.Timer(3, set_worker, (cluster, "READY"))
    back.start()
    result = v2(data_dir, cluster, expected=legacy(data_dir)["workers"], wait=30)
    back.join()
    assert not result.get("failed")
    assert 1 < result["seconds"] < 20


def test_a_worker_that_stays_away_fails_in_time(data_dir: Path, cluster: Cluster) -> None:
    set_worker(cluster, "NOT_READY")
    started = time.monotonic()
    result = v2(data_dir, cluster, expected=legacy(data_dir)["workers"], wait=3)
    assert 3 <= time.monotonic() - started < 15
    assert result["failed"]
    assert "worker gpu-1: its state is not_ready" in result["msg"]
    assert result["workers"][0]["name"] == "gpu-1"


def test_or_is_only_reported(data_dir: Path, cluster: Cluster) -> None:
    set_worker(cluster, "NOT_READY")
    result = v2(data_dir, cluster, expected=legacy(data_dir)["workers"], on_timeout="report")
    assert not result.get("failed")
    assert result["judgements"][0]["problems"] == ["its state is not_ready"]


def test_a_heartbeat_must_be_new(data_dir: Path, cluster: Cluster) -> None:
    set_worker(cluster, "READY")
    result = v2(data_dir, cluster, expected=legacy(data_dir)["workers"], since=1795489201.0)
    assert "no heartbeat since its container started" in result["msg"]


def test_no_database_fails(tmp_path: Path) -> None:
    assert "name the data directory" in legacy(tmp_path)["msg"]


def test_no_server_fails_with_the_address(tmp_path: Path) -> None:
    result = run_module("fleet_info", tmp_path, generation="v2", data_dir=str(tmp_path), port=1)
    assert "PostgreSQL at 127.0.0.1:1 " in result["msg"]
