# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A worker's own steps: what identifies it is saved, and completed where the legacy release kept it elsewhere."""

from __future__ import annotations

from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot, _switch_steps
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._switch_steps import Progress

WORKER_FILES = (*_snapshot.IDENTITY_FILES, _switch_steps.WORKER_TOKEN)


def save(work: Work, progress: Progress) -> dict[str, Any]:
    """Save the container's definition and the few files that v2, or we, may change. Caches are not touched."""
    attempt = work.attempt
    if _switch_steps.is_kept(work):
        progress.manifest = _snapshot.verify_manifest(attempt.backup)
        return {"kept": True}
    _switch_steps.save_definition(work, progress)
    files = _snapshot.copy_stopped(attempt.data_dir, attempt.data_backup, WORKER_FILES)
    progress.manifest = _snapshot.write_manifest(attempt.backup, files, None, _switch_steps.manifest_head(work))
    return {"kept": False}
