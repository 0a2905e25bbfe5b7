# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts from which a vendor is judged, by the module itself on this machine, and from an engine's records."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_facts
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.engine_records import container
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.module_run import run_command
from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module

IMAGE = {"Id": "sha256:1", "Config": {"Env": ["PATH=/bin"]}, "RepoTags": []}


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_host_without_an_engine_still_tells_its_accelerators(tmp_path: Path, check_mode: bool) -> None:
    result = run_module("gpu_facts", tmp_path, check_mode, docker_host=f"unix://{tmp_path}/docker.sock")
    facts = result["ansible_facts"]["gpustack_gpu"]
    assert result["changed"] is False
    assert set(facts["gpu"]) == {"devices", "pci", "modules", "tools", "paths", "versions", "wsl"}
    assert "There is no Docker engine" in facts["engine"]["error"]
    assert facts["installations"] == []


def test_what_a_vendor_file_asks_for_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("5.1")
    sources = {"paths": [str(tmp_path)], "version_files": {"exa_version": str(tmp_path / "version")}}
    asked = {"gpu_sources": sources, "docker_host": f"unix://{tmp_path}/docker.sock"}
    gpu = run_module("gpu_facts", tmp_path, **asked)["ansible_facts"]["gpustack_gpu"]["gpu"]
    assert str(tmp_path) in gpu["paths"]
    assert gpu["versions"]["exa_version"] == "5.1"


def test_containers_are_told_without_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    record = container(
        image="gpustack/gpustack:v0.7.1-npu",
        command=["--server-url", "http://192.0.2.1", "--token", "secret-token"],
        env=["GPUSTACK_TOKEN=secret-token", "ASCEND_VISIBLE_DEVICES=0"],
        Runtime="ascend",
    )
    reader = SimpleNamespace(
        version=lambda: {"Version": "26.1.5", "ApiVersion": "1.45"},
        info=lambda: {"Runtimes": {"runc": {}, "ascend": {}}},
        containers=lambda: [{"Id": record["Id"]}],
        inspect_all=lambda _ids: [record],
        images=lambda _ids: {"sha256:1": IMAGE},
    )
    monkeypatch.setattr(_gpu_facts, "DockerReader", lambda _host: reader)
    facts = _gpu_facts.evidence("unix:///x", {}, run_command)
    (found,) = facts["installations"]
    assert (found["runtime"], found["role"], found["generation"]) == ("ascend", "worker", "legacy")
    assert found["environment"]["ASCEND_VISIBLE_DEVICES"] == "0"
    assert facts["engine"]["runtimes"] == ["ascend", "runc"]
    assert "secret-token" not in json.dumps(facts)
