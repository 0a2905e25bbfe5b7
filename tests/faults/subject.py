# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that faults are tried on: the calls that a role would make of it, and how it must look after them."""

from __future__ import annotations

import calendar
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.e2e import outside
from tests.faults import controller, ledger, outcome
from tests.faults.controller import Answer
from tests.faults.points import CLEANED, INSPECTION, SERVER, UNDONE, WORKER, Point
from tests.lab.fleet import Fleet

BACKUPS = "/var/backups/gpustack"
#: What a switch is given so that it fails by itself and is left for inspection. In its first seconds a v2 worker does
#: not heed SIGTERM, and would use up all the time that it has to stop.
FAILING = {
    SERVER: {"on_failure": "stop", "migration_timeout": 1},
    WORKER: {"on_failure": "stop", "ready_timeout": 0, "stop_timeout": 10},
}


class Subject:
    """One host, with the arguments of its switch."""

    def __init__(self, fleet: Fleet, name: str, arguments: dict[str, Any]) -> None:
        self.fleet = fleet
        self.name = name
        self.role = SERVER if name == "server" else WORKER
        self.reach = fleet.host(name)
        self.data_dir = outside.DATA_DIR
        self.before: outcome.Legacy | None = None
        self._files_noted = False
        # A container that was made again has another id than the one that the role gave.
        self._arguments = {**arguments, "installation": "gpustack"}
        self._runs = calendar.timegm(time.strptime(arguments["run_id"], "%Y%m%dT%H%M%SZ"))

    def note_definition(self) -> None:
        """Note what the legacy container is defined to be; its files are noted when it has stopped writing them."""
        self.before = outcome.legacy(self.reach, self.data_dir)
        self._files_noted = False

    def note_files(self) -> None:
        """Note the files of the legacy installation once its container has stopped."""
        if not self._files_noted and not self.legacy_runs():
            hashes, listing = outcome.files(self.reach, self.data_dir)
            self.before = replace(self._known(), files=hashes, listing=listing)
            self._files_noted = True

    def rest_in_legacy(self) -> None:
        """The legacy installation with its container stopped, so that its files are the same from fault to fault."""
        self.go_back()
        self.reach.exec_root("docker", "stop", "gpustack")
        self.note_definition()
        self.note_files()
        self.tidy()

    def legacy_runs(self) -> bool:
        """Whether the legacy container runs, whatever its name is now."""
        wanted = self._known().container["Id"]
        return any(c["State"]["Running"] for c in outside.containers(self.reach).values() if c["Id"] == wanted)

    def assert_files(self) -> None:
        """The files are those of the moment at which the legacy container had stopped."""
        assert self._files_noted
        assert outcome.files(self.reach, self.data_dir) == (self._known().files, self._known().listing)

    def call(self, state: str, fault: str = "", environment: dict[str, str] | None = None, **changes: Any) -> Answer:
        """The call for a state. With a fault, it has to meet that."""
        asked = {controller.FAULT: fault} if fault else {}
        answer = controller.call(
            self.fleet, self.name, self._request(state, **changes), {**asked, **(environment or {})}
        )
        return controller.require_hit(answer, fault) if fault else answer

    def call_meanwhile(self, state: str, point: str, meanwhile: Callable[[], Any], **changes: Any) -> Answer:
        """The call for a state, with something happening while its work stands at a point."""
        return controller.call_meanwhile(self.fleet, self.name, self._request(state, **changes), point, meanwhile)

    def meet(self, point: Point, kind: str, **changes: Any) -> Answer:
        """Walk into a fault on the way to its state."""
        state = point.state
        if state == INSPECTION:
            state, changes = "upgraded", FAILING[self.role]
        elif point.step == UNDONE:
            # An upgrade that comes upon an interrupted finalize puts back what served before.
            state = "upgraded"
        if kind == "controller":
            controller.call_and_die(self.fleet, self.name, self._request(state, **changes), str(point))
            return Answer()
        return self.call(state, f"{point}:{kind}", **changes)

    def reach_state(self, state: str, **changes: Any) -> Answer:
        """The call for a state, which must succeed."""
        answer = self.call(state, **changes)
        assert not answer.failed, f"{self.name} {state}: {answer.message}"
        return answer

    def go_back(self, start: bool = False) -> Answer:
        """The way back, as `playbooks/rollback.yml` walks it on one host."""
        return self.reach_state("legacy", start=start)

    def assert_state(self, state: str) -> str:
        """The host is in a state, as seen from outside; what the table calls that."""
        if state == "legacy":
            assert self._files_noted
            outcome.assert_identical(self.reach, self._known(), self.data_dir)
            return ledger.LEGACY
        outcome.assert_v2(self.fleet, self.name, finalized=state in ("finalized", CLEANED))
        if state == CLEANED:
            outcome.assert_clean(self.reach, self.data_dir)
        return ledger.CONVERGED.format(release=outcome.RELEASE)

    def assert_unchanged_by_another_run(self, state: str) -> None:
        """A further run of the same call changes nothing."""
        changes = {"start": False} if state == "legacy" else {}
        assert not self.reach_state(state, **changes).changed

    def tidy(self) -> None:
        """Remove what attempts have set aside on a host that is legacy again: the lab's disk is not endless."""
        assert outside.is_legacy(self.reach)
        for name in outside.containers(self.reach):
            if "-failed-" in name:
                self.reach.exec_root("docker", "rm", name)
        self.reach.exec_root("sh", "-c", f"rm -rf '{self.data_dir}'/.gpustack-v2-* {BACKUPS}/*")

    def leave_a_superfluous_backup(self) -> None:
        """One more backup than a clean-up keeps: a copy of the attempt's own."""
        self.reach.exec_root(
            "sh", "-c", 'cd "$0" && set -- 2*T*Z && rm -rf 1-superfluous && cp -a "$1" 1-superfluous', BACKUPS
        )

    def assert_definition(self) -> None:
        """The legacy container has its name and its definition."""
        assert outcome.legacy(self.reach, self.data_dir).container == self._known().container

    def assert_serving(self) -> None:
        """The legacy container runs under its name, as it was defined."""
        assert outside.is_running(self.reach)
        self.assert_definition()

    def _known(self) -> outcome.Legacy:
        assert self.before is not None
        return self.before

    def _request(self, state: str, **changes: Any) -> dict[str, Any]:
        if state == CLEANED:
            changes = {"backup_keep": 1, **changes}
        return {**self._arguments, **changes, "state": state, "run_id": self._run_id()}

    def _run_id(self) -> str:
        """A fresh name for every call; an attempt that is not at its end keeps its own."""
        self._runs += 1
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._runs))


def subjects(fleet: Fleet) -> dict[str, Subject]:
    """Every host of a fleet, prepared."""
    return {name: Subject(fleet, name, arguments) for name, arguments in controller.capture(fleet).items()}


def show(text: str) -> None:
    """A line for whoever watches."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)
