# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step that mends an upgrade by hand: v2's containers and files aside, so that the switch finds a legacy host.

Every action looks first whether it is done already, so that a mending that was interrupted is simply done again.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _data_dir_changes,
    _data_directory,
    _switch_steps,
    _wrecks,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import NO_RESTART, Work, free_name
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import RETIRED_NAME
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, name_of


def announced(wreck: _wrecks.Wreck) -> dict[str, Any]:
    """What the journal holds before the mending begins."""
    return {"code": wreck.code, "containers": [each["name"] for each in wreck.containers], "files": list(wreck.files)}


def mend(work: Work, wreck: _wrecks.Wreck) -> dict[str, Any]:
    """Containers first, so that nothing writes into the files that are moved."""
    containers = {each["name"]: _set_container_aside(work, each["id"]) for each in wreck.containers}
    # PostgreSQL's files go last: by their age a mending that was interrupted knows which others v2 wrote.
    moved = _data_dir_changes.move_aside(work.attempt.data_dir, wreck.overwritten, work.attempt.name)
    moved += _data_dir_changes.set_aside(work.attempt.data_dir, (), work.attempt.name, only_v2s=True)
    if wreck.token_lost:
        _put_token_back(work)
    return {"containers": containers, "files": moved, "token": wreck.token_lost}


def _set_container_aside(work: Work, container: str) -> str | None:
    """Stopped for good and out of the way; its definition and its log stay."""
    record = work.engine.inspect(container)
    if record is None:
        return None
    if not record["HostConfig"]["AutoRemove"]:  # with --rm the engine takes no restart policy
        work.engine.set_restart_policy(container, NO_RESTART)
    if is_running(record):
        work.engine.stop(container, work.params["stop_timeout"])
    name = name_of(record)
    if not RETIRED_NAME.search(name):
        name = free_name(name, f"wreck-{work.attempt.name}", work.engine.names())
        work.engine.rename(container, name)
    return name


def _put_token_back(work: Work) -> None:
    """The legacy server reads its token from this file, and so does the way back; v2's goes beside the other files."""
    data_dir = work.attempt.data_dir
    path = os.path.join(data_dir, _data_directory.TOKEN)
    before = os.stat(path)
    aside = _data_dir_changes.set_aside_directory(data_dir, [_data_directory.TOKEN], work.attempt.name)
    shutil.copy2(path, os.path.join(aside, _data_directory.TOKEN))
    _switch_steps.write_file(data_dir, _data_directory.TOKEN, work.params["token"] + "\n")
    os.chown(path, before.st_uid, before.st_gid)
