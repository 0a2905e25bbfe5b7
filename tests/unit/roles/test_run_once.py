# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task with run_once is skipped for every host when its condition is false for the first one: no such condition may
speak of one host, not even in a block around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
OF_ONE_HOST = (
    "inventory_hostname",
    "gpustack_decision",
    "gpustack_needs_switch",
    "gpustack_node_info",
    "gpustack_way_back",
)


def conditions(task: dict[str, Any]) -> list[str]:
    """The conditions of a task or block, each as text."""
    found = task.get("when", [])
    return [str(each) for each in (found if isinstance(found, list) else [found])]


def once(tasks: list[dict[str, Any]], around: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Every task with run_once, and all conditions that it stands under in its file."""
    for task in tasks:
        under = (*around, *conditions(task))
        for part in ("block", "rescue", "always"):
            yield from once(task.get(part, []), under)
        if task.get("run_once"):
            yield task["name"], list(under)


@pytest.mark.parametrize("path", sorted(ROLES.glob("*/tasks/*.yml")), ids=lambda path: path.stem)
def test_what_runs_once_does_not_depend_on_one_host(path: Path) -> None:
    for name, under in once(yaml.safe_load(path.read_text(encoding="utf-8")) or []):
        assert not [each for each in under if any(word in each for word in OF_ONE_HOST)], name
