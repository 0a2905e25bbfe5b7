# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories that somebody else laid out, or could write into, are told by evidence and refused by plan and module."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _private_directories
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence


def objection(path: Path, uid: int | None = None) -> str | None:
    found = _private_directories.objection(_private_directories.facts(str(path)), os.geteuid() if uid is None else uid)
    return found and found.cause


def test_what_is_not_there_yet_is_made_later(tmp_path: Path) -> None:
    assert objection(tmp_path / "none") is None
    (tmp_path / "file").touch()
    assert objection(tmp_path / "file" / "below") is None


@pytest.mark.parametrize(
    ("mode", "fine"), [(0o700, True), (0o755, True), (0o770, False), (0o707, False), (0o1777, False)]
)
def test_nobody_else_may_write(tmp_path: Path, mode: int, fine: bool) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    directory.chmod(mode)
    assert (objection(directory) is None) is fine


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_link_is_not_followed(tmp_path: Path, slash: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    found = _private_directories.objection(_private_directories.facts(f"{tmp_path}/link{slash}"), os.geteuid())
    assert found is not None
    assert "is a symbolic link" in found.cause


def test_a_file_and_somebody_elses_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a directory" in str(objection(tmp_path / "file"))
    (tmp_path / "d").mkdir(mode=0o700)
    assert "belongs to uid" in str(objection(tmp_path / "d", uid=os.geteuid() + 1))


@pytest.mark.parametrize("name", ["backup", "state"])
@pytest.mark.parametrize(
    "changes", [{"kind": "link"}, {"kind": "other"}, {"uid": 1000}, {"mode": "0777"}, {"mode": "0720"}]
)
def test_the_plan_refuses_before_any_downtime(name: str, changes: dict[str, Any]) -> None:
    fleet = plan_evidence.fleet()
    fleet["w1"]["directories"][name] = {"path": "/x", "kind": "directory", "uid": 0, "mode": "0700"}
    assert make_plan(fleet, plan_evidence.settings())["refusals"] == []
    fleet["w1"]["directories"][name].update(changes)
    (refusal,) = make_plan(fleet, plan_evidence.settings())["refusals"]
    assert (refusal["host"], refusal["code"]) == ("w1", name + "_dir")
    assert f"gpustack_{name}_dir: /x" in refusal["cause"]
    assert refusal["way_out"]
