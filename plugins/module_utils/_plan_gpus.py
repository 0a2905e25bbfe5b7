# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPU vendor of each host, and how each worker's GPUs are compared after the upgrade. Pure."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _plan_fleet, _releases, _vendors
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem


def judge(view: HostView, installation: Mapping[str, Any] | None, release: _releases.Release) -> _vendors.Verdict:
    """What the vendor data say of a host with this installation."""
    return _vendors.judge(
        gpu=view.node["gpu"],
        installation=installation,
        engine=view.node["engine"],
        vendors=view.settings.vendors,
        choice=view.settings.choice(view.name, "gpu_vendor", _vendors.AUTO),
        release=release,
        groups=view.settings.choice(view.name, "groups", ()),
        devices=view.settings.choice(view.name, "gpu_devices", ()),
    )


def with_gates(views: Sequence[HostView], workers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The workers with `gpu_gate`, and `same_names` at each of their GPUs, where their host is in this run."""
    verdicts = {}
    for view in views:
        worker = _plan_fleet.worker_of(view, workers) if view.runs_worker else None
        if worker is not None and view.release is not None:
            verdicts[worker["id"]] = judge(view, _before(view), view.release)
    return [_with_gate(worker, verdicts.get(worker["id"])) for worker in workers]


def warnings(view: HostView, verdict: _vendors.Verdict) -> Iterator[Problem]:
    """What the vendor data warn of, and a v2 container that somebody made without its vendor's runtime."""
    for notice in verdict.warnings:
        yield view.problem(*notice)
    installation = view.installation
    if view.will_switch or not view.runs_worker or installation is None or view.release is None:
        return
    wanted = judge(view, _before(view), view.release).flags.get("runtime")
    if wanted and installation["runtime"] != wanted:
        yield view.problem(
            "runtime_forgotten",
            f"the container {installation['name']} has the runtime '{installation['runtime']}' and not '{wanted}':"
            " being privileged it lists the GPUs, but models do not start on them (GPUStack issues 3518, 3805)",
            f"make the container again with --runtime {wanted}",
        )


def _before(view: HostView) -> Mapping[str, Any] | None:
    """The container with which the GPUs on record were seen: the retired one, where the host was switched already."""
    retired = [each for each in view.node["installations"] if each["retired"] and each["generation"] == "legacy"]
    return view.installation if view.will_switch or len(retired) != 1 else retired[0]


def _with_gate(worker: dict[str, Any], verdict: _vendors.Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return worker
    gpus = [{**gpu, "same_names": verdict.same_names} for gpu in worker["gpus"]]
    return {**worker, "gpus": gpus, "gpu_gate": verdict.gpu_gate}
