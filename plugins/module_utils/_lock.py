# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One switch at a time on a host: a ``flock`` that the working process holds and the kernel drops with it.

The text in the file is for people. Only the kernel's lock decides, so that the file of a dead run blocks nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _private_directories
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import iso_utc

LOCK = "lock"
#: `holder` takes the lock for an instant to learn whether it is free; a writer that meets it waits that out.
PROBE_SECONDS = 1.0
PROBE_INTERVAL = 0.01


class LockHeldError(Exception):
    """Another run works on this host."""


class HostLock:
    """The exclusive lock of a host; a fork inherits it, an executed program does not."""

    def __init__(self, state_dir: str, run: str) -> None:
        self.path = os.path.join(state_dir, LOCK)
        self.fd = -1
        self._state_dir = state_dir
        self._run = run

    def __enter__(self) -> HostLock:
        self.acquire()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock or say who has it."""
        _private_directories.make(self._state_dir)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _lock_past_probes(fd):
            os.close(fd)
            raise LockHeldError(_held_message(self.path))
        self.fd = fd
        self.sign()

    def sign(self) -> None:
        """Write who works under the lock: the calling process."""
        text = {"pid": os.getpid(), "since": iso_utc(time.time()), "run": self._run}
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, (json.dumps(text) + "\n").encode("utf-8"), 0)

    def release(self) -> None:
        """Let go; a process that inherited the lock keeps it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def holder(state_dir: str) -> dict[str, Any]:
    """Who holds the lock, as evidence. Creates nothing and changes nothing."""
    free = {"held": False, "pid": None, "since": None, "run": None}
    path = os.path.join(state_dir, LOCK)
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return free
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return free
    except BlockingIOError:
        return {"held": True, **_signature(path)}
    finally:
        os.close(fd)


def _lock_past_probes(fd: int) -> bool:
    deadline = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(PROBE_INTERVAL)


def _held_message(path: str) -> str:
    who = _signature(path)
    return (
        "Another run works on this host: run {run}, process {pid}, since {since} (lock {path}). "
        "Wait until it has ended and run again; nothing was changed.".format(path=path, **who)
    )


def _signature(path: str) -> dict[str, Any]:
    """What the file says; a file caught between truncation and writing says nothing."""
    try:
        with open(path, encoding="utf-8") as lock:
            text = json.load(lock)
    except (OSError, ValueError):
        text = {}
    return {key: text.get(key) for key in ("pid", "since", "run")}
