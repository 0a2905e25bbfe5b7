# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy container on a host that has lost it, made from the definition that lies in a backup.

It is made stopped and with restart policy ``no``, so that nothing starts it before its data is there.
"""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _image, _recreate, _unit_record
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import NO_RESTART, SwitchError, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import LEGACY
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine, name_of


def read(path: str) -> dict[str, Any]:
    """The engine's record of the container, as it was saved."""
    try:
        with open(path, encoding="utf-8") as text:
            record = json.load(text)
        generation = describe(record).facts["generation"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SwitchError(
            f"{path} is not the definition of a container ({type(error).__name__}: {error}); name the container.json "
            "of a backup. With a backup that has none, make the container by hand."
        ) from None
    if _unit_record.KEY in record:
        raise SwitchError(
            f"{path} is of a GPUStack that {name_of(record)} ran without a container; a unit is not made again from "
            "it. Install GPUStack 0.7.1 under that unit again, restore the files alone (database_restore), start it."
        )
    if generation != LEGACY:
        raise SwitchError(f"{path} is not the definition of a legacy GPUStack; name the container.json of a backup.")
    return dict(record)


def change(definition: Mapping[str, Any], name: str, start: bool) -> dict[str, dict[str, Any]]:
    """What has to change where there is no such container, as before and after."""
    policy = (policy_of(definition)["Name"] or "no") if start else "no"
    return {"before": {}, "after": {"name": name, "running": start, "restart_policy": policy}}


def policy_of(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The restart policy that the container had."""
    return dict(definition["HostConfig"].get("RestartPolicy") or NO_RESTART)


def create(engine: Engine, definition: Mapping[str, Any], name: str, request: _image.ImageRequest) -> dict[str, Any]:
    """Make the container, with its image loaded or pulled where the host lacks it; its record."""
    archive = request.archive if request.archive and os.path.exists(request.archive) else None
    if archive is None and engine.image(definition["Image"]) is None:
        _image.fetch(engine.client, request._replace(archive=None))
    host = dict(definition["HostConfig"], RestartPolicy=dict(NO_RESTART))
    made = _recreate.recreate(engine, {**definition, "HostConfig": host}, name, archive)
    return engine.inspect(made) or {}
