# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal on a real file system: durable entries, torn lines, fault points, and what an attempt came to."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _journal

ATTEMPT = "20261124T031500Z"


def journal(state_dir: Path, fault: str | None = None) -> _journal.Journal:
    return _journal.Journal(str(state_dir), ATTEMPT, _journal.parse_fault(fault))


def marks(state_dir: Path) -> list[tuple[str, str]]:
    return [(entry["step"], entry["state"]) for entry in _journal.read_entries(str(state_dir))]


def test_a_step_is_started_and_done(tmp_path: Path) -> None:
    writer = journal(tmp_path / "state")
    with writer.step("stop", {"container": "gpustack"}) as found:
        assert marks(tmp_path / "state") == [("stop", "started")]
        found["entries"] = ["token"]
    entries = _journal.read_entries(str(tmp_path / "state"))
    assert [entry["state"] for entry in entries] == ["started", "done"]
    assert entries[0]["detail"] == {"container": "gpustack"}
    assert entries[1]["detail"] == {"entries": ["token"]}
    assert [step["step"] for step in writer.steps] == ["stop"]


def test_a_step_that_raises_is_failed(tmp_path: Path) -> None:
    writer = journal(tmp_path)
    with pytest.raises(OSError, match="disk"), writer.step("create"):
        raise OSError("disk")
    assert marks(tmp_path) == [("create", "started"), ("create", "failed")]
    assert writer.steps == []


def disk_is_full(fd: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_with_the_journals_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", disk_is_full)
    with pytest.raises(OSError, match="No space left on device") as full:
        journal(tmp_path).record("begin", "started")
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(tmp_path / "journal.jsonl"))


def test_why_a_step_failed_is_not_lost_when_that_cannot_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        with journal(tmp_path).step("snapshot"):
            monkeypatch.setattr(os, "write", disk_is_full)
            raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        fails()
    assert marks(tmp_path) == [("snapshot", "started")]


def test_a_new_journal_is_durable_with_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(_journal, "fsync_directory", synced.append)
    journal(tmp_path / "state").record("begin", "started")
    journal(tmp_path / "state").record("stop", "started")
    assert synced == [str(tmp_path / "state"), str(tmp_path)]


def test_only_root_reads_the_journal(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    journal(state_dir).record("begin", "started")
    assert stat.S_IMODE(os.stat(state_dir).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(state_dir / "journal.jsonl").st_mode) == 0o600


def test_a_torn_last_line_is_no_entry_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    writer = journal(tmp_path)
    writer.record("begin", "started")
    with (tmp_path / "journal.jsonl").open("a") as torn:
        torn.write('{"attempt": "20261124T0315')
    assert marks(tmp_path) == [("begin", "started")]
    writer.record("stop", "started")
    assert marks(tmp_path) == [("begin", "started"), ("stop", "started")]


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert _journal.read_entries(str(tmp_path)) == []
    assert _journal.summary(str(tmp_path))["outcome"] == "none"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([("begin", "started")], "unfinished"),
        ([("begin", "started"), ("stop", "failed")], "unfinished"),
        ([("begin", "started"), ("accept", "done")], "unfinished"),
        ([("begin", "started"), ("done", "done")], "upgraded"),
        ([("begin", "started"), ("stopped", "done")], "failed"),
        ([("begin", "started"), ("done", "done"), ("finalize_begin", "started")], "unfinished"),
        ([("begin", "started"), ("finalize_begin", "started"), ("finalize_done", "done")], "finalized"),
        ([("begin", "started"), ("finalize_begin", "started"), ("finalize_undone", "done")], "upgraded"),
        ([("begin", "started"), ("undo_begin", "started")], "unfinished"),
        ([("begin", "started"), ("undo_begin", "started"), ("undo_done", "done")], "restored"),
        ([("undo_done", "done"), ("begin", "started")], "unfinished"),
    ],
)
def test_outcome(tmp_path: Path, steps: list[tuple[str, str]], outcome: str) -> None:
    writer = journal(tmp_path)
    for step, state in steps:
        writer.record(step, state)
    assert _journal.summary(str(tmp_path))["outcome"] == outcome


