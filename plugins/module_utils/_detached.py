# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A piece of work in a session of its own, so that the end of the ssh connection, or of the module, does not end it.

The parent waits for the result and returns it. When the parent is killed, the work goes on; its result lies in a file
and its steps in the journal, where the next run finds them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from typing import Any, Callable, Iterable, NoReturn

from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import fsync_directory

RESULTS = "results"
LOGS = "log"


class DetachedError(Exception):
    """The detached process ended without a result."""


def run_detached(
    work: Callable[[], dict[str, Any]], state_dir: str, attempt: str, keep: Iterable[int] = ()
) -> dict[str, Any]:
    """Do the work in a detached process and return its result. ``keep`` names the open files that it needs (the lock).

    The work returns a dict, failures included; an exception that escapes it is turned into a failed result.
    """
    result, log = result_path(state_dir, attempt), log_path(state_dir, attempt)
    for path in (result, log):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if os.path.exists(result):
        os.unlink(result)  # an older run's result must not pass for this one's
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _work_as_child(work, result, log, tuple(keep))
    status = os.waitpid(pid, 0)[1]
    return _read_result(result, log, status)


def result_path(state_dir: str, attempt: str) -> str:
    """Where the result of an attempt's last detached work lies."""
    return os.path.join(state_dir, RESULTS, attempt + ".json")


def log_path(state_dir: str, attempt: str) -> str:
    """What the detached process printed."""
    return os.path.join(state_dir, LOGS, attempt + ".log")


def new_file(path: str) -> int:
    """A descriptor of a file for root alone. What somebody laid out there, a link too, gives way unread."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def write_atomically(path: str, data: dict[str, Any]) -> None:
    """A whole file or none: temporary file, fsync, rename, fsync of the directory."""
    temporary = path + ".tmp"
    with os.fdopen(new_file(temporary), "w", encoding="utf-8") as handle:
        json.dump(data, handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.rename(temporary, path)
    fsync_directory(os.path.dirname(path))


def _work_as_child(work: Callable[[], dict[str, Any]], result: str, log: str, keep: tuple[int, ...]) -> NoReturn:
    """Never returns: the module's own exit handlers and its caller's code belong to the parent alone."""
    status = 1
    try:
        _leave_session(log, keep)
        write_atomically(result, _outcome(work))
        status = 0
    except BaseException:  # whatever it is, only the log is left to tell it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _outcome(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Exception as error:  # the parent reports it
        traceback.print_exc()
        return {"failed": True, "msg": f"{type(error).__name__}: {error}"}


def _leave_session(log: str, keep: tuple[int, ...]) -> None:
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    # The caller may have put other objects in the place of the standard streams.
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    _close_others({0, 1, 2, *keep})


def _close_others(keep: set[int]) -> None:
    """The ssh server ends a connection only when nobody holds its pipes any more."""
    for fd in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        if fd not in keep:
            with contextlib.suppress(OSError):  # the descriptor that listed the directory is closed already
                os.close(fd)


def _read_result(result: str, log: str, status: int) -> dict[str, Any]:
    try:
        with open(result, encoding="utf-8") as handle:
            return json.load(handle)
    except FileNotFoundError:
        raise DetachedError(_death_message(log, status)) from None


def _death_message(log: str, status: int) -> str:
    how = f"by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"with status {os.WEXITSTATUS(status)}"
    return (
        f"The process that worked on this host was killed or died ({how}) before it could report; its log is {log}. "
        "The journal knows how far it came: run the same command again, it continues or goes back."
    )
