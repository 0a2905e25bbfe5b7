# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wreck of an upgrade by hand as the target itself sees it, and whether this run may mend it. Reads only."""

from __future__ import annotations

import os
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _data_directory,
    _discovery,
    _journal,
    _supervisors,
    _systemd_unit,
    _wrecks,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader


def to_mend(
    params: Mapping[str, Any], reader: DockerReader, legacy: _discovery.Installation, own: list[dict[str, Any]]
) -> _wrecks.Wreck | None:
    """What the switch has to mend first; refuses what it may not. ``own`` are the journal's entries of this attempt."""
    if any(entry["step"] == "create" for entry in own):
        return None  # whatever v2 left since then is this attempt's own
    wreck = find(reader, legacy, params["run_command"])
    if wreck is None:
        return None
    if wreck.obstacle or not (params["mend_wrecks"] or _is_agreed(wreck, own)):
        raise SwitchError(f"{wreck.cause}. Way out: {wreck.way_out()}.")
    if wreck.token_lost:
        _require_token(params["token"], wreck)
    return wreck


def _is_agreed(wreck: _wrecks.Wreck, own: list[dict[str, Any]]) -> bool:
    """Whether a mending that was cut off was about this very wreck; what somebody made since then is another one."""
    last = next((entry for entry in reversed(own) if entry["step"] == "mend"), None)
    announced = _journal.last_detail(own, "mend", _journal.STARTED)
    if last is None or last["state"] == _journal.DONE or announced is None:
        return False
    return {each["name"] for each in wreck.containers} <= set(announced["containers"])


def _require_token(token: str | None, wreck: _wrecks.Wreck) -> None:
    if not token:
        raise SwitchError(
            f"The registration token in {wreck.data_dir}/token was overwritten by v2, and no other is on this host; "
            "give the legacy one, which stands in the workers' own definitions, as gpustack_token (in a vault)."
        )
    if token.startswith(_data_directory.RESERVED_TOKEN_PREFIX):
        raise SwitchError(
            f"gpustack_token begins with '{_data_directory.RESERVED_TOKEN_PREFIX}', which v2 does not take for a legacy"
            " token: it is the one that v2 made. Give the legacy one, which stands in the workers' own definitions."
        )


def find(reader: DockerReader, legacy: _discovery.Installation, run: RunCommand) -> _wrecks.Wreck | None:
    """The wreck on the data directory of a legacy container."""
    directory = legacy.facts["data_dir"]["host_path"]
    if directory is None:
        return None
    facts = {
        **legacy.facts,
        "data": _data_directory.data(directory, []),
        "token": _data_directory.token(legacy.settings, directory, ""),
    }
    records = reader.inspect_all([container["Id"] for container in reader.containers()])
    here = _v2_on(directory, records)
    foreign = [each for each in here if not each["attempt"] and not each["retired"]]
    others = [each["name"] for each in here if each["running"] and each not in foreign]
    wreck = _wrecks.judge(facts, _with_keepers(foreign, records, run))
    if wreck is not None and others:
        # Set aside once, or made by this collection, and started by somebody: its files must not be moved.
        names = " ".join(others)
        return wreck._replace(obstacle=f"{names} runs on {directory} too: docker stop {names}, then run again")
    return wreck


def _v2_on(directory: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The v2 containers that have their data in a directory, by whatever path."""
    found = [describe(record).facts for record in records if _discovery.is_installation(record, {})]
    return [
        each
        for each in found
        if each["generation"] == _discovery.V2
        and os.path.realpath(each["data_dir"]["host_path"] or "/") == os.path.realpath(directory)
    ]


def _with_keepers(
    installations: list[dict[str, Any]], records: list[dict[str, Any]], run: RunCommand
) -> list[dict[str, Any]]:
    if not installations:
        return []
    units, by_id = _supervisors.unit_commands(), {record["Id"]: record for record in records}
    found = {each["id"]: _supervisors.supervisors(by_id[each["id"]], records, units) for each in installations}
    return [
        {**each, "supervisors": _systemd_unit.judged(found[each["id"]], each["name"], run)} for each in installations
    ]
