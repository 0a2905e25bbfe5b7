# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which end-to-end files CI runs: all but those that are named as unproven."""

from __future__ import annotations

import pytest

from tests.e2e import in_ci

ALL = sorted(path.name for path in in_ci.FOLDER.glob("test_*.py"))


def test_the_files_that_are_left_out_exist() -> None:
    assert set(in_ci.UNPROVEN) < set(ALL)


def test_every_other_file_is_run() -> None:
    assert sorted([*in_ci.chosen(ALL), *in_ci.UNPROVEN]) == ALL


def test_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_ci.main() == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [f"tests/e2e/{name}" for name in in_ci.chosen(ALL)]
    assert all(name in printed.err for name in in_ci.UNPROVEN)
