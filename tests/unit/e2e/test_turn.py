# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which end-to-end files CI runs for a commit: always those that have no turn, and every other one sooner or later."""

from __future__ import annotations

from tests.e2e import turn

ALL = sorted(path.name for path in turn.FOLDER.glob("test_*.py"))


def test_the_files_that_have_a_turn_exist() -> None:
    assert set(turn.IN_TURN) < set(ALL)


def test_a_turn_has_its_share_and_names_the_rest() -> None:
    files, waiting = turn.chosen(ALL, 7)
    assert sorted([*files, *waiting]) == ALL
    assert len(waiting) == len(turn.IN_TURN) - turn.AT_ONCE
    assert set(ALL) - set(turn.IN_TURN) <= set(files)


def test_every_file_has_its_turn() -> None:
    assert set().union(*(turn.chosen(ALL, number)[0] for number in range(100))) == set(ALL)


def test_the_same_turn_is_the_same_files() -> None:
    assert turn.chosen(ALL, 3) == turn.chosen(ALL, 3)
