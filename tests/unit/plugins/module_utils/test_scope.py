# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a machine's containers a host of the inventory is about."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _journal, _scope
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import RETIRED_NAME, Installation

ONE, OTHER = "20261124T031500Z", "20261124T031501Z"


def container(name: str, attempt: str | None = None, directory: str | None = None) -> Installation:
    facts: dict[str, Any] = {
        "id": f"id of {name}",
        "name": name,
        "attempt": attempt,
        "generation": "v2" if attempt else "legacy",
        "retired": bool(RETIRED_NAME.search(name)),
        "data_dir": {"host_path": directory or f"/data/{name}"},
    }
    return Installation(facts, None, {}, None)  # type: ignore[arg-type]


def own(*found: Installation, name: str = "w", journal: dict[str, Any] | None = None, attempts: Any = ()) -> list[str]:
    scope = _scope.scope_of(name, {**_journal.summary_of([]), **(journal or {})}, attempts)
    return [each.facts["name"] for each in _scope.divide(found, scope).own]


def test_before_an_upgrade_the_name_alone_counts() -> None:
    assert own(container("w"), container("w-2"), container("other")) == ["w"]


def test_the_attempts_of_its_own_journal_are_its_own() -> None:
    found = [
        container(f"w-legacy-{ONE}"),
        container("w", ONE),
        container(f"w-2-failed-{ONE}", ONE),
        container(f"w-2-wreck-{ONE}"),
    ]
    assert own(*found, attempts=[ONE]) == [each.facts["name"] for each in found]


def test_a_siblings_are_not_though_their_names_begin_alike() -> None:
    found = [container(f"w-2-legacy-{OTHER}"), container("w-2", OTHER), container(f"w-2-failed-{OTHER}", OTHER)]
    assert own(container("w", ONE), *found, attempts=[ONE]) == ["w"]
    assert own(container("w", ONE), *found, name="w-2", attempts=[OTHER]) == [each.facts["name"] for each in found]


def test_its_successor_may_have_another_name() -> None:
    journal = {"legacy_name": "w", "container_name": "new"}
    found = [container(f"w-legacy-{ONE}"), container("new", ONE), container("other")]
    assert own(*found, journal=journal, attempts=[ONE]) == [f"w-legacy-{ONE}", "new"]


def test_a_retired_container_is_known_without_its_journal() -> None:
    assert own(container(f"w-legacy-{ONE}"), container(f"other-legacy-{ONE}")) == [f"w-legacy-{ONE}"]


@pytest.mark.parametrize(("generation", "names"), [("v2", ["w", "by-hand"]), ("legacy", ["w"])])
def test_a_v2_container_on_its_data_directory_is_its_wreck(generation: str, names: list[str]) -> None:
    by_hand = container("by-hand", directory="/data/w")
    by_hand.facts["generation"] = generation
    assert own(container("w"), by_hand, container("other")) == names
