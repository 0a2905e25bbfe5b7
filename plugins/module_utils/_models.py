# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that ran on the legacy fleet: do they run again, and if not, what does the server say? Pure.

READY is said of workers. A model serves when v2 itself calls an instance of it RUNNING. The migration copies the old
states along, so one that v2 has not written since is no answer (v2: worker/serve_manager.py finds no container for such
an instance, and calls it ERROR, once its worker is back).
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _fleet_records

RUNNING = "running"
#: Backends of 0.x that no 2.x has (2.0.0: schemas/models.py, BackendEnum).
LLAMA_BOX = "llama-box"
OLLAMA = "ollama_library"


def ran_before(models: Iterable[Mapping[str, Any]], instances: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The legacy server's records of the models that ran, each with its running instances as ``instances``."""
    running: dict[Any, list[dict[str, Any]]] = {}
    for instance in instances:
        if instance["state"] == RUNNING:
            record = {key: instance[key] for key in ("id", "name", "worker_name", "updated")}
            running.setdefault(instance["model_id"], []).append(record)
    kept = ("id", "name", "source", "backend", "backend_version", "replicas")
    return [
        {**{key: model[key] for key in kept}, "instances": running[model["id"]]}
        for model in models
        if model["id"] in running
    ]


def judge(
    expected: Iterable[Mapping[str, Any]], models: Iterable[Mapping[str, Any]], instances: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each model that ran against the v2 server's records of models and instances.

    ``problems`` is empty where as many instances run as did before, or as its replicas now ask for. ``hopeless`` says
    that waiting cannot help.
    """
    known = {model["id"]: model for model in models}
    return [_judged(model, known.get(model["id"]), instances) for model in expected]


def _judged(
    before: Mapping[str, Any], now: Mapping[str, Any] | None, instances: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    old = {instance["id"]: instance["updated"] for instance in before["instances"]}
    found = [_seen(instance, old) for instance in instances if now and instance["model_id"] == now["id"]]
    running = sum(instance["runs"] for instance in found)
    wanted = len(old) if now is None else min(len(old), now["replicas"] or 0)
    lost = _lost(before, now)
    problems = [lost] if lost else []
    if not lost and running < wanted:
        problems = [f"{running} of {wanted} instances run", *_reasons(before, found)]
    return {
        "id": before["id"],
        "name": before["name"],
        "ran": len(old),
        "replicas": now["replicas"] if now else None,
        "runs": running,
        "problems": problems,
        "hopeless": lost is not None,
        "instances": found,
    }


def _seen(instance: Mapping[str, Any], old: Mapping[Any, Any]) -> dict[str, Any]:
    """An instance as v2 has it. One that v2 has not touched since it was copied says nothing about now."""
    untouched = instance["updated"] is not None and old.get(instance["id"]) == instance["updated"]
    return {
        "id": instance["id"],
        "name": instance["name"],
        "worker_name": instance["worker_name"],
        "state": instance["state"],
        "state_message": _fleet_records.without_markup(instance["state_message"]),
        "untouched": untouched,
        "runs": instance["state"] == RUNNING and not untouched,
    }


def _lost(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> str | None:
    """Why a model cannot run on v2 whatever one waits for; None where nothing is known against it."""
    if before["backend"] == LLAMA_BOX:
        return "its backend is llama-box, which 2.x does not have; deploy it with another backend"
    if now is None and before["source"] == OLLAMA:
        return "it came from the Ollama library, and 2.x drops such models; deploy it from another source"
    if now is None:
        return "the v2 server has no such model; it was deleted since"
    return None


def _reasons(before: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for instance in found:
        if not instance["runs"]:
            where = " on worker {}".format(instance["worker_name"]) if instance["worker_name"] else ""
            state = "{}, as it was copied, and not looked at by v2 since" if instance["untouched"] else "{}"
            message = " ({})".format(instance["state_message"]) if instance["state_message"] else ""
            yield "{}{} is {}{}".format(instance["name"], where, state.format(instance["state"]), message)
    if before["backend_version"]:
        yield "it asks for version {} of {}, which v2 has to know".format(before["backend_version"], before["backend"])
