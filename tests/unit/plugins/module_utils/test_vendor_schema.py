# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of vendor files: the shipped ones have it, and what spoils one is said."""

from __future__ import annotations

import copy
from typing import Any, Callable

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _vendor_schema
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.vendor_evidence import VENDORS


def test_the_shipped_files_have_the_form() -> None:
    assert _vendor_schema.problems(VENDORS) == []


def test_a_file_of_an_operator_needs_little() -> None:
    assert _vendor_schema.problems({"exa": {"title": "Exa", "flags": [{"since": "2.0.0"}]}}) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data.pop("title"), "missing required arguments: title"),
        (lambda data: data.pop("flags"), "missing required arguments: flags"),
        (lambda data: data.update(flag=[]), "flag"),
        (lambda data: data["flags"][0].update(gpus="all"), "gpus"),
        (lambda data: data["flags"][0].pop("since"), "since"),
        (lambda data: data["flags"][0].update(privileged="maybe"), "maybe"),
        (lambda data: data["flags"][0].update(since="2"), "since '2' is no release; write it like 2.2.3"),
        (lambda data: data["driver"]["floors"][0].pop("since"), "since '' is no release"),
        (lambda data: data["evidence"].update(device_nodes=["/dev/exa["]), "'/dev/exa[' is no regular expression"),
        (lambda data: data["evidence"]["container"].update(devices=["("]), "'(' is no regular expression"),
        (lambda data: data["evidence"].update(pci={"vendor": "0x1"}), "classes"),
        (lambda data: data["visible_devices"].update(node="/dev/nvidia[0-9]+"), "needs one group"),
        (lambda data: data.update(same_names=["*"]), "'*' is no regular expression"),
    ],
)
def test_what_is_wrong_is_said_with_the_vendors_name(spoil: Callable[[Any], Any], said: str) -> None:
    data = copy.deepcopy(VENDORS["nvidia"])
    spoil(data)
    problems = _vendor_schema.problems({"nvidia": data, "cpu": VENDORS["cpu"]})
    assert len(problems) == 1
    assert problems[0].startswith("nvidia: ")
    assert said in problems[0]


def test_a_file_that_holds_no_dictionary() -> None:
    assert _vendor_schema.problems({"exa": None}) == ["exa: it is no dictionary"]
