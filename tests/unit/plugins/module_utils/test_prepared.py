# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of a preparation on the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _prepared

IMAGE = {"id": "sha256:1", "version": "2.2.3", "size": 1}
TRIAL = _prepared.trial_proof({"runtime": "nvidia"}, [], "boot", {"devices": []})


def test_what_was_written_is_read_again_and_is_for_root_alone(tmp_path: Path) -> None:
    schema = _prepared.schema_proof("e6bf9e067296")
    _prepared.write(str(tmp_path), IMAGE, TRIAL, schema)
    image = _prepared.image_proof("sha256:1", "2.2.3")
    proven = {"image": image, "trial": TRIAL, "schema": schema, "database": None, "arguments": []}
    assert _prepared.read(str(tmp_path)) == proven
    assert os.listdir(str(tmp_path)) == ["prepared.json"]
    assert stat.S_IMODE(os.stat(str(tmp_path / "prepared.json")).st_mode) == 0o600


def test_a_forgotten_note_is_gone(tmp_path: Path) -> None:
    _prepared.forget(str(tmp_path))
    _prepared.write(str(tmp_path), IMAGE, None)
    _prepared.forget(str(tmp_path))
    assert _prepared.read(str(tmp_path)) is None


@pytest.mark.parametrize("text", [b"", b'{"image": {"id"', b"[]", b"null", b"\xff\xfe"])
def test_a_note_that_cannot_be_understood_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "prepared.json").write_bytes(text)
    assert _prepared.read(str(tmp_path)) is None
