# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan and outcome as lines for a person. Pure."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _runner_images, _unit_record

ACTIONS = {
    "switch": "will be upgraded",
    "resume": "was interrupted and will be continued",
    "finalize": "is upgraded; the roll-out variables will be removed",
    "none": "nothing to do",
}
# Parts of the preparation that a host may have behind it, as a person calls them.
PREPARED = {
    "libraries": "libraries",
    "version": "image",
    "trial": "GPU trial",
    "schema": "trial of the database's schema",
    "runner_images": "runner images",
}


def lines(plan: Mapping[str, Any]) -> list[str]:
    """The plan, for the screen."""
    out = ["GPUStack {} from {}".format(plan["release"], plan["image"]), ""]
    for host, decision in sorted(plan["hosts"].items()):
        out.extend(_host_lines(host, decision))
    out.extend(_model_names(plan["models"]))
    out.extend(_problem_lines("Warnings", plan["warnings"]))
    out.extend(_loss_lines(plan["losses"]))
    out.extend(_problem_lines("Refused", plan["refusals"]))
    return out


def _host_lines(host: str, decision: Mapping[str, Any]) -> Iterator[str]:
    role = {"both": "server with embedded worker", None: "no GPUStack"}.get(decision["role"], decision["role"])
    release = " {}".format(decision["legacy_release"]) if decision["legacy_release"] else ""
    yield "{}: {}{}, container {}: {}".format(
        host, role, release, decision["container_name"], ACTIONS[decision["action"]]
    )
    if decision["action"] not in ("switch", "resume"):
        return
    if decision["data_dir"]:
        yield "    data in {}".format(decision["data_dir"])
    if decision["gpu"]["vendor"]:
        yield "    GPU vendor {} (known from {})".format(decision["gpu"]["vendor"], decision["gpu"]["how"])
    if decision["model_paths"]:
        yield "    models by path, mounted where this host has them: {}".format(", ".join(decision["model_paths"]))
    worker = decision["worker"]
    if worker:
        yield "    worker {}, id {}, {}".format(worker["name"], worker["id"], gpu_text(worker["gpus"]))
    yield "    to prepare: {}".format(
        ", ".join(word for part, word in PREPARED.items() if decision["prepare"][part]) or "nothing"
    )
    if decision["prepare"]["runner_images"]:
        yield f"    runner images to bring: {_wished(decision)}"
    for leftover in decision["leftovers"]:
        yield "    {}: {}: {}".format(leftover["item"], leftover["action"], leftover["reason"])


def _wished(decision: Mapping[str, Any]) -> str:
    """What the image names for backends is known only once that was asked."""
    backends = [_runner_images.backend_name(backend) for backend in decision["runner_backends"]]
    return ", ".join(decision["runner_images"] or [f"what the image names for {name}" for name in backends])


def gpu_text(gpus: Sequence[Mapping[str, Any]]) -> str:
    """The GPUs of a worker in a few words."""
    if not gpus:
        return "no GPUs"
    names = sorted({str(gpu["name"]) for gpu in gpus})
    return "{} GPU{} ({})".format(len(gpus), "" if len(gpus) == 1 else "s", ", ".join(names))


