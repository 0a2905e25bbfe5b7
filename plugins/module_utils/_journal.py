# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a host: what was begun and done, in which attempt.

Append-only; every entry is on the disk before the next action.

Details are for recovery and for people; they never hold a secret.
"""

from __future__ import annotations

import calendar
import json
import os
import signal
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, Mapping, NamedTuple

JOURNAL = "journal.jsonl"
FAULT_VARIABLE = "FLEETOPS_GPUSTACK_FAULT"

STARTED, DONE, FAILED = "started", "done", "failed"
CLEANED = "cleaned"

#: What an entry says about the attempt as a whole; entries that are not here leave the outcome as it was.
OUTCOMES = {
    ("begin", STARTED): "unfinished",
    ("done", DONE): "upgraded",
    ("stopped", DONE): "failed",
    ("finalize_begin", STARTED): "unfinished",
    ("finalize_done", DONE): "finalized",
    ("finalize_undone", DONE): "upgraded",
    ("undo_begin", STARTED): "unfinished",
    ("undo_done", DONE): "restored",
    # Legacy containers may be gone from here on, so nothing that looks at the outcome may count on them.
    ("cleanup_begin", STARTED): CLEANED,
    # A backup was put in the place of the attempt's files: the attempt is history.
    ("from_backup", DONE): "none",
}


class InjectedError(Exception):
    """A tester asked for a failure at this point."""


class Fault(NamedTuple):
    """A fault point that a tester asked for: which step, before or after its work, what happens."""

    step: str
    when: str
    kind: str

    def hit(self, step: str, when: str) -> None:
        """Do what was asked for when this is the point."""
        if (step, when) != (self.step, self.when):
            return
        if self.kind == "raise":
            raise InjectedError(f"the fault point {step}:{when} was asked for by {FAULT_VARIABLE}")
        os.kill(os.getpid(), signal.SIGSTOP if self.kind == "pause" else signal.SIGKILL)


def parse_fault(text: str | None) -> Fault | None:
    """``<step>:<before|after>:<kill|raise|pause>``; nothing when unset."""
    if not text:
        return None
    parts = text.split(":")
    if len(parts) != 3 or parts[1] not in ("before", "after") or parts[2] not in ("kill", "raise", "pause"):
        raise ValueError(f"{FAULT_VARIABLE}={text!r} is not <step>:<before|after>:<kill|raise|pause>.")
    return Fault(*parts)


class Journal:
    """Writes the entries of one attempt. The caller holds the host's lock."""

    def __init__(
        self,
        state_dir: str,
        attempt: str,
        fault: Fault | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.attempt = attempt
        self.state_dir = state_dir
        #: What was done in this process, for the module's result.
        self.steps: list[dict[str, Any]] = []
        self._fault = fault
        self._clock = clock

    def record(self, step: str, state: str, detail: Mapping[str, Any] | None = None) -> None:
        """Append one entry; when this returns it is on the disk."""
        entry = {
            "time": iso_utc(self._clock()),
            "attempt": self.attempt,
            "step": step,
            "state": state,
            "detail": dict(detail or {}),
        }
        _append(self.state_dir, json.dumps(entry, sort_keys=True))

    @contextmanager
    def step(self, name: str, detail: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """One step: ``started`` with the detail given, the work, ``done`` with what it put into the yielded dict.

        The fault point ``before`` lies behind ``started``, ``after`` between the work and ``done``: the two moments at
        which the journal and the host say different things.
        """
        begun = self._clock()
        found: dict[str, Any] = {}
        self.record(name, STARTED, detail)
        try:
            self._hit(name, "before")
            yield found
            self._hit(name, "after")
        except BaseException as error:
            # On a full disk nothing more can be noted, and why the step failed must not be lost over that.
            with suppress(OSError):
                self.record(name, FAILED, {"error": str(error) or type(error).__name__})
            raise
        self.record(name, DONE, found)
        self.steps.append({"step": name, "seconds": round(self._clock() - begun, 3)})

    def entries(self) -> list[dict[str, Any]]:
        """The entries of this attempt so far, older runs of it included."""
        return [entry for entry in read_entries(self.state_dir) if entry["attempt"] == self.attempt]

    def _hit(self, step: str, when: str) -> None:
        if self._fault is not None:
            self._fault.hit(step, when)


def read_entries(state_dir: str) -> list[dict[str, Any]]:
    """Every whole entry, oldest first. A line torn by a crash is no entry: what it announced was not begun."""
    try:
        with open(os.path.join(state_dir, JOURNAL), encoding="utf-8", errors="replace") as journal:
            lines = journal.readlines()
    except FileNotFoundError:
        return []
    return [entry for entry in map(_parse, lines) if entry is not None]


def newest_attempt(entries: list[dict[str, Any]]) -> str | None:
    """The attempt that was worked on last."""
    return entries[-1]["attempt"] if entries else None


def newest_entries(state_dir: str) -> list[dict[str, Any]]:
    """The entries of the attempt that was worked on last."""
    entries = read_entries(state_dir)
    return [entry for entry in entries if entry["attempt"] == newest_attempt(entries)]


def last_detail(entries: list[dict[str, Any]], step: str, state: str) -> dict[str, Any] | None:
    """The detail of the newest entry of a step in a state."""
    for entry in reversed(entries):
        if (entry["step"], entry["state"]) == (step, state):
            return entry["detail"]
    return None


def outcome_of(entries: list[dict[str, Any]]) -> str:
    """What became of an attempt."""
    outcome = "none"
    for entry in entries:
        outcome = OUTCOMES.get((entry["step"], entry["state"]), outcome)
    return outcome


def since_begin(entries: list[dict[str, Any]], mark: tuple[str, str]) -> list[dict[str, Any]]:
    """The entries of a step in a state since the attempt began last, oldest first."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        if (entry["step"], entry["state"]) == ("begin", STARTED):
            found = []
        if (entry["step"], entry["state"]) == mark:
            found.append(entry)
    return found


def seconds_between(entries: list[dict[str, Any]], begun: tuple[str, str], ended: tuple[str, str]) -> float | None:
    """Seconds between the first entry of one kind and the last of another, since the attempt began last."""
    first, last = since_begin(entries, begun), since_begin(entries, ended)
    return round(seconds_of(last[-1]["time"]) - seconds_of(first[0]["time"]), 3) if first and last else None


def was_accepted(entries: list[dict[str, Any]]) -> bool:
    """Whether v2 was accepted since the attempt began last: workers may have followed."""
    return bool(since_begin(entries, ("accept", DONE)))


def is_in_use(entries: list[dict[str, Any]]) -> bool:
    """Whether people may have worked with v2 and nobody has agreed yet to give that up."""
    return was_accepted(entries) and not since_begin(entries, ("undo_stop", STARTED))


def summary(state_dir: str) -> dict[str, Any]:
    """The newest attempt as evidence; reads only."""
    return summary_of(newest_entries(state_dir))


def summary_of(own: list[dict[str, Any]]) -> dict[str, Any]:
    """The same from the entries of the attempt; without any, what a host says on which nothing was ever switched."""
    begin = last_detail(own, "begin", STARTED) or {}
    stopped = since_begin(own, ("stop", DONE))
    return {
        "attempt": newest_attempt(own),
        "step": own[-1]["step"] if own else None,
        "state": own[-1]["state"] if own else None,
        "outcome": outcome_of(own),
        "release": begin.get("release"),
        "legacy_name": begin.get("legacy_name"),
        "backup": begin.get("backup"),
        "role": begin.get("role"),
        "container_name": begin.get("container_name"),
        "data_dir": begin.get("data_dir"),
        "stopped_at": seconds_of(stopped[-1]["time"]) if stopped else None,
        "accepted": was_accepted(own),
        "in_use": is_in_use(own),
    }


def iso_utc(moment: float) -> str:
    """A moment as ISO 8601 in UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment * 1000) % 1000:03d}Z"


def seconds_of(moment: str) -> float:
    """The seconds since the epoch of a moment as `iso_utc` writes it."""
    whole, _point, fraction = moment.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not {"attempt", "step", "state"} <= set(entry):
        return None
    # Another version of this collection may leave out the rest; the epoch is before whatever is compared with it.
    return {**entry, "time": entry.get("time") or iso_utc(0), "detail": entry.get("detail") or {}}


def _append(state_dir: str, line: str) -> None:
    os.makedirs(state_dir, mode=0o700, exist_ok=True)
    path = os.path.join(state_dir, JOURNAL)
    is_new = not os.path.exists(path)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        data = line.encode("utf-8") + b"\n"
        if _ends_torn(fd):
            data = b"\n" + data
        _write_all(fd, data)
        os.fsync(fd)
    except OSError as error:  # which does not say where
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)
    if is_new:
        fsync_directory(state_dir)
        fsync_directory(os.path.dirname(os.path.abspath(state_dir)))


def _ends_torn(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def fsync_directory(path: str) -> None:
    """Make the names in a directory as durable as the files behind them."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
