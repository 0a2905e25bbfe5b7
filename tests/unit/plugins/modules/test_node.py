# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's own part: parameters, refusals, what it shows. What it does is tested where it is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module


def node(tmp_path: Path, check_mode: bool = True, **parameters: Any) -> dict[str, Any]:
    """A call on a host that has no engine."""
    parameters.setdefault("docker_host", f"unix://{tmp_path}/no.sock")
    parameters.setdefault("state_dir", str(tmp_path / "state"))
    return run_module("node", tmp_path, check_mode, **parameters)


UPGRADE = {"state": "upgraded", "installation": "gpustack", "release": "2.2.3", "image": "gpustack/gpustack:v2.2.3"}


@pytest.mark.parametrize("missing", ["installation", "release", "image"])
def test_an_upgrade_says_what_it_needs(tmp_path: Path, missing: str) -> None:
    result = node(tmp_path, **{key: value for key, value in UPGRADE.items() if key != missing})
    assert result["failed"] is True
    assert missing in result["msg"]


def test_a_run_id_is_a_time(tmp_path: Path) -> None:
    assert "is no time such as" in node(tmp_path, **UPGRADE, run_id="today")["msg"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_host_without_an_engine_is_refused_with_the_way_out(tmp_path: Path, check_mode: bool) -> None:
    result = node(tmp_path, check_mode, **UPGRADE)
    assert result["failed"] is True
    assert "There is no Docker engine" in result["msg"]


@pytest.mark.parametrize("state", ["prepared", "upgraded", "finalized", "legacy"])
@pytest.mark.parametrize("directory", ["state_dir", "backup_dir"])
def test_a_directory_that_others_can_write_is_refused(tmp_path: Path, state: str, directory: str) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    result = node(tmp_path, False, **{**UPGRADE, "state": state, directory: str(tmp_path / "open")})
    assert "can be written by others" in result["msg"]
    assert list((tmp_path / "open").iterdir()) == []


def test_check_mode_creates_nothing(tmp_path: Path) -> None:
    node(tmp_path, **UPGRADE)
    assert not (tmp_path / "state").exists()


def test_going_back_on_a_host_that_was_never_switched_changes_nothing(tmp_path: Path) -> None:
    result = node(tmp_path, state="legacy")
    assert (result["changed"], result["outcome"]) == (False, "none")


def test_finalizing_a_host_that_was_never_switched_is_refused(tmp_path: Path) -> None:
    assert "nothing to finalize" in node(tmp_path, state="finalized")["msg"]


def test_secrets_are_hidden_and_plain_values_are_not(tmp_path: Path) -> None:
    environment = {"HF_TOKEN": "planted-hf", "GPUSTACK_DEBUG": "plain-value", "GPUSTACK_PORT": 8080}
    result = node(
        tmp_path, **UPGRADE, extra_env=environment, token="planted-token", registry_password="planted-password"
    )
    text = json.dumps(result)
    assert "planted" not in text
    shown = result["invocation"]["module_args"]["extra_env"]
    assert (shown["GPUSTACK_DEBUG"], shown["GPUSTACK_PORT"]) == ("plain-value", 8080)


def test_a_secret_among_the_arguments_is_hidden_before_it_is_refused(tmp_path: Path) -> None:
    arguments = ["--token", "planted-token", "--port", "8080", "--oidc-client-secret=planted-secret"]
    result = node(tmp_path, **UPGRADE, extra_args=arguments)
    assert "planted" not in json.dumps(result)
    assert result["invocation"]["module_args"]["extra_args"][2:4] == ["--port", "8080"]


def test_a_password_inside_a_url_is_hidden(tmp_path: Path) -> None:
    result = node(tmp_path, **UPGRADE, extra_env={"MIRROR": "https://user:planted-password@mirror"})
    assert "planted" not in json.dumps(result)
