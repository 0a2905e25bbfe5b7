# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trials there are, and that chains and rounds prove all of them."""

from __future__ import annotations

import pytest

from tests.faults import passes, points, rounds, trials
from tests.lab import rotation

ROLES = [points.SERVER, points.WORKER]


@pytest.mark.parametrize("role", ROLES)
def test_every_point_is_tried_in_every_kind_that_it_knows(role: str) -> None:
    found = {(trial.point, trial.kind) for trial in trials.trials(role)}
    wanted = {(p, k) for state in points.STATES for p in points.points(role, state) for k in points.KINDS}
    assert {(point.state, kind) for point, kind in wanted - found} == {(points.INSPECTION, "raise")}


def test_names_of_trials_are_unique() -> None:
    names = [trial.name for role in ROLES for trial in trials.trials(role)]
    assert len(names) == len(set(names))
    assert "server/upgraded/rows:before:raise:back" in names


def test_both_ways_on_are_tried_from_every_point_of_a_switch() -> None:
    for kind in points.KINDS:
        found = [trial for trial in trials.trials(points.SERVER) if (trial.point.step, trial.kind) == ("rows", kind)]
        assert {trial.then for trial in found} == {trials.AGAIN, trials.BACK}


@pytest.mark.parametrize("role", ROLES)
def test_chains_and_rounds_prove_every_trial_and_no_other(role: str) -> None:
    every = set(trials.trials(role))
    proven = {trial for each in rounds.rounds(role) for trial in each.proves()}
    assert proven <= every
    assert {trial for trial in every - proven if not rounds.in_the_chains(trial)} == set()


@pytest.mark.parametrize("role", ROLES)
def test_every_round_proves_something(role: str) -> None:
    assert all(each.proves() for each in rounds.rounds(role))


def test_a_round_that_leaves_the_legacy_server_writing_proves_no_bytes() -> None:
    hand_over = points.Point(points.SERVER, "legacy", "undo_start", "before")
    there = rounds.Meeting(points.Point(points.SERVER, "upgraded", "rows", "before"), rounds.CONTROLLER)
    quiet = rounds.Round(there=(there,))
    serving = rounds.Round(there=(there,), back=(rounds.Meeting(hand_over, rounds.RAISE),))
    assert trials.BACK in {trial.then for trial in quiet.proves()}
    assert trials.BACK not in {trial.then for trial in serving.proves()}


def test_a_kill_that_the_same_command_mended_proves_no_way_back() -> None:
    killed = rounds.Meeting(points.Point(points.SERVER, "upgraded", "rows", "before"), rounds.KILL)
    assert [trial.then for trial in rounds.Round(there=(killed,)).proves()] == [trials.AGAIN]
    assert [trial.then for trial in rounds.Round(there=(killed,), arrives=False).proves()] == [trials.BACK]


def test_what_fails_behind_the_acceptance_does_not_go_back_by_itself() -> None:
    done = rounds.Meeting(points.Point(points.SERVER, "upgraded", "done", "before"), rounds.RAISE)
    accept = rounds.Meeting(points.Point(points.SERVER, "upgraded", "accept", "after"), rounds.RAISE)
    assert not rounds.goes_back_by_itself(done)
    assert rounds.goes_back_by_itself(accept)


def test_rounds_are_chosen_by_the_names_of_trials() -> None:
    chosen = rounds.choose(points.SERVER, ["server/upgraded/rows:before"])
    proven = {trial.name for each in chosen for trial in each.proves()}
    wanted = {f"server/upgraded/rows:before:{way}" for way in ("kill:back", "raise:again", "raise:back")}
    assert wanted < proven
    assert rounds.choose(points.WORKER, ["server/"]) == []


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
    order = [str(point) for point in rounds.order_of_back(back)]
    at = order.index("undo_start:before")
    assert order[at + 1 : at + 3] == [f"{points.ROWS_AGAIN}:before", "undo_start:after"]
    assert set(map(str, back)) - set(order) == {f"{points.ROWS_AGAIN}:after"}
    assert points.ROWS_AGAIN not in {point.step for point in points.points(points.WORKER, "legacy")}
