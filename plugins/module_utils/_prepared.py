# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of what `state=prepared` proved on this host, so that the next run need not prove it again.

It holds what was proven and the circumstances of that, which the plan compares with those of its own run. A note that
is missing, or cannot be understood, costs nothing but another preparation.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import write_atomically

NOTE = "prepared.json"


def path(state_dir: str) -> str:
    """Where the note lies."""
    return os.path.join(state_dir, NOTE)


def read(state_dir: str) -> dict[str, Any] | None:
    """The note; None where there is none that can be read."""
    try:
        with open(path(state_dir), encoding="utf-8") as text:
            note = json.load(text)
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def write(
    state_dir: str,
    image: Mapping[str, Any],
    trial: Mapping[str, Any] | None,
    schema: Mapping[str, Any] | None = None,
    database: Mapping[str, Any] | None = None,
    arguments: Sequence[str] = (),
) -> None:
    """Note an image with the release found in it, and what was tried with it.

    That is the circumstances of a GPU trial, the schema of a database, the upgrade of an external one, and the
    operator's own arguments.
    """
    note = {"image": image_proof(image["id"], image["version"]), "trial": trial, "arguments": list(arguments)}
    write_atomically(path(state_dir), {**note, "schema": schema, "database": database})


def add_runner_images(state_dir: str, proof: Mapping[str, Any]) -> None:
    """Note the runner images beside what the note already has."""
    write_atomically(path(state_dir), {**(read(state_dir) or {}), "runner_images": proof})


def forget(state_dir: str) -> None:
    """What was proven is open again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path(state_dir))


def image_proof(image_id: str, release: str) -> dict[str, Any]:
    """That an image is of a release. Pure."""
    return {"id": image_id, "version": release}


def schema_proof(head: str) -> dict[str, Any]:
    """That the image's migrator takes a database of this schema. Pure."""
    return {"head": head}


def trial_proof(
    flags: Mapping[str, Any], expected_gpus: Any, boot_id: str | None, gpu: Mapping[str, Any]
) -> dict[str, Any]:
    """That a container with these flags sees the expected GPUs, in this boot, as the host's own evidence is. Pure."""
    return {"flags": flags, "expected_gpus": expected_gpus, "boot_id": boot_id, "gpu": gpu}


def rehearsal_proof(image_id: str, release: str, database: str | None, schema_head: str | None) -> dict[str, Any]:
    """That an image upgrades a copy of an external database, named by its fingerprint, from this schema on. Pure."""
    return {"image": image_id, "release": release, "database": database, "schema_head": schema_head}
