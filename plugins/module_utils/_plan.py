# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet's plan: from every host's evidence to refusals, warnings, losses and one decision per host. Pure.

Evidence and plan have the shapes of docs/architecture.md ("Evidence", "Plan").
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _container_spec,
    _options,
    _plan_fleet,
    _plan_gpus,
    _plan_host,
    _plan_machine,
    _plan_ports,
    _plan_prepare,
    _plan_runner_images,
    _plan_sso,
    _plan_text,
    _plan_tls,
    _plan_wrecks,
    _releases,
    _takeover,
    _unit_record,
    _vendors,
    _wrecks,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._data_directory import CACHE
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import (
    FINALIZE,
    NONE,
    RESUME,
    SWITCH,
    HostView,
    Problem,
    Settings,
)

# Findings of the database that v2 gives up, and the class of loss under which the operator accepts them
# (facts, C8, C9, D2).
LOSS_CLASSES = {
    "ollama_models": "ollama",
    "ollama_instances": "ollama",
    "ollama_files": "ollama",
    "ollama_usages": "ollama",
    "llama_box_models": "llama_box",
    "backend_version_set": "backend_version",
    "custom_distributed": "custom_distributed",
    "gpu_name_selector": "gpu_selector",
}
# Rows that GPUStack's own schema upgrades delete on the way to 0.7.1 (facts, C6). They are in the backup.
DELETED_ON_THE_WAY = {
    "instances_deleted": "model instances, which v2 makes anew by the models' replicas",
    "orphan_api_keys_deleted": "API keys of users that no longer exist",
}


def make_plan(evidence: Mapping[str, dict[str, Any]], settings: Settings) -> dict[str, Any]:
    """The plan for the hosts of ``evidence``; those that could not be assessed are in ``settings.unassessed``."""
    release, problems = _find_release(settings)
    views = [_view(name, node, settings, release) for name, node in sorted(evidence.items())]
    views = _plan_runner_images.with_wishes(views)
    verdicts = {view.name: _verdict(view) for view in views}
    run_ids = _plan_machine.run_ids(views, settings.run_id)
    known = _plan_gpus.with_gates(views, _plan_fleet.with_own_uuids(views, _plan_fleet.known_workers(views)))
    previews = {view.name: _preview(view, verdicts[view.name].flags) for view in views}
    leftovers = {name: [dict(each) for each in built.leftovers] for name, built in previews.items()}
    pin = _plan_prepare.pin(views)
    model_paths = _model_paths(views)

    problems.extend(_plan_fleet.refusals(views, settings))
    problems.extend(_plan_wrecks.refusals(views))
    problems.extend(_plan_machine.refusals(views, previews, release))
    for view in views:
        problems.extend(_plan_host.problems(view))
        problems.extend(_plan_runner_images.refusals(view))
        problems.extend(_plan_ports.refusals(view, previews[view.name]))
        problems.extend(_plan_tls.refusals(view, previews[view.name]))
        problems.extend(view.problem(*each) for each in verdicts[view.name].refusals)
        problems.extend(
            view.problem(each["code"], each["cause"], each["way_out"]) for each in previews[view.name].problems
        )
    losses = [loss for view in views for loss in _losses(view, leftovers[view.name])]
    problems.extend(_unaccepted(losses))

    plan: dict[str, Any] = {
        "release": settings.release,
        "image": settings.image,
        "pin": pin,
        "refusals": [problem.as_dict() for problem in problems],
        "warnings": [problem.as_dict() for problem in _warnings(views, verdicts, previews)],
        "losses": losses,
        "server": next((view.name for view in views if view.is_server), None),
        "workers": known,
        "models": _plan_fleet.known_models(views),
        "hosts": {
            view.name: _decision(
                view, known, pin, verdicts[view.name], leftovers[view.name], model_paths, run_ids[view.name]
            )
            for view in views
        },
    }
    plan["text"] = _plan_text.lines(plan)
    return plan


def _find_release(settings: Settings) -> tuple[_releases.Release | None, list[Problem]]:
    try:
        return _releases.find(settings.release, settings.allow_unproven), []
    except _releases.UnknownReleaseError as error:
        way_out = "set gpustack_version to one of them"
        return None, [Problem(_plan_fleet.FLEET, "unknown_release", str(error), way_out)]


def _view(name: str, node: dict[str, Any], settings: Settings, release: _releases.Release | None) -> HostView:
    candidates = [each for each in node["installations"] if not each["retired"]]
    installation, action = _choose(node, candidates)
    wreck = None
    if action != RESUME:  # what lies there then is the attempt's own
        wreck = _wrecks.recognise(candidates, node["journal"].get("definition"))
    if wreck is not None and wreck.legacy_name:
        installation, action = _wrecks.legacy_of(candidates), SWITCH
    return HostView(name, node, settings, release, candidates, installation, action, wreck)


