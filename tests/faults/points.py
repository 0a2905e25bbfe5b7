# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault points, taken from the collection's own code: a step that is added there is covered here by itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.fleetops.gpustack.plugins.module_utils import _restore, _switch

MODULE_UTILS = Path(__file__).resolve().parents[2] / "plugins/module_utils"
WHEN = ("before", "after")
KINDS = ("kill", "controller", "raise")

SERVER, WORKER = "server", "worker"

#: A server's rows are looked at once in a way back: when its legacy container ran, they may be other ones.
ROWS_AGAIN = "undo_rows"


@dataclass(frozen=True)
class Point:
    """A moment of a host's work: whose, towards which state of the node module, in which step, on which side of it."""

    role: str
    state: str
    step: str
    when: str

    def __str__(self) -> str:
        return f"{self.step}:{self.when}"

    @property
    def name(self) -> str:
        """The name of the point on the command line and in the table."""
        return f"{self.role}/{self.state}/{self}"


def literal_steps(source: Path) -> list[str]:
    """The names of the steps that a source file spells out where it journals them, in their order."""
    return [str(argument.value) for argument in step_arguments(source) if isinstance(argument, ast.Constant)]


def step_arguments(source: Path) -> Iterator[ast.expr]:
    """The first argument of every call of a journal's `step` in a source file."""
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: call.lineno):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "step" and _is_journal(call.func.value):
            yield call.args[0]


def _is_journal(receiver: ast.expr) -> bool:
    name = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
    return name == "journal"


def _spelled_out(module: str) -> list[str]:
    return literal_steps(MODULE_UTILS / f"{module}.py")


def switch_steps(role: str) -> list[str]:
    """The steps of a switch in which nothing fails. A server without a worker of its own has no identity to write."""
    table = _switch.SERVER_STEPS if role == SERVER else _switch.WORKER_STEPS
    names = [name for name, _step in table if (role, name) != (SERVER, "identity")]
    return ["begin", *names, "done"]


def hand_over_steps() -> list[str]:
    """The last steps of the way back, at which the legacy container gets its service back."""
    return [step for step in _spelled_out("_restore") if step not in SITUATIONAL]


def back_steps(role: str) -> list[str]:
    """The steps of the way back."""
    steps = [*_restore.WAY_BACK, *hand_over_steps()]
    return [step for step in steps if step != ROWS_AGAIN or role == SERVER]


def finalize_steps() -> list[str]:
    """The steps of finalize, with its own way back before the end that excludes it."""
    steps = _spelled_out("_finalize")
    return [*(step for step in steps if step not in FINALIZE_ENDS), *FINALIZE_ENDS]


#: Finalize goes back only from a restart that was interrupted.
UNDONE = "finalize_undone"
FINALIZE_ENDS = (UNDONE, "finalize_done")
#: Reached only when a switch fails and is to be left as it is.
INSPECTION = "stopped"
CLEANED = "cleaned"


#: Steps of hosts that are out of the ordinary; their tests, units and on the lab, meet the faults there.
SITUATIONAL = {
    "copy_out": "test_supervised",
    "mend": "test_mend",
    "recreate": "test_supervised",
    "undo_database": "test_external_postgresql",
}
#: No step of a work: `database_restore` notes with it that an attempt has ended.
NOTES = {"from_backup"}


def points(role: str, state: str) -> list[Point]:
    """The points on the way to a state, in the order in which a run passes them."""
    steps = {
        "upgraded": lambda: switch_steps(role),
        "legacy": lambda: back_steps(role),
        "finalized": finalize_steps if role == SERVER else list,
        INSPECTION: lambda: [INSPECTION],
        CLEANED: lambda: _spelled_out("_cleanup"),
    }[state]()
    return [Point(role, state, step, when) for step in steps for when in WHEN]


STATES = ("upgraded", "legacy", "finalized", INSPECTION, CLEANED)


def every_point() -> list[Point]:
    """All of them, the server's first."""
    return [point for role in (SERVER, WORKER) for state in STATES for point in points(role, state)]
