# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target image's migrator can take an old database, tried on a copy beside the serving legacy server.

The copy is made as that of a backup is, and gone afterwards: what counts is made in the switch, of the stopped
database. A database that fails here is refused while nothing was stopped yet.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _raised_snapshot, _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import TRIAL_LABEL

#: Beside the backups, where there has to be room for such copies; one name, so that a later try clears up.
_SCRATCH = ".schema-trial"


def try_schema(
    client: Any, image: str, data_dir: str, running: bool, backup_dir: str, run_id: str
) -> _raised_snapshot.Raised:
    """Raise a copy of the database in ``data_dir``; ``RaiseError`` and ``SnapshotError`` say what is in the way."""
    scratch = os.path.join(backup_dir, _SCRATCH)
    _remove(scratch)
    _snapshot.make_backup_dir(scratch)
    try:
        original = os.path.join(data_dir, _snapshot.DATABASE)
        copies = os.path.join(scratch, _snapshot.DATA)
        if running:
            _snapshot.backup_live(original, os.path.join(copies, _snapshot.DATABASE))
        else:
            _snapshot.copy_stopped(data_dir, copies, _snapshot.DATABASE_FILES)
        facts = _snapshot.recover(copies, os.path.join(scratch, _snapshot.RECOVERED), original=original)
        labels: Mapping[str, str] = {TRIAL_LABEL: run_id}
        return _raised_snapshot.raise_to_migration_head(client, image, scratch, facts, labels)
    finally:
        _remove(scratch)


def _remove(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
