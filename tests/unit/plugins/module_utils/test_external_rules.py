# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against upgrading an external PostgreSQL in place."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _external_rules, _releases

GOOD: dict[str, Any] = {
    "server_version": "15.18 (Debian)",
    "version_number": 150018,
    "schema": "public",
    "provider": "c",
    "may_create": True,
    "owns": True,
}


def codes(release: str, **facts: Any) -> list[str]:
    found = _external_rules.obstacles({**GOOD, **facts}, _releases.find(release))
    return [obstacle.code for obstacle in found]


def test_nothing_speaks_against_a_usual_one() -> None:
    assert codes("2.2.3") == codes("2.0.3") == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"version_number": 120018, "server_version": "12.18"}, "external_version"),
        ({"schema": "gpustack"}, "external_schema"),
        ({"provider": "i"}, "external_collation"),
        ({"may_create": False}, "external_createdb"),
        ({"owns": False}, "external_owner"),
    ],
)
def test_what_has_to_be_mended_first(facts: dict[str, Any], code: str) -> None:
    assert codes("2.2.3", **facts) == [code]


def test_2_2_0_needs_a_newer_one_and_the_releases_that_do_not_are_named() -> None:
    assert codes("2.2.0") == ["external_version"]
    assert codes("2.2.0", version_number=170000) == []
    obstacle = next(_external_rules.obstacles(GOOD, _releases.find("2.2.0")))
    assert "2.2.3" in obstacle.way_out
    assert "2.2.0" not in obstacle.way_out


def test_2_0_0_cannot_take_the_url_by_environment() -> None:
    assert codes("2.0.0") == ["external_release"]
