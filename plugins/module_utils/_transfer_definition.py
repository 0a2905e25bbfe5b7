# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The definition of a legacy container for a server that had none, as the engine would show it. Pure."""

from __future__ import annotations

import hashlib
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import IMAGE_DATA_DIR
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_settings import Wanted

#: What upstream's guide of 0.7.1 starts a server with (docs/installation/<vendor>/online-installation.md).
RESTART_POLICY = {"Name": "unless-stopped", "MaximumRetryCount": 0}
#: A server computes nothing: the image without GPU libraries is the smallest.
VARIANT = "-cpu"


def default_image(release: str) -> str:
    """The published image of a release for a server without GPUs."""
    return f"gpustack/gpustack:v{release}{VARIANT}"


def build(
    identity: str, name: str, reference: str, image: Mapping[str, Any], data_dir: str, wanted: Wanted
) -> dict[str, Any]:
    """The record of a stopped container on the host's network, with the data directory in a bind mount."""
    config = image.get("Config") or {}
    variables = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    variables.update(wanted.environment)
    return {
        "Id": hashlib.sha256(identity.encode("utf-8")).hexdigest(),
        "Name": "/" + name,
        "Image": image["Id"],
        "State": {"Status": "created", "Running": False},
        "Config": {
            "Image": reference,
            "Entrypoint": config.get("Entrypoint"),
            "Cmd": list(wanted.arguments),
            "Env": [f"{key}={value}" for key, value in variables.items()],
            "Labels": dict(config.get("Labels") or {}),
        },
        "HostConfig": {
            "Binds": [f"{data_dir}:{IMAGE_DATA_DIR}"],
            "NetworkMode": "host",
            "RestartPolicy": dict(RESTART_POLICY),
        },
        "Mounts": [
            {"Type": "bind", "Source": data_dir, "Destination": IMAGE_DATA_DIR, "Mode": "", "RW": True},
        ],
        "NetworkSettings": {"Networks": {"host": {}}},
    }


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What of a saved definition is not as it would be made now, by the names of the variables that say it."""
    parts = {
        "gpustack_transfer_container_name": ("Name",),
        "gpustack_transfer_image": ("Config", "Image"),
        "gpustack_transfer_args": ("Config", "Cmd"),
        "gpustack_transfer_data_dir": ("HostConfig", "Binds"),
    }
    return [name for name, path in parts.items() if _at(there, path) != _at(wanted, path)]


def _at(record: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        record = (record or {}).get(key)
    return record
