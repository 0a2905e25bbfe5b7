# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(fleetops.gpustack.transfer_fetch): a legacy data directory of a host, to the controller, block by block."""

from __future__ import annotations

import os
import shutil
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _remote_file, _transfer_copy

SPEC: dict[str, dict[str, Any]] = {
    "source": {"type": "dict", "required": True},
    "files": {"type": "list", "elements": "dict", "required": True},
    "dest": {"type": "path", "required": True},
}
_MIB = 1024 * 1024


class ActionModule(ActionBase):
    """The controller's part, which is all of it: the host only runs C(dd) and C(base64)."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=SPEC)
        # What is read here are secrets: the connection must not print it, however verbose the run is.
        self._connection._play_context.no_log = True
        try:
            result.update(self._fetch(arguments["source"], arguments["files"], arguments["dest"]))
        except (_transfer_copy.TransferError, _remote_file.RemoteFileError, _snapshot.SnapshotError, OSError) as error:
            raise AnsibleActionFail(f"The source was not fetched: {error}") from error
        return result

    def _fetch(self, source: dict[str, Any], wanted: list[dict[str, Any]], dest: str) -> dict[str, Any]:
        here, files = _transfer_copy.spooled(_transfer_copy.limited(source, wanted), os.path.abspath(dest))
        lacking = [each for each in files if not _transfer_copy.is_whole(each["target"], each)]
        size = 0
        if lacking and not self._task.check_mode:
            _snapshot.make_backup_dir(os.path.abspath(dest))
            _require_room(dest, sum(each["size"] for each in lacking))
            size = sum(_transfer_copy.fetch(each, self._blocks) for each in lacking)
        return {"changed": bool(lacking), "source": here, "copied": len(lacking), "size": size}

    def _blocks(self, path: str, first: int) -> Any:
        return _remote_file.blocks(self._low_level_execute_command, path, first)


def _require_room(dest: str, need: int) -> None:
    free = shutil.disk_usage(dest).free
    if free < need:
        raise _transfer_copy.TransferError(
            f"{dest} on the controller has {free // _MIB} MiB free, but up to {need // _MIB + 1} MiB come "
            "there first; make room, or choose another gpustack_transfer_spool."
        )
