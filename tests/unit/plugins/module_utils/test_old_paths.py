# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths of the old machine in a legacy database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _old_paths


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("C:\\models\\a b.gguf", ["C:\\models\\a b.gguf"]),
        ("\\\\nas\\models\\a.gguf", ["\\\\nas\\models\\a.gguf"]),
        ("/Library/Application Support/GPUStack/x", ["/Library/Application Support/GPUStack/x"]),
        ('["C:\\\\ProgramData\\\\GPUStack\\\\a.gguf", "/b"]', ["C:\\ProgramData\\GPUStack\\a.gguf", "/b"]),
        ("Qwen/Qwen3", []),
        ("[]", []),
        ('["relative"]', []),
    ],
)
def test_absolute_paths_of_either_system_are_found(text: str, paths: list[str]) -> None:
    assert _old_paths.paths_in(text) == paths


def test_every_table_with_a_path_is_looked_at_and_nothing_is_written(tmp_path: Path) -> None:
    connection = sqlite3.connect(str(tmp_path / "database.db"))
    connection.row_factory = sqlite3.Row
    connection.execute("CREATE TABLE models (id INTEGER, name TEXT, local_path TEXT)")
    connection.execute("CREATE TABLE model_files (id INTEGER, local_path TEXT, local_dir TEXT, resolved_paths JSON)")
    connection.execute("CREATE TABLE model_instances (id INTEGER, name TEXT, local_path TEXT, resolved_path TEXT)")
    connection.execute("INSERT INTO models VALUES (1, 'm', 'D:\\a.gguf'), (2, 'n', NULL)")
    connection.execute("INSERT INTO model_files VALUES (3, NULL, NULL, '[\"/x\"]')")
    connection.execute("INSERT INTO model_instances VALUES (4, 'm-1', NULL, '/y')")
    connection.commit()
    assert _old_paths.find(connection) == [
        {"table": "model_files", "row": "3", "path": "/x"},
        {"table": "model_instances", "row": "m-1", "path": "/y"},
        {"table": "models", "row": "m", "path": "D:\\a.gguf"},
    ]
    assert connection.total_changes == 4
