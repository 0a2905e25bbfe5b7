# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the host, run by the module's own `run_command` for a limited time."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Sequence

# What coreutils' `timeout` ends with when it has stopped a command, or has had to kill it.
_TIMED_OUT = (124, 137)
_KILL_AFTER = 5


class RunCommand(Protocol):
    """`AnsibleModule.run_command`, as far as it is used here."""

    def __call__(self, args: list[str], **options: Any) -> tuple[int, str, str]: ...


class Finished(NamedTuple):
    """How a command ended. Without a status it was given up."""

    status: int | None
    output: str
    error: str


def execute(run: RunCommand, command: Sequence[str], seconds: float) -> Finished:
    """Run to the end, in a directory that holds no modules, with an argument list that nothing expands."""
    limited = ["timeout", f"--kill-after={_KILL_AFTER}", f"{seconds:g}", *command]
    try:
        status, output, error = run(
            limited, cwd="/", errors="replace", expand_user_and_vars=False, handle_exceptions=False
        )
    except OSError as failure:
        return Finished(127, "", f"timeout (coreutils) cannot be run: {failure.strerror or failure}")
    if status in _TIMED_OUT:
        return Finished(None, "", f"no answer within {seconds:g} s")
    return Finished(status, output, error)
