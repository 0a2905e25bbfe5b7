# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who counts as a user of a data directory, and who does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _directory_users
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records


class Reader:
    """An engine that is read; its socket is any path that exists."""

    def __init__(self, path: str, *records: dict[str, Any]) -> None:
        self.path, self.records = path, records

    def containers(self) -> list[dict[str, Any]]:
        return list(self.records)

    def inspect_all(self, names: Any) -> list[dict[str, Any]]:
        return [record for record in self.records if record["Id"] in set(names)]


def users(directory: str, running: bool = True, **mount: Any) -> list[str]:
    record = engine_records.container(mounts=[{**engine_records.bind(directory), **mount}], running=running)
    return _directory_users.containers(Reader("/", record), "/data/gpustack")  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["/data/gpustack", "/data", "/"])
def test_a_running_container_that_may_write_there_uses_it(source: str) -> None:
    assert users(source) == ["gpustack"]


def test_a_stopped_container_does_not(tmp_path: Path) -> None:
    assert users("/data/gpustack", running=False) == []


def test_monitoring_that_reads_the_whole_host_does_not() -> None:
    assert users("/", RW=False) == []


def test_a_reader_of_the_directory_itself_does() -> None:
    assert users("/data/gpustack", RW=False) == ["gpustack"]


@pytest.mark.parametrize("source", ["/data/gpustack2", "/data/gpustack/cache", "/srv"])
def test_a_neighbour_or_a_cache_below_does_not(source: str) -> None:
    assert users(source) == []


def test_a_directory_by_another_path_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    record = engine_records.container(mounts=[engine_records.bind(str(tmp_path / "real"))])
    reader = Reader("/", record)
    assert _directory_users.containers(reader, str(tmp_path / "link")) == ["gpustack"]  # type: ignore[arg-type]


def test_a_host_without_an_engine_has_no_containers() -> None:
    assert _directory_users.containers(Reader("/no/such/socket"), "/data") == []  # type: ignore[arg-type]


def test_an_open_file_is_found_by_whatever_name_it_was_opened(tmp_path: Path) -> None:
    (tmp_path / "database.db").write_bytes(b"")
    os.link(str(tmp_path / "database.db"), str(tmp_path / "other name"))
    with open(str(tmp_path / "other name"), "rb"):
        assert _directory_users.processes([str(tmp_path / "database.db")]) == [os.getpid()]
    assert _directory_users.processes([str(tmp_path / "database.db"), str(tmp_path / "gone")]) == []
