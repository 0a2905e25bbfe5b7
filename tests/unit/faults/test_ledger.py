# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a fault, and how it shows in the table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.faults import ledger, table

ENTRY = ledger.Entry(
    fault="rows:before",
    host="server",
    kind="kill",
    saw="It was killed.",
    then="again",
    outcome="v2 2.2.3, verified",
    release="2.2.3",
    seconds=12.5,
    section="upgraded",
    time="2026-11-24T03:15:00Z",
)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ledger, "RESULTS", tmp_path / "faults/results.jsonl")
    monkeypatch.setattr(ledger, "KEPT", tmp_path / "kept.jsonl")
    return tmp_path


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("Port 80 is taken (a.b). Stop it.", "Port 80 is taken (a.b)."),
        ("no end", "no end"),
        ("Release 2.2.3 is\n there already. Nothing", "Release 2.2.3 is there already."),
        ("its log is /state/log/20261124T031500Z.log. The rest", "its log is /state/log/<attempt>.log."),
        (
            "gpustack (4f0c4f0c4f0c) at http://10.203.1.11:80 is gone.",
            "gpustack (<id>) at http://<address>:80 is gone.",
        ),
        ("Port taken (2026-11-24 16:14:17.054909+00:00 - ERROR - no).", "Port taken (<time> - ERROR - no)."),
        ("", ""),
    ],
)
def test_the_first_sentence_without_what_differs_between_runs(message: str, sentence: str) -> None:
    assert ledger.first_sentence(message) == sentence


def test_the_newest_run_of_a_fault_counts(results: Path) -> None:
    ledger.add(ENTRY)
    ledger.add(dataclasses.replace(ENTRY, then="back"))
    ledger.add(dataclasses.replace(ENTRY, saw="It was killed again."))
    assert [entry.saw for entry in ledger.read()] == ["It was killed again.", "It was killed."]


def test_what_was_kept_counts_until_it_runs_again(results: Path) -> None:
    newer = dataclasses.replace(ENTRY, time="2026-11-25T03:15:00Z", saw="It was killed later.")
    other = dataclasses.replace(ENTRY, fault="rows:after")
    ledger.keep([ENTRY, other])
    assert ledger.read() == [other, ENTRY]
    ledger.add(newer)
    assert set(ledger.read()) == {newer, other}


def test_nothing_ran_yet(results: Path) -> None:
    assert ledger.read() == []


def test_the_table_dates_what_ran_and_says_what_did_not() -> None:
    special = dataclasses.replace(ENTRY, fault="disk full", section="special")
    text = table.render([ENTRY, special])
    assert "2026-11-24 to 2026-11-24" in text
    assert "1 of " in text
    assert "| server | kill, again | kill, back |" in text
    assert "| `rows:before` | 2026-11-24 | not yet | not yet |" in text
    assert "| server | kill | It was killed. | `rows:before` |" in text
    assert "| disk full | It was killed. | again | v2 2.2.3, verified | 2026-11-24 |" in text
    assert text.index("On the way to v2") < text.index("Other faults")


def test_the_documentation_has_the_table_of_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m tests.faults table` writes it anew, also when the code has other points by now."""
    monkeypatch.setattr(ledger, "RESULTS", tmp_path / "none.jsonl")
    assert table.TARGET.read_text() == table.render(ledger.read())


def test_what_cannot_be_tried_is_no_gap_in_the_table() -> None:
    text = table.render([])
    inspected = text[text.index("left for inspection") :]
    assert "| server | kill, again | kill, back | controller, again | controller, back |\n" in inspected


def test_points_with_the_same_message_share_a_row() -> None:
    rows = table.said([ENTRY, dataclasses.replace(ENTRY, fault="ready:after"), dataclasses.replace(ENTRY, then="back")])
    assert rows[2:] == ["| server | kill | It was killed. | `ready:after`, `rows:before` |"]


def test_a_bar_does_not_break_a_row() -> None:
    (row,) = table.rows([dataclasses.replace(ENTRY, saw="a | b.")])[2:]
    assert "a \\| b." in row
