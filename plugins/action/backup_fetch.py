# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches a backup to the controller, block by block.

Under become, C(ansible.builtin.fetch) reads a file as a whole, on the host and here. Blocks keep the memory small
whatever the size, and nothing is laid down on the host for another user to read.
"""

from __future__ import annotations

import os
import posixpath
import shlex
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _backup_copy, _remote_file

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "str", "required": True},
    "dest": {"type": "path", "required": True},
    "legacy_image": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """The controller's part, which is all of it: the host only runs C(dd) and C(base64)."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=SPEC)
        # What is read here are secrets: the connection must not print it, however verbose the run is. It has a play
        # context of its own.
        self._connection._play_context.no_log = True
        try:
            result.update(self._fetch(arguments["path"].rstrip("/"), arguments["dest"], arguments["legacy_image"]))
        except (_backup_copy.CopyError, _remote_file.RemoteFileError, _snapshot.SnapshotError, OSError) as error:
            raise AnsibleActionFail(f"The backup was not fetched: {error}") from error
        return result

    def _fetch(self, source: str, parent: str, legacy_image: bool) -> dict[str, Any]:
        dest = _backup_copy.destination(source, parent)
        text = b"".join(self._blocks(posixpath.join(source, _snapshot.MANIFEST)))
        files = _backup_copy.wanted(_backup_copy.manifest_of(source, text))
        names = _backup_copy.missing(dest, text, files)
        size = 0
        if names and not self._task.check_mode:
            size = _backup_copy.copy(source, dest, text, files, names, self._blocks)
        if legacy_image and _snapshot.DEFINITION in files:
            archive, more = self._fetch_image(source, os.path.dirname(dest))
            names, size = names + archive, size + more
        return {"changed": bool(names), "dest": dest, "files": sorted(files), "copied": names, "size": size}

    def _fetch_image(self, source: str, dest: str) -> tuple[list[str], int]:
        """The archive of the legacy image, which lies beside the backups; no manifest knows its hash."""
        there = posixpath.dirname(source)
        name = _backup_copy.image_archive(b"".join(self._blocks(posixpath.join(source, _snapshot.DEFINITION))))
        answer = self._low_level_execute_command(f"sha256sum {shlex.quote(posixpath.join(there, name or ''))}")
        if name is None or answer["rc"] != 0:
            return [], 0  # none was saved
        sha256 = answer["stdout"].split()[0]
        if _backup_copy.hash_of(os.path.join(dest, name)) == sha256:
            return [], 0
        return [name], 0 if self._task.check_mode else _backup_copy.copy_file(there, dest, name, sha256, self._blocks)

    def _blocks(self, path: str) -> Iterator[bytes]:
        return _remote_file.blocks(self._low_level_execute_command, path)
