# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of fault points against the sources: no step of a journal is left out."""

from __future__ import annotations

import ast

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _journal, _switch
from tests.faults import points

SOURCES = sorted(points.MODULE_UTILS.glob("*.py"))


def test_every_step_that_the_sources_spell_out_is_a_point() -> None:
    spelled_out = {step for source in SOURCES for step in points.literal_steps(source)}
    assert {"begin", "done", "stopped", "undo_done", "finalize_begin"} <= spelled_out
    assert spelled_out <= {point.step for point in points.every_point()} | set(points.SITUATIONAL)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_step_that_is_not_spelled_out_comes_from_a_table(source: points.Path) -> None:
    named = [argument for argument in points.step_arguments(source) if not isinstance(argument, ast.Constant)]
    assert len(named) <= {"_switch": 1, "_restore": 1}.get(source.stem, 0)


def test_every_step_of_both_tables_is_a_point() -> None:
    for role, table in ((points.SERVER, _switch.SERVER_STEPS), (points.WORKER, _switch.WORKER_STEPS)):
        covered = {point.step for point in points.points(role, "upgraded")}
        assert {name for name, _step in table} - covered <= {"identity"}


def test_every_outcome_is_reached_past_a_point() -> None:
    reached = {point.step for point in points.every_point()} | points.NOTES
    assert {step for step, _state in _journal.OUTCOMES} <= reached


def test_both_sides_of_a_step_are_points_once() -> None:
    names = [point.name for point in points.every_point()]
    assert len(names) == len(set(names))
    assert "server/upgraded/rows:before" in names
    assert "worker/legacy/undo_prove:after" in names


def test_finalize_is_undone_before_the_end_that_excludes_it() -> None:
    steps = points.finalize_steps()
    assert steps.index("finalize_ready") < steps.index("finalize_undone") < steps.index("finalize_done")
    assert steps[-1] == "finalize_done"
