# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan as the role asks for it: from registered results and the role's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.filter.plan import expected_workers, plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence


def made_plan(image_archive: str) -> dict[str, Any]:
    """The plan for a worker without the image and with one free byte in its state directory."""
    fleet = plan_evidence.fleet()
    fleet["w1"]["image"]["present"] = False
    fleet["w1"]["filesystems"]["state"] = plan_evidence.filesystem("/state", free=1)
    settings = {
        "release": "2.2.3",
        "image": plan_evidence.IMAGE,
        "servers": ["s"],
        "workers": ["w1", "w2"],
        "vendors": plan_evidence.VENDORS,
        "allow_unproven": False,
        "accept_losses": [],
        "ignore_workers": [],
        "fix_permissions": False,
        "image_size": 10 * plan_evidence.GIB,
        "image_archive": image_archive,
        "mend_wrecks": False,
        "backup_fetch_dir": "",
        "runner_image_size": 1,
        "runner_images_archive": "",
        "default_registry": "",
        "run_id": "20261124T031500Z",
    }
    hostvars = {host: {"gpustack_node_info": node, "gpustack_gpu_vendor": "cpu"} for host, node in fleet.items()}
    return plan(hostvars, settings)


def test_an_image_archive_counts_where_it_lies_on_the_controller(tmp_path: Path) -> None:
    archive = tmp_path / "gpustack.tar"
    archive.write_bytes(b"12")
    assert [refusal["code"] for refusal in made_plan(str(archive))["refusals"]] == ["disk"]


def test_a_relative_image_archive_counts_from_where_ansible_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpustack.tar").write_bytes(b"12")
    monkeypatch.chdir(tmp_path)
    assert [refusal["code"] for refusal in made_plan("gpustack.tar")["refusals"]] == ["disk"]


@pytest.mark.parametrize("image_archive", [".", "nowhere/gpustack.tar"])
def test_a_relative_image_archive_that_is_not_on_the_controller_is_refused(image_archive: str) -> None:
    (refusal,) = made_plan(image_archive)["refusals"]
    assert (refusal["host"], refusal["code"]) == ("w1", "image_archive")
    assert image_archive in refusal["cause"]


@pytest.mark.parametrize("image_archive", ["", "~/on-the-hosts.tar", "/srv/on-the-hosts/gpustack.tar"])
def test_an_image_archive_that_is_not_copied_needs_no_room(image_archive: str) -> None:
    assert made_plan(image_archive)["refusals"] == []


def test_a_worker_without_a_uuid_is_expected_under_the_one_that_its_switch_wrote() -> None:
    workers = [
        {"id": 1, "name": "a", "uuid": ""},
        {"id": 2, "name": "b", "uuid": "own"},
        {"id": 3, "name": "c", "uuid": ""},
    ]
    hosts = {name: {"worker": worker} for name, worker in zip("abc", workers, strict=True)}
    switched = {
        "a": {"worker": {"name": "a", "uuid": "written"}},
        "b": {"worker": {"name": "b", "uuid": "own"}},
        "c": {},
    }
    hostvars = {name: {"gpustack_switched": result} for name, result in switched.items()}
    made = {"hosts": hosts, "workers": workers}
    assert [each["uuid"] for each in expected_workers(made, hostvars)] == ["written", "own", ""]
    hostvars["b"]["gpustack_switched"]["failed"] = True
    batch = expected_workers(made, hostvars, ["a", "b"])
    assert [(each["name"], each["uuid"]) for each in batch] == [("a", "written")]