def _model_names(models: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if models:
        yield ""
        yield "Models that ran: {}".format(
            ", ".join("{} ({})".format(model["name"], len(model["instances"])) for model in models)
        )


def _problem_lines(title: str, problems: Sequence[Mapping[str, str]]) -> Iterator[str]:
    if problems:
        yield ""
        yield f"{title}:"
    for problem in problems:
        yield "  " + problem_line(problem)


def problem_line(problem: Mapping[str, str]) -> str:
    """Host, cause, way out, in one line."""
    return "{}: {}. Way out: {}.".format(problem["host"], problem["cause"].rstrip("."), problem["way_out"].rstrip("."))


def _loss_lines(losses: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if losses:
        yield ""
        yield "Given up by v2:"
    for loss in losses:
        state = "accepted" if loss["accepted"] else "not accepted"
        yield "  {}: {} ({}): {}".format(loss["host"], loss["class"], state, ", ".join(loss["items"]))


def outcome(plan: Mapping[str, Any], results: Mapping[str, dict[str, Any]]) -> list[str]:
    """The proof at the end of an upgrade.

    ``results`` holds, per host, what was registered: ``switched`` (of node), ``fleet`` (of fleet_info, on the server).
    """
    out: list[str] = ["", "GPUStack {}: what was done, and the proof".format(plan["release"]), ""]
    for host, decision in sorted(plan["hosts"].items()):
        out.extend(_outcome_host(host, decision, results.get(host, {}).get("switched") or {}))
    server = results.get(plan["server"] or "", {})
    out.extend(_parity_lines((server.get("switched") or {}).get("parity") or {}))
    fleet = server.get("fleet") or {}
    out.extend(worker_lines(plan["workers"], fleet.get("workers") or []))
    out.extend(model_lines(fleet.get("model_judgements") or []))
    return out


def _outcome_host(host: str, decision: Mapping[str, Any], switched: Mapping[str, Any]) -> Iterator[str]:
    if not switched.get("attempt"):
        yield "{}: {}".format(host, ACTIONS[decision["action"]])
        return
    yield "{}: {} {}, now {}; down for {:.1f} s".format(
        host,
        decision["role"],
        decision["legacy_release"],
        switched["container"]["image"],
        switched["downtime"],
    )
    old = switched["legacy_container"]
    kept = f"{_unit_record.legacy(old)} kept, disabled" if old.endswith(".service") else f"old container kept as {old}"
    yield "    backup {}; {}".format(switched["backup"], kept)


def _parity_lines(parity: Mapping[str, Any]) -> Iterator[str]:
    if not parity:
        return
    yield ""
    yield "Rows, snapshot against PostgreSQL (%s):" % ("all accounted for" if parity["equal"] else "DIFFERENT")
    yield "  {:34} {:>7} {:>7}  {}".format("table", "before", "after", "of these rows")
    for table in parity["tables"]:
        yield "  {:34} {:>7} {:>7}  {}".format(table_name(table), table["before"], table["after"], _found(table))


def _found(table: Mapping[str, Any]) -> str:
    """Rows per kind; a kind without rows is left out."""
    if table["counted_only"]:
        return "counted only"
    kinds = ("identical", "transformed", "dropped", "added")
    return ", ".join(f"{table[kind]} {kind}" for kind in kinds if table[kind]) or "none"


def table_name(table: Mapping[str, Any]) -> str:
    """A table by its old name, and by the new one where v2 renamed or split it."""
    return table["table"] if table["target"] == table["table"] else "{table} -> {target}".format(**table)


def worker_lines(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """State and GPUs of each worker, before and after."""
    if not after:
        return
    now = {worker["id"]: worker for worker in after}
    yield ""
    yield "Workers, before and after:"
    for worker in before:
        current = now.get(worker["id"])
        state = "missing" if current is None else "{}, {}".format(current["state"], gpu_text(current["gpus"]))
        yield "  {} (id {}): was {}, {}; is {}".format(
            worker["name"], worker["id"], worker["state"], gpu_text(worker["gpus"]), state
        )


def model_lines(judgements: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Whether each model that ran runs again, and what the server says where it does not."""
    if not judgements:
        return
    yield ""
    yield "Models that ran before, and now:"
    for model in judgements:
        if model["problems"]:
            yield "  {}: DOES NOT RUN as before: {}".format(model["name"], "; ".join(model["problems"]))
        else:
            yield "  {}: ran {} times, runs {} times".format(model["name"], model["ran"], model["runs"])
    if any(model["problems"] for model in judgements):
        yield "  An instance's own log is below log/serve in its worker's data directory, and in v2's web pages"
        yield "  (Deployments, the instance, View Logs). --tags gpustack_verify looks again."
