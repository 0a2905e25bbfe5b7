# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runner images that the operator asks for: what that means on a host, what is left of it, its room. Pure."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _models, _plan_fleet, _runner_images
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import NO_WISH, HostView, Problem

NONE, AUTO = WORDS = ("none", "auto")
#: A tag or a digest, without which a reference would mean another image tomorrow.
_TAGGED = (":", "@")


def refusals(view: HostView) -> Iterator[Problem]:
    """A value that is neither a word nor a list of references."""
    given = _given(view)
    wrong = [] if given in WORDS else [each for each in given if not _is_reference(each)]
    if wrong:
        yield view.problem(
            "runner_images",
            "gpustack_runner_images has {}, which names no image".format(", ".join(repr(each) for each in wrong)),
            "set it to none, auto, or a list of references with a tag, as `gpustack list-images` prints them",
        )


def with_wishes(views: Sequence[HostView]) -> list[HostView]:
    """The hosts, each with the runner images that are asked for on it."""
    server = next((view for view in views if view.is_server and view.database and view.database["readable"]), None)
    database = (server.database if server else None) or {"workers": [], "models": [], "model_instances": []}
    return [dataclasses.replace(view, runner_wish=_wish(view, database)) for view in views]


def is_left(view: HostView) -> bool:
    """Whether something of the wish is not on the host, or may not be what the image of the release wants."""
    if not (view.runner_wish["runner_images"] or view.runner_wish["runner_backends"]):
        return False
    note = (view.node["prepared"] or {}).get("runner_images") or {}
    registry = {"default_registry": view.settings.default_registry}
    if note.get("asked") != _runner_images.asked({**view.runner_wish, **registry}):
        return True
    names = view.node["image_names"]
    return any(names.get(reference) != found for reference, found in note["images"].items())


def room(view: HostView) -> Iterator[tuple[str, Any, int]]:
    """Room for what is not there yet: what for, file system, bytes."""
    if not is_left(view):
        return
    filesystems, names = view.node["filesystems"], view.node["image_names"]
    absent = [reference for reference in view.runner_wish["runner_images"] if reference not in names]
    number = len(absent) + len(view.runner_wish["runner_backends"])
    yield "runner images", filesystems["docker_root"], number * view.settings.runner_image_size
    if number:
        yield "archive of runner images", filesystems["state"], view.settings.runner_archive_size or 0


def _wish(view: HostView, database: Mapping[str, Any]) -> dict[str, Any]:
    """References, or the backends of the models on the host's worker."""
    given, wish = _given(view), dict(NO_WISH)
    if view.will_switch and view.runs_worker and given == AUTO:
        worker = _plan_fleet.worker_of(view, database["workers"])
        wish["runner_backends"] = _backends(database["model_instances"], database["models"], worker)
    elif view.will_switch and view.runs_worker and given != NONE:
        wish["runner_images"] = list(dict.fromkeys(given))
    return wish


def _given(view: HostView) -> Any:
    return view.settings.choice(view.name, "runner_images", NONE)


def _is_reference(given: str) -> bool:
    return any(sign in given.rpartition("/")[2] for sign in _TAGGED)


def _backends(
    instances: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]], worker: Any
) -> list[dict[str, Any]]:
    """Backends, by their name in 2.x, of the models that have an instance on this worker, or a part of one."""
    here = {
        instance["model_id"]
        for instance in instances
        if worker and worker["id"] in (instance["worker_id"], *instance["subordinate_worker_ids"])
    }
    found = {
        (_runner_images.BACKENDS.get(model["backend"], model["backend"]), model["backend_version"] or None)
        for model in models
        if model["id"] in here and model["backend"] and model["backend"] != _models.LLAMA_BOX
    }
    return [{"backend": name, "backend_version": version} for name, version in sorted(found, key=str)]