def test_summary_tells_of_the_newest_attempt(tmp_path: Path) -> None:
    old = _journal.Journal(str(tmp_path), "20260101T000000Z")
    old.record("begin", "started", {"release": "2.0.3"})
    writer = journal(tmp_path)
    detail = {
        "release": "2.2.3",
        "legacy_name": "gpustack-old",
        "container_name": "gpustack",
        "backup": "/var/backups/gpustack/x",
    }
    writer.record("begin", "started", detail)
    writer.record("stop", "started")
    summary = _journal.summary(str(tmp_path))
    told = {"attempt": ATTEMPT, "step": "stop", "state": "started", "outcome": "unfinished", **detail}
    assert {key: summary[key] for key in told} == told


def marked(*marks: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"step": step, "state": state, "time": f"2026-11-24T00:00:{second:02d}.500Z", "detail": {}}
        for second, (step, state) in enumerate(marks)
    ]


BEGUN, STOPPED, ACCEPTED = ("begin", "started"), ("stop", "done"), ("accept", "done")
WAY_BACK_BEGUN, V2_STOPS = ("undo_begin", "started"), ("undo_stop", "started")


@pytest.mark.parametrize(
    ("marks", "accepted", "in_use"),
    [
        ((BEGUN, STOPPED), False, False),
        ((BEGUN, STOPPED, ACCEPTED), True, True),
        ((BEGUN, STOPPED, ACCEPTED, ("finalize_begin", "started")), True, True),
        ((BEGUN, STOPPED, ACCEPTED, WAY_BACK_BEGUN), True, True),  # nothing was touched yet
        ((BEGUN, STOPPED, ACCEPTED, WAY_BACK_BEGUN, V2_STOPS), True, False),
        ((BEGUN, STOPPED, ACCEPTED, WAY_BACK_BEGUN, V2_STOPS, BEGUN), False, False),
    ],
)
def test_people_may_use_v2_from_acceptance_until_it_stops_for_the_way_back(
    marks: tuple[tuple[str, str], ...], accepted: bool, in_use: bool
) -> None:
    summary = _journal.summary_of([{**entry, "attempt": ATTEMPT} for entry in marked(*marks)])
    assert (summary["accepted"], summary["in_use"]) == (accepted, in_use)


def test_the_moment_at_which_the_legacy_container_stopped_last() -> None:
    entries = [{**entry, "attempt": ATTEMPT} for entry in marked(BEGUN, STOPPED, BEGUN, STOPPED)]
    assert _journal.summary_of(entries)["stopped_at"] == _journal.seconds_of("2026-11-24T00:00:03.500Z")
    assert _journal.summary_of([])["stopped_at"] is None


@given(st.floats(min_value=0, max_value=4e9))
def test_a_moment_survives_being_written_to_the_millisecond(moment: float) -> None:
    assert abs(_journal.seconds_of(_journal.iso_utc(moment)) - moment) <= 0.001


def test_a_fault_that_raises(tmp_path: Path) -> None:
    writer = journal(tmp_path, "retire:after:raise")
    worked = []
    with pytest.raises(_journal.InjectedError), writer.step("retire"):
        worked.append(True)
    assert worked == [True]
    assert marks(tmp_path) == [("retire", "started"), ("retire", "failed")]


@pytest.mark.parametrize(("when", "worked"), [("before", False), ("after", True)])
def test_a_fault_that_kills(tmp_path: Path, when: str, worked: bool) -> None:
    witness = tmp_path / "witness"
    pid = os.fork()
    if pid == 0:
        with journal(tmp_path, f"create:{when}:kill").step("create"):
            witness.touch()
        os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert witness.exists() is worked
    assert marks(tmp_path) == [("create", "started")]


def test_a_fault_that_pauses(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with journal(tmp_path, "create:before:pause").step("create"):
            pass
        os._exit(0)
    _pid, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(pid, signal.SIGCONT)
    _pid, status = os.waitpid(pid, 0)
    assert status == 0
    assert marks(tmp_path) == [("create", "started"), ("create", "done")]


@pytest.mark.parametrize("text", ["create", "create:during:kill", "create:before:explode", "a:before:kill:b"])
def test_a_fault_that_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="FLEETOPS_GPUSTACK_FAULT"):
        _journal.parse_fault(text)


def test_every_line_is_json(tmp_path: Path) -> None:
    with journal(tmp_path).step("begin"):
        pass
    for line in (tmp_path / "journal.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == {"time", "attempt", "step", "state", "detail"}


def test_time_is_iso_8601_in_utc() -> None:
    assert _journal.iso_utc(1764000000.25) == "2025-11-24T16:00:00.250Z"
