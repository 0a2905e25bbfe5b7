# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive of the legacy image: whole or not there, written once, readable by root alone."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _legacy_image
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import EngineError

from .engine_records import container

IMAGE_ID = "sha256:abc123"


class Engine:
    """An engine with the image, as far as it is saved."""

    def __init__(self, images: dict[str, dict[str, Any]]) -> None:
        self.images = images
        self.saved: list[str] = []
        self.fails = False

    def image(self, reference: str) -> dict[str, Any] | None:
        return self.images.get(reference)

    def save_image(self, reference: str) -> Iterator[bytes]:
        self.saved.append(reference)
        yield b"first"
        if self.fails:
            raise EngineError("the engine went away")
        yield b" and second"


@pytest.fixture
def legacy() -> dict[str, Any]:
    return {**container(), "Image": IMAGE_ID}


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    path = tmp_path / "backups"
    path.mkdir(mode=0o700)
    return path


def engine(size: int = 100, tagged: str = IMAGE_ID) -> Engine:
    record = {"Id": IMAGE_ID, "Size": size}
    return Engine({IMAGE_ID: record, "gpustack/gpustack:v0.7.1": {"Id": tagged, "Size": size}})


def test_it_is_saved_whole_under_the_image_s_id_for_root_alone(legacy: dict[str, Any], backups: Path) -> None:
    _legacy_image.save(engine(), legacy, str(backups))  # type: ignore[arg-type]
    path = backups / "legacy-image-abc123.tar"
    assert path.read_bytes() == b"first and second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _legacy_image.find(str(backups), legacy) == str(path)
    assert list(backups.iterdir()) == [path]


def test_the_reference_goes_with_it_where_it_still_means_this_image(legacy: dict[str, Any], backups: Path) -> None:
    own, moved = engine(), engine(tagged="sha256:other")
    _legacy_image.save(own, legacy, str(backups))  # type: ignore[arg-type]
    _legacy_image.save(moved, legacy, str(backups))  # type: ignore[arg-type]
    assert (own.saved, moved.saved) == (["gpustack/gpustack:v0.7.1"], [IMAGE_ID])


def test_what_was_torn_is_no_archive_and_is_overwritten(legacy: dict[str, Any], backups: Path) -> None:
    failing = engine()
    failing.fails = True
    with pytest.raises(EngineError, match="went away"):
        _legacy_image.save(failing, legacy, str(backups))  # type: ignore[arg-type]
    assert _legacy_image.find(str(backups), legacy) is None
    (backups / "legacy-image-abc123.tar.new").write_bytes(b"of a run that was killed, and longer than the archive")
    _legacy_image.save(engine(), legacy, str(backups))  # type: ignore[arg-type]
    assert [path.name for path in backups.iterdir()] == ["legacy-image-abc123.tar"]


def test_a_disk_that_runs_full_is_told_and_gets_its_room_back(
    legacy: dict[str, Any], backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot of the database may need it."""

    def full(*_paths: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(_legacy_image.LegacyImageError, match=r"legacy-image-abc123\.tar cannot be written: No space"):
        _legacy_image.save(engine(), legacy, str(backups))  # type: ignore[arg-type]
    assert list(backups.iterdir()) == []


def test_without_room_it_is_refused_by_the_name_of_the_variable(legacy: dict[str, Any], backups: Path) -> None:
    with pytest.raises(_legacy_image.LegacyImageError, match="gpustack_backup_legacy_image"):
        _legacy_image.save(engine(size=2**60), legacy, str(backups))  # type: ignore[arg-type]


def test_an_image_that_is_gone_is_refused(legacy: dict[str, Any], backups: Path) -> None:
    with pytest.raises(_legacy_image.LegacyImageError, match="not on this host any more"):
        _legacy_image.save(Engine({}), legacy, str(backups))  # type: ignore[arg-type]
