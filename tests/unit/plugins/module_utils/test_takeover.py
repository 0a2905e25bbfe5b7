# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it means that somebody else keeps the legacy container."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _takeover
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

UNIT = {"name": "ai.service", "enabled": True, "active": True, "makes": False, "removes": False}
KINDS = ("compose", "swarm", "kubernetes", "systemd", "watchtower")


def kept(kind: str, **more: Any) -> dict[str, Any]:
    unit = {"unit": dict(UNIT)} if kind == "systemd" else {}
    return {"kind": kind, "name": "ai", "file": "/srv/ai.yaml", "problem": None, **unit, **more}


def installed(*keepers: dict[str, Any], data: str = "bind", auto_remove: bool = False) -> dict[str, Any]:
    found = plan_evidence.installation("worker")
    found["data_dir"].update(type=data, volume="f" * 64 if data == "anonymous" else None)
    return {**found, "supervisors": list(keepers), "auto_remove": auto_remove}


def codes(found: Any) -> list[str]:
    return [each.code for each in found]


def test_a_container_by_itself_needs_nothing() -> None:
    assert codes(_takeover.problems(installed())) == []
    assert codes(_takeover.warnings(installed())) == []


@pytest.mark.parametrize("kind", ["swarm", "kubernetes"])
def test_what_reschedules_is_refused(kind: str) -> None:
    (found,) = _takeover.problems(installed(kept(kind)))
    assert found.code == "supervised"
    assert "by itself" in found.way_out


@pytest.mark.parametrize("kind", ["compose", "systemd", "watchtower"])
def test_the_others_are_taken_over(kind: str) -> None:
    assert codes(_takeover.problems(installed(kept(kind)))) == []


def test_the_compose_warning_names_project_service_and_file() -> None:
    (found,) = _takeover.warnings(installed(kept("compose", name="ai/gpustack")))
    assert "ai/gpustack" in found.cause
    assert "/srv/ai.yaml" in found.way_out


def test_two_units_are_refused() -> None:
    (found,) = _takeover.problems(installed(kept("systemd", name="a.service"), kept("systemd", name="b.service")))
    assert "a.service, b.service" in found.cause


@pytest.mark.parametrize(
    ("unit", "data", "expected"),
    [
        ({"makes": True}, "bind", []),
        ({"makes": True}, "volume", []),
        ({"makes": True}, "anonymous", ["anonymous_volume"]),
        ({"makes": True}, "layer", ["data_in_layer"]),
        ({"removes": True}, "layer", ["data_in_layer"]),
        ({"removes": True}, "anonymous", []),
        ({}, "layer", []),
    ],
)
def test_data_that_a_unit_would_take_away(unit: dict[str, bool], data: str, expected: list[str]) -> None:
    keeper = kept("systemd", unit={**UNIT, **unit})
    assert codes(_takeover.problems(installed(keeper, data=data))) == expected


@pytest.mark.parametrize(("data", "expected"), [("layer", ["data_in_layer"]), ("anonymous", []), ("bind", [])])
def test_data_that_goes_with_a_container_that_removes_itself(data: str, expected: list[str]) -> None:
    assert codes(_takeover.problems(installed(data=data, auto_remove=True))) == expected


@given(
    st.lists(st.sampled_from(KINDS), max_size=4),
    st.sampled_from(["bind", "volume", "anonymous", "layer"]),
    st.booleans(),
)
def test_whatever_is_taken_over_can_be_journaled_and_says_what_it_is(kinds: Any, data: str, auto_remove: bool) -> None:
    found = installed(*(kept(kind) for kind in kinds), data=data, auto_remove=auto_remove)
    remembered = _takeover.kept_by(found)
    assert remembered["auto_remove"] is auto_remove
    assert (remembered["unit"] is not None) is ("systemd" in kinds)
    assert remembered["watchtower"] is ("watchtower" in kinds)
    assert (remembered["layer"] is not None) is (data == "layer")
    for finding in (*_takeover.problems(found), *_takeover.warnings(found)):
        assert found["name"] in finding.cause
        assert finding.way_out
