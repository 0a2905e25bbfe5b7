# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The legacy image as an archive beside the backups, so that a container that was pruned can be made again.

It is written while the legacy container serves, under the image's own id: whatever run needs it finds it there, and a
second run does not write it again. Its id proves what is in it when the engine loads it, so no manifest hashes it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Iterable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _os_errors, _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import fsync_directory


class LegacyImageError(Exception):
    """The legacy image cannot be saved; the message says why and what to do."""


def archive_path(backup_dir: str, image_id: str) -> str:
    """Where the archive of an image lies."""
    return os.path.join(backup_dir, "legacy-image-{}.tar".format(image_id.rpartition(":")[2]))


def find(backup_dir: str, record: Mapping[str, Any]) -> str | None:
    """The archive of the image of a container's record; None when there is none."""
    path = archive_path(backup_dir, record["Image"])
    return path if os.path.exists(path) else None


def save(engine: Engine, record: Mapping[str, Any], backup_dir: str) -> None:
    """Write what ``docker save`` would; the archive has its name only when it is whole and on the disk."""
    path = archive_path(backup_dir, record["Image"])
    image = engine.image(record["Image"])
    if image is None:
        raise LegacyImageError(
            f"the image of the legacy container, {record['Config']['Image']}, is not on this host any more, so it "
            "cannot be saved; pull it again, or set gpustack_backup_legacy_image to false"
        )
    _snapshot.make_backup_dir(backup_dir)
    _require_room(backup_dir, image)
    _write(path, engine.save_image(_name_of(engine, record)))


def _name_of(engine: Engine, record: Mapping[str, Any]) -> str:
    """The reference where it still means this image, so that the archive knows it; else the id."""
    reference = str(record["Config"]["Image"])
    found = engine.image(reference)
    return reference if found is not None and found["Id"] == record["Image"] else str(record["Image"])


def _require_room(backup_dir: str, image: Mapping[str, Any]) -> None:
    facts = os.statvfs(backup_dir)
    free = facts.f_bavail * facts.f_frsize
    if free < image["Size"]:
        raise LegacyImageError(
            f"the legacy image needs up to {image['Size']} bytes in {backup_dir}, which has {free} free; make room, "
            "choose another gpustack_backup_dir, or set gpustack_backup_legacy_image to false"
        )


def _write(path: str, blocks: Iterable[bytes]) -> None:
    # One name, not a random one: a run that was killed leaves at most one torn file, and the next run overwrites it.
    temporary = path + ".new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as archive:
            for block in blocks:
                archive.write(block)
            archive.flush()
            os.fsync(archive.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        # The room of half an image is what the snapshot of the database may need.
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if not isinstance(error, OSError):
            raise
        raise LegacyImageError(f"{path} cannot be written: {_os_errors.explain(error)}") from error
    fsync_directory(os.path.dirname(path))
