# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: `@pytest.mark.proves(table, row, column)` says which cell a test proves.

A cell is noted when every test of the run that names it has passed, and none was left out by `-k` or the like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

import pytest

from tests.proofs import ledger
from tests.proofs.table import COLUMNS, ROWS

MARK = "proves"
#: Table, row, column, scenario.
Cell = tuple[str, str, str, str]


class Proofs:
    """What the tests of one run prove, and which of it they did prove."""

    def __init__(self) -> None:
        self.left_out = False
        self.wanted: dict[str, list[Cell]] = {}
        self.passed: set[str] = set()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """A file of which a part ran has proven nothing."""
        self.left_out = self.left_out or bool(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the marks; one that names no cell of a table is a mistake in the test."""
        self.wanted = {item.nodeid: cells_of(item) for item in session.items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has passed when its own part did; what fails before or after it, fails it."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
        elif report.failed:
            self.passed.discard(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Note what was proven."""
        if not self.left_out:
            for cell in proven(self.wanted, self.passed):
                ledger.add(ledger.Proof(*cell))


def pytest_configure(config: pytest.Config) -> None:
    """Be there once in a run."""
    config.addinivalue_line("markers", f"{MARK}(table, row, column): the cell of a README's table that a test proves")
    config.pluginmanager.register(Proofs(), "proofs")


def cells_of(item: pytest.Item) -> list[Cell]:
    """The cells that a test names."""
    return [cell(item.nodeid, *mark.args) for mark in item.iter_markers(MARK)]


def cell(nodeid: str, table: str, row: str, column: str) -> Cell:
    """A cell with its scenario, which is called as the file."""
    if row not in ROWS.get(table, {}) or column not in COLUMNS[table]:
        raise pytest.UsageError(f"{nodeid} proves {table}, {row}, {column}: tests/proofs/table.py has no such cell")
    return table, row, column, PurePath(nodeid.partition("::")[0]).stem


def proven(wanted: dict[str, list[Cell]], passed: Iterable[str]) -> list[Cell]:
    """The cells all of whose tests have passed."""
    done = set(passed)
    failed = {cell for nodeid, cells in wanted.items() if nodeid not in done for cell in cells}
    return sorted({cell for cells in wanted.values() for cell in cells} - failed)
