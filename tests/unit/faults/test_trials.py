# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trials there are, and which of them a run in CI takes."""

from __future__ import annotations

import pytest

from tests.faults import passes, points
from tests.lab import rotation


@pytest.mark.parametrize("role", [points.SERVER, points.WORKER])
def test_every_point_is_tried_in_every_kind_that_it_knows(role: str) -> None:
    found = {(trial.point, trial.kind) for trial in passes.trials(role)}
    wanted = {(p, k) for state in points.STATES for p in points.points(role, state) for k in points.KINDS}
    assert {point.state for point, _kind in wanted - found} <= {points.INSPECTION, points.CLEANED}


def test_names_of_trials_are_unique() -> None:
    names = [trial.name for role in (points.SERVER, points.WORKER) for trial in passes.trials(role)]
    assert len(names) == len(set(names))
    assert "server/upgraded/rows:before:raise:back" in names


def test_both_ways_on_are_tried_from_every_point_of_a_switch() -> None:
    for kind in points.KINDS:
        ways = {
            trial.then for trial in passes.trials(points.SERVER) if (trial.point.step, trial.kind) == ("rows", kind)
        }
        assert ways == {passes.AGAIN, passes.BACK}


def test_an_order_follows_from_its_number() -> None:
    items = list(range(50))
    assert rotation.Order(7).shuffled(items) == rotation.Order(7).shuffled(items)
    assert rotation.Order(7).shuffled(items) != rotation.Order(8).shuffled(items)
    assert sorted(rotation.Order(7).shuffled(items)) == items


def test_two_workers_share_every_point_of_the_chain() -> None:
    every = points.points(points.WORKER, "upgraded")
    shared = [point for number in range(2) for point in every[slice(number, None, 2)]]
    assert sorted(map(str, shared)) == sorted(map(str, every))
    assert {point.step for point in passes.AT_THE_SERVER} == {"ready", "accept", "done"}


def test_the_look_at_rows_is_the_first_thing_after_the_legacy_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "hand_over_steps", lambda: ["undo_start", points.ROWS_AGAIN, "undo_done"])
    back = points.points(points.SERVER, "legacy")
    order = [str(point) for point in passes.once_in_a_chain(back)]
    at = order.index("undo_start:before")
    assert order[at + 1 : at + 3] == [f"{points.ROWS_AGAIN}:before", "undo_start:after"]
    assert set(map(str, back)) - set(order) == {f"{points.ROWS_AGAIN}:after"}
    assert points.ROWS_AGAIN not in {point.step for point in points.points(points.WORKER, "legacy")}
