# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's own part: parameters and refusals. What it does is tested where it is done."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.fleetops.gpustack.plugins.modules import legacy_install
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module


def test_a_run_id_is_a_time(tmp_path: Path) -> None:
    assert "is no time such as" in run_module("legacy_install", tmp_path, run_id="today")["msg"]


def test_a_host_without_an_engine_is_refused_with_the_way_out(tmp_path: Path) -> None:
    result = run_module(
        "legacy_install",
        tmp_path,
        check_mode=True,
        docker_host=f"unix://{tmp_path}/no.sock",
        state_dir=str(tmp_path / "state"),
    )
    assert result["failed"] is True
    assert "There is no Docker engine" in result["msg"]
    assert not (tmp_path / "state").exists()


def test_data_in_the_containers_own_layer_is_in_no_directory_to_restore_into() -> None:
    record = engine_records.container(mounts=[], running=False)
    record["GraphDriver"] = {"Data": {"UpperDir": "/var/lib/docker/overlay2/a/diff"}}
    assert legacy_install.result_of(record, None)["data_dir"] is None
