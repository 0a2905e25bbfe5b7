# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preparation as a whole, as far as it needs no engine: judgement of a GPU trial, and errors that end it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_trial, _lock, _prepare
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.module_run import run_command

GPU = {"vendor": "nvidia", "index": 0, "name": "NVIDIA A100", "memory": 80 * 1024**3, "uuid": "GPU-1"}


def result() -> dict[str, Any]:
    return {"changed": False, "actions": [], "warnings": [], "image": None, "gpus": None}


def test_the_same_gpus_pass_in_silence() -> None:
    found = result()
    _prepare._compare([GPU], [dict(GPU)], found)
    assert found["warnings"] == []


def test_another_name_only_warns() -> None:
    found = result()
    _prepare._compare([GPU], [{**GPU, "name": "A100 80GB"}], found)
    assert found["warnings"] == ["GPU 0 (nvidia): name was NVIDIA A100, is A100 80GB"]


def test_a_gpu_that_the_new_image_does_not_see_is_refused_with_both_lists() -> None:
    second = {**GPU, "index": 1, "uuid": "GPU-2"}
    with pytest.raises(_gpu_trial.TrialError) as caught:
        _prepare._compare([GPU, second], [GPU], result())
    assert "Legacy record: 0 nvidia NVIDIA A100, 1 nvidia NVIDIA A100. New image: 0 nvidia NVIDIA A100." in str(
        caught.value
    )


class Reader:
    """An engine with one container, as far as it is read."""

    def __init__(self, command: list[str] | None) -> None:
        self.command = command

    def inspect(self, container: str) -> dict[str, Any] | None:
        if self.command is None:
            return None
        config = {"Image": "gpustack/gpustack:v0.7.1", "Entrypoint": ["gpustack", "start"], "Cmd": self.command}
        return {"Id": container, "Name": "/any", "Config": config, "HostConfig": {}, "Mounts": [], "State": {}}


@pytest.mark.parametrize(
    ("command", "server"),
    [
        (["--server-url", "http://server", "--token", "t"], False),
        (["--port", "80"], True),
        (["--disable-worker"], True),
        (None, True),
    ],
)
def test_whatever_is_not_surely_a_worker_gets_the_servers_libraries(command: list[str] | None, server: bool) -> None:
    assert _prepare._is_server(Reader(command), "c1") is server  # type: ignore[arg-type]


def params(tmp_path: Path) -> dict[str, Any]:
    return {
        "state_dir": str(tmp_path / "state"),
        "run_id": "20261124T030000Z",
        "docker_host": f"unix://{tmp_path}/none",
    }


def test_a_host_without_an_engine_says_so_and_writes_nothing_in_check_mode(tmp_path: Path) -> None:
    given = {**params(tmp_path), "prepare_libraries": True, "installation": "c1"}
    with pytest.raises(_prepare.PrepareError, match="There is no Docker engine"):
        _prepare.run(given, True, lambda _step: None, run_command)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_prepare_one_host_at_a_time(tmp_path: Path) -> None:
    with _lock.HostLock(str(tmp_path / "state"), "other"), pytest.raises(_prepare.PrepareError, match="run other"):
        _prepare.run(params(tmp_path), False, lambda _step: None, run_command)
