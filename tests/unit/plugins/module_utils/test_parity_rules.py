# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules per release."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _parity_rules, _releases


def rule(release: str, target: str) -> _parity_rules.TableRule:
    return next(item for item in _parity_rules.rules_for(release) if item.target == target)


@pytest.mark.parametrize("release", sorted(_releases.RELEASES))
def test_every_table_of_the_migration_has_a_rule(release: str) -> None:
    assert {item.table for item in _parity_rules.rules_for(release)} == {
        "system_loads",
        "workers",
        "users",
        "api_keys",
        "model_files",
        "models",
        "model_instances",
        "modelinstancemodelfilelink",
        "model_usages",
    }


@pytest.mark.parametrize("release", sorted(_releases.RELEASES))
def test_ollama_rows_are_dropped_where_the_release_table_says_so(release: str) -> None:
    dropping = [item.table for item in _parity_rules.rules_for(release) if item.dropped]
    expected = ["model_files", "models", "model_instances", "modelinstancemodelfilelink", "model_usages"]
    assert dropping == (expected if _releases.RELEASES[release].drops_ollama else [])


def test_users_move_in_2_2() -> None:
    assert rule("2.1.2", "users").renamed == {}
    assert rule("v2.2.0", "principals").target_column("username") == "name"
    assert rule("2.2.3", "user_passwords").only == ("hashed_password", "require_password_change")


def test_a_release_newer_than_the_table_has_the_newest_rules() -> None:
    assert _parity_rules.rules_for("2.9.0") == _parity_rules.rules_for("2.2.3")


@pytest.mark.parametrize(
    ("before", "after"),
    [("vllm", "vLLM"), ("ascend-mindie", "MindIE"), ("vox-box", "VoxBox"), ("llama-box", "llama-box"), (None, None)],
)
def test_backends(before: str | None, after: str | None) -> None:
    assert _parity_rules.backend({"backend": before}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        ({}, {}),
        ({"gpu_ids": None}, {"gpu_ids": None}),
        (
            {"gpu_ids": ["a:npu:0", "b:dcu:1", "c:mlu:2", "d:cuda:3"]},
            {"gpu_ids": ["a:cann:0", "b:dtk:1", "c:neuware:2", "d:cuda:3"]},
        ),
        ({"gpu_ids": ["npu", "a:b:npu:0", 7], "x": 1}, {"gpu_ids": ["npu", "a:b:npu:0", 7], "x": 1}),
    ],
)
def test_gpu_selectors(before: Any, after: Any) -> None:
    assert _parity_rules.gpu_selector({"gpu_selector": before}) == after


def test_the_index_of_a_modelscope_file() -> None:
    row = {
        "source": "MODEL_SCOPE",
        "model_scope_model_id": "deepseek-ai/x",
        "model_scope_file_path": "*Q4*.gguf",
        "source_index": "old",
        "deleted_at": None,
    }
    # What 2.2.3 wrote for this row.
    new = "2d339c3493db903ecc51fa76f7b3b7edf4471741ff9b6a63f95867723184414e"
    assert _parity_rules.source_index(row) == new
    assert _parity_rules.source_index(dict(row, source="HUGGING_FACE")) == "old"
    assert _parity_rules.source_index(dict(row, deleted_at="2026-11-24")) == "old"


def test_a_user_without_a_full_name_is_shown_by_the_user_name() -> None:
    assert _parity_rules.display_name({"username": "olivia", "full_name": None}) == "olivia"
    assert _parity_rules.display_name({"username": "olivia", "full_name": ""}) == ""


def test_added_rows_are_explained_by_value_prefix_or_place() -> None:
    by_value = _parity_rules.AddedRows("r", "name", values=("default",))
    by_prefix = _parity_rules.AddedRows("r", "name", prefixes=("system/",))
    by_place = _parity_rules.AddedRows("r", above_old_keys=True)
    assert by_value.explains({"name": "default"}, above=False)
    assert not by_value.explains({"name": "system/x"}, above=True)
    assert by_prefix.explains({"name": "system/x"}, above=False)
    assert not by_prefix.explains({"name": None}, above=True)
    assert by_place.explains({}, above=True)
    assert not by_place.explains({}, above=False)
