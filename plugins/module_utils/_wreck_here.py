# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wreck of an upgrade by hand as the target itself sees it, and whether this run may mend it. Reads only."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _data_directory, _discovery, _wrecks
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader


def to_mend(
    params: Mapping[str, Any], reader: DockerReader, legacy: _discovery.Installation, own: list[dict[str, Any]]
) -> _wrecks.Wreck | None:
    """What the switch has to mend first; refuses what it may not. ``own`` are the journal's entries of this attempt."""
    steps = {entry["step"] for entry in own}
    if "create" in steps:
        return None  # whatever v2 left since then is this attempt's own
    wreck = find(reader, legacy)
    if wreck is None:
        return None
    if wreck.obstacle or not (params["mend_wrecks"] or "mend" in steps):
        raise SwitchError(f"{wreck.cause}. Way out: {wreck.way_out()}.")
    if wreck.token_lost and not params["token"]:
        raise SwitchError(
            f"The registration token in {wreck.data_dir}/token was overwritten by v2, and no other is on this host; "
            "give the legacy one, which stands in the workers' own definitions, as gpustack_token (in a vault)."
        )
    return wreck


def find(reader: DockerReader, legacy: _discovery.Installation) -> _wrecks.Wreck | None:
    """The wreck on the data directory of a legacy container."""
    directory = legacy.facts["data_dir"]["host_path"]
    facts = {
        **legacy.facts,
        "data": _data_directory.data(directory, []) if directory else None,
        "token": _data_directory.token(legacy.settings, directory, ""),
    }
    records = reader.inspect_all([container["Id"] for container in reader.containers()])
    found = [describe(record).facts for record in records if _discovery.is_installation(record, {})]
    foreign = [
        each
        for each in found
        if each["generation"] == _discovery.V2
        and not each["attempt"]
        and not each["retired"]
        and each["data_dir"]["host_path"] == directory
    ]
    return _wrecks.judge(facts, foreign)