def _choose(node: dict[str, Any], candidates: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
    """Which installation this run is about, and what it needs."""
    journal = node["journal"]
    if journal["outcome"] in ("unfinished", "failed"):
        return _legacy_of_attempt(node, journal), RESUME
    ours = [each for each in candidates if each["generation"] == "v2" and each["attempt"]]
    if len(ours) == 1:
        unfinished_rollout = journal["outcome"] == "upgraded" and ours[0]["role"] in ("server", "both")
        return ours[0], FINALIZE if unfinished_rollout else NONE
    if len(candidates) != 1:
        return None, SWITCH
    return candidates[0], NONE if candidates[0]["generation"] == "v2" else SWITCH


def _legacy_of_attempt(node: dict[str, Any], journal: dict[str, Any]) -> dict[str, Any] | None:
    """The legacy container of an unfinished attempt, whether it still has its name or is already retired."""
    legacy = [each for each in node["installations"] if each["generation"] != "v2"]
    named = [each for each in legacy if journal["legacy_name"] and each["name"].startswith(journal["legacy_name"])]
    # Beside a container that its stop deletes lies its copy, under the retired name.
    serving = [each for each in named if each["name"] == journal["legacy_name"]]
    chosen = serving or named or legacy
    return chosen[0] if len(chosen) == 1 else None


def _verdict(view: HostView) -> _vendors.Verdict:
    """The GPU vendor of a host that runs a worker and is still to be switched."""
    if not view.will_switch or not view.runs_worker or view.release is None or view.installation is None:
        return _vendors.Verdict.none()
    verdict = _plan_gpus.judge(view, view.installation, view.release)
    added = _plan_machine.environment(view, verdict.vendor)
    if not (added and verdict.flags):
        return verdict
    return verdict.with_environment(added)


def _preview(view: HostView, flags: Mapping[str, Any]) -> _container_spec.Built:
    """The new container as the target will make it: what does not go over as it was, and what cannot go over at all."""
    installation = view.installation
    if not view.will_switch or installation is None or view.release is None or installation["options_problem"]:
        return _container_spec.Built.nothing()
    settings = {
        "image": view.settings.image,
        "container_name": view.settings.choice(view.name, "container_name"),
        "network": view.settings.choice(view.name, "network"),
        "extra_args": view.settings.choice(view.name, "extra_args"),
        "extra_env": view.settings.choice(view.name, "extra_env"),
        "config_file": installation.get("config_file"),
        "data_dir": installation["data_dir"]["container_path"],
        "watchtower": _takeover.is_watched(installation),
        "legacy_release": installation["release"],
    }
    try:
        return _container_spec.preview(installation, view.release, flags, settings)
    except (_container_spec.SpecError, _options.OptionsError) as error:
        problem = {"code": "container", "cause": str(error), "way_out": "change that on the legacy container"}
        return _container_spec.Built.nothing(problem)


def _losses(view: HostView, leftovers: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What v2 gives up on this host, by class of loss."""
    if not view.will_switch:
        return
    classes: dict[str, list[str]] = {}
    for finding in (view.database or {}).get("findings", []):
        if finding["code"] in LOSS_CLASSES:
            classes.setdefault(LOSS_CLASSES[finding["code"]], []).extend(str(item) for item in finding["rows"])
    for name in [*_caches_left_behind(view), *_caches_not_found(view)]:
        classes.setdefault("caches", []).append(name)
    for leftover in leftovers:
        if leftover["loss"]:
            classes.setdefault(leftover["loss"], []).append(leftover["item"])
    for name, items in sorted(classes.items()):
        yield {"host": view.name, "class": name, "items": items, "accepted": name in view.settings.accept_losses}


def _caches_left_behind(view: HostView) -> list[str]:
    """Downloaded models in the container's own layer: nothing copies them, and v2 fetches them again."""
    if view.installation is None or view.installation["data_dir"]["type"] != "layer":
        return []
    return [f"{CACHE}/{name}" for name in (view.data or {}).get("cache", [])]


def _caches_not_found(view: HostView) -> list[str]:
    """Downloads of Hugging Face in the layout of 0.5 and older: 0.6 moved them at its start, v2 does not look there."""
    release = (view.installation or {}).get("release")
    if release is None or _releases.at_least(release, "0.6"):
        return []
    return list((view.data or {}).get("old_hub_cache", []))


def _deleted_on_the_way(view: HostView) -> Iterator[Problem]:
    """No row vanishes in silence."""
    for finding in (view.database or {}).get("findings", []) if view.will_switch else []:
        if finding["code"] in DELETED_ON_THE_WAY:
            yield view.problem(
                "rows_deleted",
                "on the way from {} to 0.7.1 GPUStack's own upgrade of the schema deletes {} rows of {}:"
                " {} ({})".format(
                    (view.installation or {}).get("release"),
                    finding["count"],
                    finding["table"],
                    DELETED_ON_THE_WAY[finding["code"]],
                    ", ".join(finding["rows"]),
                ),
                "the backup has them; nothing has to be done",
            )


def _unaccepted(losses: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    for loss in losses:
        if not loss["accepted"]:
            yield Problem(
                loss["host"],
                "loss",
                "v2 gives up {}: {}".format(loss["class"], ", ".join(loss["items"])),
                "accept it with gpustack_accept_losses: [{}], or change the legacy installation first".format(
                    loss["class"]
                ),
            )


def _warnings(
    views: Sequence[HostView],
    verdicts: Mapping[str, _vendors.Verdict],
    previews: Mapping[str, _container_spec.Built],
) -> list[Problem]:
    found = [*_plan_fleet.warnings(views), *_plan_wrecks.warnings(views)]
    for view in views:
        found.extend(_plan_ports.warnings(view, previews[view.name]))
        found.extend(_plan_gpus.warnings(view, verdicts[view.name]))
        found.extend(_plan_machine.warnings(view))
        found.extend(_plan_sso.warnings(view, previews[view.name]))
        found.extend(_deleted_on_the_way(view))
        if view.will_switch and view.installation is not None:
            found.extend(view.problem(*each) for each in _takeover.warnings(view.installation))
        if view.is_server and not view.will_switch and not (view.database and view.database["readable"]):
            found.append(
                view.problem(
                    "no_worker_record",
                    "the legacy database cannot be read, so nothing says which workers there were before",
                    "look at database.db in the data directory; the backup of the upgrade holds a copy",
                )
            )
        if view.action == FINALIZE:
            found.append(
                view.problem(
                    "failover_off",
                    "the roll-out variables are still set, so model instances of a lost worker are not moved elsewhere"
                    " (failover is off)",
                    "run playbooks/upgrade.yml again; it ends with the finalizing restart",
                )
            )
    return found


def _decision(
    view: HostView,
    known: Sequence[dict[str, Any]],
    pin: str | None,
    verdict: _vendors.Verdict,
    leftovers: list[dict[str, Any]],
    model_paths: list[str],
    run_id: str,
) -> dict[str, Any]:
    installation = view.installation or {}
    worker = _plan_fleet.worker_of(view, known) if view.runs_worker else None
    return {
        "action": view.action,
        "role": view.role,
        "installation": installation.get("id"),
        "legacy_release": installation.get("release") if installation.get("generation") != "v2" else None,
        "container_name": view.settings.choice(view.name, "container_name") or _own_name(view),
        "data_dir": _data_dir(view, run_id),
        "data_dir_now": (installation.get("data_dir") or {}).get("read_path"),
        "model_paths": model_paths if installation.get("kind") == _unit_record.SYSTEMD and view.runs_worker else [],
        "worker": worker,
        "gpu": {"vendor": verdict.vendor, "how": verdict.how, "flags": verdict.flags},
        "prepare": _plan_prepare.left(view, pin, verdict, worker),
        **view.runner_wish,
        # Of an image that has to be fetched, the preparation tells it.
        "image_id": view.node["image"]["id"],
        "leftovers": leftovers,
        # Hosts that are one machine have ids, journals and backups of their own.
        "run_id": run_id,
        "state_dir": view.node["places"]["state_dir"],
        "backup_dir": view.node["places"]["backup_dir"],
        "attempt": view.node["journal"]["attempt"],
        "backup": view.node["journal"]["backup"],
    }


def _model_paths(views: Sequence[HostView]) -> list[str]:
    """Where models with a local path lie, on whichever host has them: without a container each host sees its own."""
    models = [model for view in views if view.is_server for model in (view.database or {}).get("models", [])]
    return sorted({str(model["reference"]) for model in models if model["source"] == "local_path"})


def _data_dir(view: HostView, run_id: str) -> str | None:
    """Where v2 has its data on the host."""
    data_dir = (view.installation or {}).get("data_dir") or {}
    if data_dir.get("type") == "layer":
        attempt = view.node["journal"]["attempt"] if view.action == RESUME else run_id
        return _takeover.volume_path(view.node["engine"]["root_dir"], attempt)
    path: str | None = data_dir.get("host_path")
    return path


def _own_name(view: HostView) -> str | None:
    """The legacy container's own name, also where an unfinished attempt has already renamed it.

    Where somebody gave that name away by hand, the name is with the v2 container that has to go.
    """
    if view.action == RESUME:
        return view.node["journal"].get("container_name") or view.node["journal"]["legacy_name"]
    if view.wreck and len(view.wreck.containers) == 1:
        return str(view.wreck.containers[0]["name"])
    name = (view.installation or {}).get("name")
    return name and _unit_record.container_name(name)
