# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which end-to-end files CI runs: all but those that wait for their turn."""

from __future__ import annotations

import sys

import pytest

from tests.e2e import in_ci

ALL = sorted(path.name for path in in_ci.FOLDER.glob("test_*.py"))
SEEDS = range(100)


def test_the_files_that_are_named_exist() -> None:
    assert set(in_ci.TURNS) < set(ALL)


def test_every_other_file_is_run_every_time() -> None:
    always = set(ALL) - set(in_ci.TURNS)
    assert all(always <= set(in_ci.chosen(ALL, seed)) for seed in SEEDS)


def test_each_has_its_turn_and_all_of_a_turn_fit() -> None:
    turns = in_ci.turns()
    assert sorted(name for turn in turns for name in turn) == sorted(in_ci.TURNS)
    assert all(sum(in_ci.TURNS[name] for name in turn) <= in_ci.MINUTES for turn in turns)
    assert [in_ci.their_turn(seed) for seed in range(2 * len(turns))] == 2 * turns


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["in_ci", "--rotation", "7"])
    assert in_ci.main() == 0
    printed = capsys.readouterr()
    run = [f"tests/e2e/{name}" for name in in_ci.chosen(ALL, 7)]
    assert printed.out.split() == run
    assert all(name in printed.err for name in ALL if f"tests/e2e/{name}" not in run)
