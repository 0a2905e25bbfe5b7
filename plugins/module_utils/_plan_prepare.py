# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to prepare on a host: whatever is missing, or proven by no note that still holds. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _image,
    _libraries,
    _plan_runner_images,
    _prepared,
    _releases,
    _vendors,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import SWITCH, HostView


def pin(views: Sequence[HostView]) -> str | None:
    """What the image of every host is held to: the server's. None while the server has still to prove its own."""
    server = next((view for view in views if view.is_server), None)
    if server is None or server.installation is None:
        return None
    image = server.node["image"]
    if server.will_switch:
        return _image.pin_of(image["id"], image["repo_digests"]) if _is_proven(server) else None
    # An upgraded server runs its image, whatever the reference has come to mean since.
    running: str = server.installation["image_id"]
    return _image.pin_of(running, image["repo_digests"]) if running == image["id"] else running


def left(
    view: HostView, held_to: str | None, verdict: _vendors.Verdict, worker: Mapping[str, Any] | None
) -> dict[str, bool]:
    """The parts of the preparation that this host still needs; none where it is not to be switched."""
    image = view.node["image"]
    proven = held_to is not None and _is_proven(view) and _image.meets(held_to, image["id"], image["repo_digests"])
    taken = _takes_schema(view)
    # A preparation notes all that it proved at once.
    proven = proven and taken and _takes_arguments(view) and (not view.is_external or _is_rehearsed(view))
    gpus = list((worker or {}).get("gpus") or [])
    needed = {
        "libraries": bool(
            _libraries.missing(view.node["libraries"], _libraries.required(view.is_server, view.database_kind))
        ),
        "image": not image["present"],
        "version": not proven,
        "trial": _matters(view, verdict, gpus) and not (proven and _is_tried(view, verdict.flags, gpus)),
        "database": view.is_external and not proven,
        "schema": not taken or (_is_old(view) and not proven),
        "legacy_image": bool((view.installation or {}).get("image_id"))
        and not (view.installation or {}).get("image_archive"),
        "runner_images": _plan_runner_images.is_left(view),
    }
    return {part: view.will_switch and open_ for part, open_ in needed.items()}


def _is_proven(view: HostView) -> bool:
    """Whether the image that is here was asked for its release, and has the one that is wanted."""
    image, note = view.node["image"], view.node["prepared"] or {}
    if not image["present"] or view.release is None:
        return False
    return bool(note.get("image") == _prepared.image_proof(image["id"], view.release.version))


def _is_old(view: HostView) -> bool:
    """Whether the image's migrator first has to change the schema of this host's database."""
    database = view.database if view.is_server and view.action == SWITCH else None
    return bool(database) and _releases.is_raised((database or {})["schema_head"])


def _takes_schema(view: HostView) -> bool:
    """Whether that was tried, where it has to be."""
    note, database = view.node["prepared"] or {}, view.database or {}
    return not _is_old(view) or note.get("schema") == _prepared.schema_proof(database["schema_head"])


def _takes_arguments(view: HostView) -> bool:
    """Whether the image took the operator's own arguments; there is nothing to try without any."""
    wanted = [str(argument) for argument in view.settings.choice(view.name, "extra_args") or []]
    return wanted == ((view.node["prepared"] or {}).get("arguments") or [])


def _is_rehearsed(view: HostView) -> bool:
    """Whether this image upgraded a copy of this database, at the schema that it has."""
    database, note = view.database or {}, view.node["prepared"] or {}
    if view.installation is None or view.release is None or not database.get("schema_head"):
        return False
    fingerprint = view.installation["server"]["database"]["fingerprint"]
    wanted = _prepared.rehearsal_proof(
        view.node["image"]["id"], view.release.version, fingerprint, database["schema_head"]
    )
    return bool(note.get("database") == wanted)


def _matters(view: HostView, verdict: _vendors.Verdict, gpus: Sequence[Any]) -> bool:
    """A worker on a host where nothing speaks of GPUs has none to try."""
    vendors = {verdict.vendor, *(candidate.vendor for candidate in verdict.candidates)}
    return view.runs_worker and (bool(gpus) or vendors != {_vendors.CPU})


def _is_tried(view: HostView, flags: Mapping[str, Any], gpus: Sequence[Any]) -> bool:
    """Whether the trial was passed with these flags and GPUs, and neither was the host booted nor its GPUs changed."""
    note, boot_id = view.node["prepared"] or {}, view.node["host"]["boot_id"]
    return bool(boot_id) and note.get("trial") == _prepared.trial_proof(flags, gpus, boot_id, view.node["gpu"])
