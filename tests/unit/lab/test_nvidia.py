# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.lab import nvidia
from tests.lab.hosts import Host, daemon_settings


@pytest.fixture
def injection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The stand-in toolkit's module, over a table of two GPUs."""
    spec = importlib.util.spec_from_file_location("injection", nvidia.CONTEXT / "injection.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    table = tmp_path / "gpus.csv"
    table.write_text(nvidia.table(2, seed="somewhere"))
    monkeypatch.setattr(module, "TABLE", table)
    return module


def test_a_host_shows_the_same_gpus_whenever_it_is_made() -> None:
    assert nvidia.table(2, seed="a") == nvidia.table(2, seed="a")
    assert nvidia.table(2, seed="a") != nvidia.table(2, seed="b")


@pytest.mark.parametrize(
    ("value", "indexes"), [("all", ["0", "1"]), ("1", ["1"]), ("0,1", ["0", "1"]), ("none", []), ("void", []), ("", [])]
)
def test_a_container_sees_the_gpus_that_its_environment_names(
    injection: ModuleType, value: str, indexes: list[str]
) -> None:
    assert [row[0] for row in injection.visible([f"NVIDIA_VISIBLE_DEVICES={value}", "A=b"])] == indexes


def test_gpus_may_be_named_by_uuid(injection: ModuleType) -> None:
    rows = injection.visible(["NVIDIA_VISIBLE_DEVICES=all"])
    assert injection.visible([f"NVIDIA_VISIBLE_DEVICES={rows[1][1]}"]) == [rows[1]]


def test_a_container_that_names_none_gets_none(injection: ModuleType) -> None:
    assert injection.visible(["PATH=/bin"]) == []
    assert injection.nodes([]) == []


def test_control_nodes_come_with_every_gpu(injection: ModuleType) -> None:
    rows = injection.visible(["NVIDIA_VISIBLE_DEVICES=1"])
    assert injection.nodes(rows) == ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia1"]


def test_the_nvidia_runtime_is_registered_on_gpu_hosts_alone() -> None:
    assert "runtimes" not in daemon_settings(Host("f", "cpu", "10.0.0.1"), None)
    assert daemon_settings(Host("f", "gpu", "10.0.0.1", gpus=1), None)["runtimes"] == {
        "nvidia": {"path": nvidia.RUNTIME, "runtimeArgs": []}
    }


def test_the_programs_of_the_toolkit_can_be_run() -> None:
    programs = {path: content for path, content, mode in nvidia.toolkit_files() if mode == 0o755}
    assert nvidia.RUNTIME.lstrip("/") in programs
    for content in programs.values():
        assert (content if isinstance(content, bytes) else content.encode()).startswith(b"#!/")
