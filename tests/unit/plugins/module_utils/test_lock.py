# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's lock with real processes: what is held, by whom, and what death does to it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _lock


def hold_in_child(state_dir: Path) -> tuple[int, int]:
    """A process that holds the lock until it is killed; its pid, and a pipe that ends with it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _lock.HostLock(str(state_dir), "run-1").acquire()
        os.write(writer, b"held")
        signal.pause()
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 4) == b"held"
    return pid, reader


def kill(pid: int, pipe: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(pipe)


def test_a_live_holder_is_named(tmp_path: Path) -> None:
    pid, pipe = hold_in_child(tmp_path)
    try:
        with pytest.raises(_lock.LockHeldError) as refused:
            _lock.HostLock(str(tmp_path), "run-2").acquire()
        assert f"run run-1, process {pid}, since 20" in str(refused.value)
        found = _lock.holder(str(tmp_path))
        assert (found["held"], found["pid"], found["run"]) == (True, pid, "run-1")
    finally:
        kill(pid, pipe)


def test_a_dead_holder_blocks_nobody(tmp_path: Path) -> None:
    kill(*hold_in_child(tmp_path))
    assert (tmp_path / "lock").exists()
    assert _lock.holder(str(tmp_path)) == {"held": False, "pid": None, "since": None, "run": None}
    with _lock.HostLock(str(tmp_path), "run-2"):
        assert _lock.holder(str(tmp_path))["run"] == "run-2"


def test_looking_creates_nothing(tmp_path: Path) -> None:
    assert _lock.holder(str(tmp_path / "state"))["held"] is False
    assert list(tmp_path.iterdir()) == []


def test_looking_does_not_keep_the_lock(tmp_path: Path) -> None:
    with _lock.HostLock(str(tmp_path), "run-1"):
        pass
    _lock.holder(str(tmp_path))
    with _lock.HostLock(str(tmp_path), "run-2"):
        pass


def test_a_forked_child_keeps_the_lock_when_its_parent_lets_go(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    lock = _lock.HostLock(str(tmp_path), "run-1")
    lock.acquire()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        lock.sign()
        os.write(writer, b"signed")
        signal.pause()
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 6) == b"signed"
    lock.release()
    assert _lock.holder(str(tmp_path))["pid"] == pid
    kill(pid, reader)
    assert _lock.holder(str(tmp_path))["held"] is False


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), _lock.HostLock(str(tmp_path), "run-1"):
        raise KeyError("x")
    assert _lock.holder(str(tmp_path))["held"] is False
