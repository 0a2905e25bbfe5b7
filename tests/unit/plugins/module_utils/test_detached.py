# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Detached work with real processes: its session, its files, its result, and what deaths mean."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _detached

ATTEMPT = "20261124T031500Z"


def detached(work: Callable[[], dict[str, Any]], state_dir: Path, **others: Any) -> dict[str, Any]:
    return _detached.run_detached(work, str(state_dir), ATTEMPT, **others)


def test_the_result_comes_back(tmp_path: Path) -> None:
    assert detached(lambda: {"changed": True, "text": "Zoë"}, tmp_path) == {"changed": True, "text": "Zoë"}
    result = tmp_path / "results" / (ATTEMPT + ".json")
    assert stat.S_IMODE(os.stat(result).st_mode) == 0o600
    assert not result.with_name(result.name + ".tmp").exists()


def test_it_has_a_session_of_its_own_and_survives_a_hangup(tmp_path: Path) -> None:
    def work() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGHUP)
        return {"session": os.getsid(0), "pid": os.getpid(), "directory": os.getcwd()}

    found = detached(work, tmp_path)
    assert found["session"] == found["pid"] != os.getsid(0)
    assert found["directory"] == "/"


def test_it_closes_what_it_inherited_except_what_it_needs(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    kept = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    seen = detached(lambda: {"open": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))}, tmp_path, keep=[kept])
    assert kept in seen["open"]
    assert not {reader, writer} & set(seen["open"])
    for fd in (reader, writer, kept):
        os.close(fd)


def test_what_it_prints_goes_to_its_log(tmp_path: Path) -> None:
    def work() -> dict[str, Any]:
        os.write(1, b"to standard output\n")
        os.write(2, b"to standard error\n")
        return {"input": os.read(0, 10).decode()}

    assert detached(work, tmp_path) == {"input": ""}
    log = tmp_path / "log" / (ATTEMPT + ".log")
    assert log.read_text() == "to standard output\nto standard error\n"
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600


def test_an_exception_is_a_failed_result(tmp_path: Path) -> None:
    def work() -> dict[str, Any]:
        raise OSError("no such disk")

    assert detached(work, tmp_path) == {"failed": True, "msg": "OSError: no such disk"}


def test_a_killed_child_is_told_with_the_way_out(tmp_path: Path) -> None:
    def work() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    with pytest.raises(_detached.DetachedError, match=r"by signal 9.*run the same command again"):
        detached(work, tmp_path)


def test_an_older_result_does_not_pass_for_this_one(tmp_path: Path) -> None:
    detached(lambda: {"changed": True}, tmp_path)
    with pytest.raises(_detached.DetachedError, match="with status 3"):
        detached(lambda: os._exit(3), tmp_path)


def test_a_result_that_is_no_json_is_told_in_the_log(tmp_path: Path) -> None:
    with pytest.raises(_detached.DetachedError, match="with status 1"):
        detached(lambda: {"wrong": object()}, tmp_path)
    assert not (tmp_path / "results" / (ATTEMPT + ".json")).exists()


def test_it_goes_on_when_its_parent_is_killed(tmp_path: Path) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go-on"

    def work() -> dict[str, Any]:
        started.touch()
        wait_for(go_on)
        return {"parent": os.getppid()}

    parent = os.fork()
    if parent == 0:
        detached(work, tmp_path)
        os._exit(0)
    wait_for(started)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    go_on.touch()
    result = tmp_path / "results" / (ATTEMPT + ".json")
    wait_for(result)
    assert json.loads(result.read_text())["parent"] != parent


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline:
            sys.exit(f"{path} did not appear")
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_somebody_laid_out_beside_a_file_is_neither_followed_nor_used(tmp_path: Path, kind: str) -> None:
    """A data directory may belong to a user, whom nothing of root's may serve."""
    path, planted, elsewhere = tmp_path / "note.json", tmp_path / "note.json.tmp", tmp_path / "elsewhere"
    elsewhere.write_text("root's own")
    if kind == "link":
        planted.symlink_to(elsewhere)
    else:
        planted.touch(0o666)
        planted.chmod(0o666)
    _detached.write_atomically(str(path), {"token": "planted-secret"})
    assert elsewhere.read_text() == "root's own"
    assert not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
