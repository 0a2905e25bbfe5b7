# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers that a backup of a legacy server holds, on the controller.

The backup is held against its manifest, and only a passing copy of its database is opened: SQLite would play back the
WAL of the one in the backup, whose hash would then no longer be the manifest's.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases, _snapshot, _sqlite_reader
from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _fleet_inventory


class BackupError(Exception):
    """The backup's workers could not be read; the message says why and what to do."""


def find(path: str) -> str:
    """The directory of a backup: the one named, or the newest of a server's database below it."""
    path = os.path.abspath(path)
    if not os.path.isdir(path):
        raise BackupError(f"{path} is not there; name the directory of a backup, the one that holds manifest.json")
    if os.path.exists(os.path.join(path, _snapshot.MANIFEST)):
        return path
    for name in sorted(os.listdir(path), reverse=True):
        below = os.path.join(path, name)
        if os.path.exists(os.path.join(below, _snapshot.MANIFEST)) and os.path.exists(_database(below)):
            return below
    raise BackupError(
        f"{path} holds no finished backup of a server; name the directory of one (gpustack_backup_fetch_dir has one "
        "directory per host, and in it one per backup)"
    )


def read_fleet(backup: str) -> dict[str, Any]:
    """Release and workers of the server that was saved, its host's name, and which worker was its own."""
    manifest = _verified(backup)
    if manifest["database"] is None or not os.path.exists(_database(backup)):
        raise BackupError(f"{backup} is the backup of a worker and has no database; name one of the server")
    release, rows = _read(_database(backup))
    if not rows:
        raise BackupError(f"the database in {backup} lists no workers; take another backup")
    return {
        "release": release,
        # Copies lie in one directory per host (roles/gpustack/tasks/fetch_backup.yml).
        "host": os.path.basename(os.path.dirname(backup)),
        "own_uuid": _identity(backup, "worker_uuid"),
        "own_name": _identity(backup, "worker_name"),
        "workers": [_fleet_inventory.worker(row, {}) for row in rows],
    }


def _verified(backup: str) -> dict[str, Any]:
    try:
        return _snapshot.verify_manifest(backup, may_lack=_snapshot.REPLACEABLE)
    except _snapshot.SnapshotError as error:
        raise BackupError(str(error).rstrip(".")) from error


def _database(backup: str) -> str:
    return os.path.join(backup, _snapshot.DATA, _snapshot.DATABASE)


def _identity(backup: str, name: str) -> str:
    """What the server's own worker called itself; empty where it had none."""
    try:
        with open(os.path.join(backup, _snapshot.DATA, name), encoding="utf-8") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""


def _read(database: str) -> tuple[str, list[dict[str, Any]]]:
    try:
        with (
            _sqlite_reader.private_copy(database, tempfile.gettempdir()) as copy,
            _sqlite_reader.transaction(copy, "mode=rw", _sqlite_reader.WAL_DEADLINE) as connection,
        ):
            tables = _sqlite_reader.table_names(connection)
            head = _sqlite_reader.schema_head(connection, tables)
            release = _releases.legacy_release(head or "")
            if release is None:
                raise BackupError(
                    f"{database} has the schema {head}, which no release of GPUStack has that this collection knows; "
                    "take a backup of a 0.x server"
                )
            return release, _sqlite_reader.records(connection, tables, "workers", dict)
    except OSError as error:
        raise BackupError(
            f"a passing copy of {database} cannot be made in {tempfile.gettempdir()}: {error.strerror or error}; make "
            "room there, or set TMPDIR"
        ) from error
    except Exception as error:
        if not _sqlite_reader.is_sqlite_error(error):
            raise
        raise BackupError(f"{database} cannot be read: {error}; use another backup") from error
