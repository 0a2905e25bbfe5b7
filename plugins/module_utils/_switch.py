# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switch: from the old container to the new one, or back, as journaled steps."""

from __future__ import annotations

import traceback
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _container_spec,
    _fill_external,
    _finalize,
    _mend,
    _recreate,
    _restore,
    _situation,
    _snapshot,
    _switch_external,
    _switch_server,
    _switch_steps,
    _switch_worker,
    _unit_record,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    NO_RESTART,
    Attempt,
    Work,
    begin_detail,
    created_by,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._carry_out import carry_out, facts_of, sentence
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import (
    DONE,
    STARTED,
    last_detail,
    outcome_of,
    seconds_of,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import summary as journal_summary
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock
from ansible_collections.fleetops.gpustack.plugins.module_utils._situation import (
    AGAIN,
    FINISH,
    GO_ON,
    NOTHING,
    Situation,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._switch_steps import Progress, Step
from ansible_collections.fleetops.gpustack.plugins.module_utils._wrecks import Wreck

SERVER_STEPS: list[tuple[str, Step]] = [
    ("permissions", _switch_server.permissions),
    ("stop", _switch_steps.stop_legacy),
    ("snapshot", _switch_server.snapshot),
    ("verify_snapshot", _switch_server.verify_snapshot),
    ("raise_snapshot", _switch_server.raise_snapshot),
    ("identity", _switch_steps.pre_seed_identity),
    ("retire", _switch_steps.retire_legacy),
    ("create", _switch_steps.create),
    ("start", _switch_steps.start),
    ("migrate", _switch_server.migrate),
    ("schema_head", _switch_server.schema_head),
    ("rows", _switch_server.rows),
    ("ready", _switch_server.ready),
    ("accept", _switch_steps.accept),
]
#: What a server does in another way whose rows are in an external database.
EXTERNAL_STEPS: dict[str, Step] = {
    "snapshot": _switch_external.snapshot,
    "verify_snapshot": _switch_external.verify_snapshot,
}
WORKER_STEPS: list[tuple[str, Step]] = [
    ("save", _switch_worker.save),
    ("stop", _switch_steps.stop_legacy),
    ("identity", _switch_steps.pre_seed_identity),
    ("retire", _switch_steps.retire_legacy),
    ("create", _switch_steps.create),
    ("start", _switch_steps.start),
    ("ready", _switch_steps.ready),
    ("accept", _switch_steps.accept),
]
#: An engine that restarts in the middle of a switch stops its containers first; the way back waits for it.
ENGINE_SECONDS = 180
#: What the journal must hold before a step changes it.
ANNOUNCED: dict[str, Callable[[Work], dict[str, Any]]] = {"permissions": _switch_server.modes_before}


def run(params: Mapping[str, Any], check_mode: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """`state=upgraded`. In check mode everything is read and nothing written, the Docker SDK not even imported."""
    if check_mode:
        return _preview(params, _situation.assess(params, needs_image=False))
    with HostLock(params["state_dir"], params["run_id"]) as lock:
        situation = _situation.assess(params, needs_image=True)
        if situation.action == NOTHING:
            return _preview(params, situation)
        report(f"attempt {situation.attempt.name}: {situation.action}")
        before = _preview(params, situation)
        result = carry_out(params, situation.attempt, lock, lambda work: _work(work, situation))
    return {**before, **result}


def _preview(params: Mapping[str, Any], situation: Situation) -> dict[str, Any]:
    """What would change, or what is there when nothing would."""
    result = {
        "changed": situation.action != NOTHING,
        "leftovers": situation.leftovers,
        "warnings": [],
        **facts_of(situation.attempt),
    }
    if situation.action == NOTHING:
        result.update(_what_is_there(situation.attempt, DockerReader(params["docker_host"]).inspect))
        result["outcome"] = journal_summary(params["state_dir"])["outcome"]
        result["warnings"] = _not_running(situation)
    if situation.spec:
        image = DockerReader(params["docker_host"]).image(situation.container["Image"]) or {}
        before = _container_spec.from_inspect(situation.container, image)
        result["diff"] = _container_spec.difference(before, situation.spec)
    return result


def _not_running(situation: Situation) -> list[str]:
    if is_running(situation.container):
        return []
    name = situation.attempt.container_name
    return [
        f"Container {name} is upgraded but does not run, which was not this module's doing; see docker logs {name}."
    ]


def _work(work: Work, situation: Situation) -> dict[str, Any]:
    if situation.action == FINISH:
        return _finish(work)
    progress = Progress(situation.container, situation.spec, situation.config_copy)
    try:
        if situation.action == GO_ON:
            _go_on(work, progress)
        else:
            if situation.action == AGAIN:
                work = _restore.go_back(work)
            _switch(work, progress, situation.wreck)
    except Exception as error:  # whatever failed, the host must not be left in between
        return {**progress.facts, **_failed(work, error)}
    return {**progress.facts, **_finish(work)}


def _switch(work: Work, progress: Progress, wreck: Wreck | None) -> None:
    accepted = {"accept_losses": list(work.params["accept_losses"])}
    with work.journal.step("begin", {**begin_detail(work.attempt), **accepted}):
        pass
    if wreck is not None:
        with work.journal.step("mend", _mend.announced(wreck)) as found:
            found.update(_mend.mend(work, wreck))
    _take(work, progress, steps_of(work.attempt))


def _go_on(work: Work, progress: Progress) -> None:
    """Judge the container that a run started which was cut off; what that run saw already is looked at once more."""
    progress.container_id = (last_detail(work.journal.entries(), "create", DONE) or {})["container"]
    progress.manifest = _snapshot.verify_manifest(work.attempt.backup)
    steps = steps_of(work.attempt)
    _take(work, progress, steps[1 + [name for name, _step in steps].index("start") :])


def _take(work: Work, progress: Progress, steps: list[tuple[str, Step]]) -> None:
    for name, step in steps:
        announced = ANNOUNCED[name](work) if name in ANNOUNCED else {}
        with work.journal.step(name, announced) as found:
            found.update(step(work, progress))


def steps_of(attempt: Attempt) -> list[tuple[str, Step]]:
    """The steps of an attempt: its role's, and those for a container that goes with its stop or holds the data."""
    steps = dict(SERVER_STEPS if attempt.serves else WORKER_STEPS)
    order = [name for name in steps if name != "identity" or attempt.works]
    if attempt.external:
        steps.update(EXTERNAL_STEPS)
    if attempt.leaves_directory:
        order.remove("permissions")
    if attempt.fills:
        steps["fill"] = _fill_external.fill
        order.insert(order.index("verify_snapshot") + 1, "fill")
    if attempt.is_throwaway:
        steps["recreate"] = _switch_steps.keep_copy
        order.insert(order.index("stop"), "recreate")
    if attempt.layer:
        steps["copy_out"] = _switch_steps.copy_out
        # What is saved and opened is the copy, which is not there before.
        saved = ["save"] if "save" in order else []
        order = [name for name in order if name not in ("save", "permissions")]
        after = order.index("stop") + 1
        order[after:after] = ["copy_out", *saved]
    return [(name, steps[name]) for name in order]


def _finish(work: Work) -> dict[str, Any]:
    """What follows acceptance; when it fails, the next run does it."""
    _finalize.settle(work)
    if outcome_of(work.journal.entries()) == "unfinished":
        with work.journal.step("done"):
            _switch_steps.last(work)
    return {
        "outcome": outcome_of(work.journal.entries()),
        "downtime": downtime(work.journal.entries(), "accept"),
        "worker": (last_detail(work.journal.entries(), "identity", DONE) or {}).get("worker"),
        **_what_is_there(work.attempt, work.engine.inspect),
    }


def _what_is_there(attempt: Attempt, inspect: Callable[[str], dict[str, Any] | None]) -> dict[str, Any]:
    """The two containers of a host that was switched."""
    record = inspect(attempt.container_name) or {}
    container = {
        "name": attempt.container_name,
        "id": record.get("Id"),
        "image": (record.get("Config") or {}).get("Image"),
        "image_id": record.get("Image"),
    }
    return {"container": container, "legacy_container": attempt.retired_name}


def _failed(work: Work, error: Exception) -> dict[str, Any]:
    traceback.print_exc()  # into the log of the attempt
    cause = sentence(error)
    try:
        work.engine.wait(ENGINE_SECONDS)
        if work.params["on_failure"] == "stop":
            return _left_for_inspection(work, cause)
        _restore.undo(work, start=work.attempt.serves and work.attempt.was_running)
    except Exception as undo_error:  # both failures belong to the operator
        return {
            "failed": True,
            "outcome": "unfinished",
            "msg": f"{cause} The way back failed too: {sentence(undo_error)} Remove that cause and run the same "
            "command again: it goes back first.",
        }
    record = _recreate.legacy_record(work)
    state = "runs" if record is not None and is_running(record) else "is stopped"
    proven = (last_detail(work.journal.entries(), "undo_prove", DONE) or {}).get("proven")
    files = f"its files are proven against {work.attempt.manifest}" if proven else "its files were not touched"
    return {
        "failed": True,
        "outcome": "restored",
        "downtime": downtime(work.journal.entries(), "undo_start"),
        "msg": f"{cause} Everything is back: {_unit_record.legacy(work.attempt.legacy_name)} {state}, {files}. What v2 "
        "left is kept aside. Remove the cause and run again.",
    }


def _left_for_inspection(work: Work, cause: str) -> dict[str, Any]:
    stopped = []
    with work.journal.step("stopped"):
        for record in work.engine.with_label(created_by(work.attempt)):
            work.engine.set_restart_policy(record["Id"], NO_RESTART)
            if is_running(record):
                work.engine.stop(record["Id"], work.params["stop_timeout"])
            stopped.append(name_of(record))
    return {
        "failed": True,
        "outcome": "stopped",
        "msg": f"{cause} Nothing was put back, as asked: {', '.join(stopped) or 'no new container'} stopped for "
        "inspection. Run again to go back and try once more, or go back with state=legacy.",
    }


def downtime(entries: list[dict[str, Any]], until: str) -> float | None:
    """Seconds between the first stop of the old container and the end of a step."""
    begun = [entry["time"] for entry in entries if (entry["step"], entry["state"]) == ("stop", STARTED)]
    ended = [entry["time"] for entry in entries if (entry["step"], entry["state"]) == (until, DONE)]
    if not begun or not ended:
        return None
    return round(seconds_of(ended[-1]) - seconds_of(begun[0]), 3)
