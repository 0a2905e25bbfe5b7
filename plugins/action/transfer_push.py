# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(fleetops.gpustack.transfer_push): files of a source on the controller, to the host that is to be the server.

Blocks go in by the standard input of a command, so nothing is laid down on the host but the file itself. A file that
was cut off goes on where it stopped, and has its name when its hash was proven on the host.
"""

from __future__ import annotations

import contextlib
import posixpath
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_receive import CACHE, PARTIAL
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_source import SourceError
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _remote_file, _transfer_copy

SPEC: dict[str, dict[str, Any]] = {
    "source": {"type": "dict", "required": True},
    "files": {"type": "list", "elements": "dict", "required": True},
}
#: One command on the host takes so many bytes.
BLOCK = 16 * 1024 * 1024


class ActionModule(ActionBase):
    """The controller's part, which is all of it."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=SPEC)
        self._connection._play_context.no_log = True
        files = _transfer_copy.with_paths(arguments["source"], arguments["files"])
        size = 0
        if not self._task.check_mode:
            try:
                with contextlib.ExitStack() as stack:
                    reader = _transfer_copy.Reader(arguments["source"], stack)
                    size = sum(self._push(reader, each) for each in files)
            except (
                _transfer_copy.TransferError,
                _remote_file.RemoteFileError,
                _snapshot.SnapshotError,
                SourceError,
                OSError,
            ) as error:
                raise AnsibleActionFail(
                    f"The transfer was cut off: {error} What has arrived stays; run again, it goes on there."
                ) from error
        result.update(changed=bool(files), copied=len(files), size=size)
        return result

    def _push(self, reader: _transfer_copy.Reader, wanted: dict[str, Any]) -> int:
        """One file; the bytes that went."""
        target, private = wanted["target"], wanted["kind"] != CACHE
        partial, execute = target + PARTIAL, self._low_level_execute_command
        _remote_file.make_directory(execute, posixpath.dirname(target), private)
        sent = self._send(reader, wanted, wanted["offset"], private)
        if _remote_file.sha256(execute, partial) != wanted["sha256"]:
            # The part that was there may be of an earlier state of the file.
            sent += self._send(reader, wanted, 0, private) if wanted["offset"] else 0
            if not wanted["offset"] or _remote_file.sha256(execute, partial) != wanted["sha256"]:
                _remote_file.remove(execute, partial)
                raise _transfer_copy.TransferError(
                    f"{wanted['name']} did not arrive as it was read before: it changed at its source, or on the way. "
                    "See that the old server is stopped."
                )
        _remote_file.rename(execute, partial, target)
        return sent

    def _send(self, reader: _transfer_copy.Reader, wanted: dict[str, Any], offset: int, private: bool) -> int:
        execute, partial, sent = self._low_level_execute_command, wanted["target"] + PARTIAL, 0
        _remote_file.begin(execute, partial, offset, private)
        for block in _transfer_copy.gathered(reader.read(wanted, offset), BLOCK):
            _remote_file.append(execute, partial, offset + sent, block)
            sent += len(block)
        return sent
