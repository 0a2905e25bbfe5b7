# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against upgrading an external MySQL in place, by what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _external_mysql_rules,
    _external_rules,
    _releases,
    _scratch_mysql,
)


def rights(*patterns: str) -> list[list[str]]:
    return [[pattern, right] for pattern in patterns for right in _external_mysql_rules.RIGHTS]


GOOD: dict[str, Any] = {
    "kind": "mysql",
    "server_version": "9.7.4-2",
    "name": "gpu_stack",
    "other_engines": None,
    "triggers": None,
    "global_rights": ["USAGE"],
    "rights": rights("gpu\\_stack", "gpu\\_stack\\_%"),
}


def codes(release: str = "2.2.3", **facts: Any) -> list[str]:
    return [obstacle.code for obstacle in _external_rules.obstacles({**GOOD, **facts}, _releases.find(release))]


@pytest.mark.parametrize("version", ["8.0.36", "8.0.36-28", "8.4.2", "9.7.4-2"])
def test_nothing_speaks_against_a_usual_one(version: str) -> None:
    assert codes("2.2.3", server_version=version) == codes("2.0.3", server_version=version) == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"server_version": "8.0.35"}, "external_version"),
        ({"server_version": "5.7.44-log"}, "external_version"),
        ({"server_version": "10.11.18-MariaDB-0+deb12u1"}, "external_product"),
        ({"server_version": "5.7.25-OceanBase-v4.3.5"}, "external_product"),
        ({"other_engines": ["system_loads"]}, "external_engine"),
        ({"triggers": ["audit"]}, "external_triggers"),
        ({"rights": rights("gpu\\_stack")}, "external_createdb"),
        ({"rights": None}, "external_createdb"),
        ({"rights": rights("gpu\\_stack\\_v2\\_%")}, "external_createdb"),
    ],
)
def test_what_has_to_be_mended_first(facts: dict[str, Any], code: str) -> None:
    assert codes(**facts) == [code]


def test_rights_on_all_databases_are_enough() -> None:
    assert codes(rights=None, global_rights=sorted(_external_mysql_rules.RIGHTS)) == []
    lacking = sorted(_external_mysql_rules.RIGHTS - {"DROP"})
    obstacle = next(_external_rules.obstacles({**GOOD, "rights": None, "global_rights": lacking}, _newest()))
    assert "lacks DROP " in obstacle.cause
    assert "ON `gpu\\_stack\\_%`.*" in obstacle.way_out


def test_a_name_that_leaves_no_room_for_those_beside_it() -> None:
    assert codes(name="n" * 38, rights=rights("%")) == ["external_name"]
    assert codes(name="n" * 37, rights=rights("%")) == []


def test_2_0_0_cannot_take_the_url_by_environment() -> None:
    assert codes("2.0.0") == ["external_release"]


@pytest.mark.parametrize(
    ("pattern", "name", "matching"),
    [
        ("gpu\\_stack", "gpu_stack", True),
        ("gpu\\_stack", "gpuxstack", False),
        ("gpu_stack", "gpuxstack", True),
        ("gpu\\_stack\\_%", "gpu_stack_v2_20261130t000000z", True),
        ("gpu\\_stack\\_%", "gpu_stack", False),
        ("a.c%", "abc", False),
        ("%", "anything", True),
    ],
)
def test_patterns_of_grants(pattern: str, name: str, matching: bool) -> None:
    assert _external_mysql_rules.matches(pattern, name) is matching


@given(st.text(min_size=1, max_size=37, alphabet=st.characters(codec="ascii", exclude_characters="\0/")))
def test_the_grant_that_is_asked_for_covers_every_database_that_is_made(name: str) -> None:
    made = _scratch_mysql.names(name, "20261130T000000Z")
    escaped = name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    assert all(_external_mysql_rules.matches(escaped + "\\_%", each) for each in made)
    assert len(set(made)) == len(made)
    assert all(len(each.encode("utf-8")) <= 64 for each in made)


def _newest() -> _releases.Release:
    return _releases.find(_releases.DEFAULT)
