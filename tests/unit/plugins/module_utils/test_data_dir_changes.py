# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a switch adds to a data directory, and modes, on a real file system."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _data_dir_changes, _snapshot

ATTEMPT = "20261124T031500Z"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    (tmp_path / "database.db").write_text("rows")
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def set_aside(data_dir: Path, before: list[str], only_v2s: bool = False) -> list[str]:
    return _data_dir_changes.set_aside(str(data_dir), before, ATTEMPT, only_v2s)


def test_what_was_not_there_before_is_moved(data_dir: Path) -> None:
    before = _data_dir_changes.entries(str(data_dir))
    (data_dir / "postgresql").mkdir()
    (data_dir / "postgresql" / "PG_VERSION").write_text("17")
    assert set_aside(data_dir, before) == ["postgresql"]
    aside = data_dir / f".gpustack-v2-{ATTEMPT}"
    assert (aside / "postgresql" / "PG_VERSION").read_text() == "17"
    assert mode(aside) == 0o700
    assert _data_dir_changes.entries(str(data_dir)) == before


def test_nothing_new_moves_nothing_and_makes_no_directory(data_dir: Path) -> None:
    assert set_aside(data_dir, ["cache", "database.db"]) == []
    assert sorted(os.listdir(data_dir)) == ["cache", "database.db"]


def test_before_a_volume_is_made_nothing_lies_in_it(tmp_path: Path) -> None:
    assert _data_dir_changes.set_aside_directories(str(tmp_path / "none"), ATTEMPT) == []
    assert set_aside(tmp_path / "none", []) == []


def test_a_second_time_goes_into_a_second_directory(data_dir: Path) -> None:
    before = _data_dir_changes.entries(str(data_dir))
    for text in ("first", "second"):
        (data_dir / "worker_token").write_text(text)
        set_aside(data_dir, before)
    assert (data_dir / f".gpustack-v2-{ATTEMPT}" / "worker_token").read_text() == "first"
    assert (data_dir / f".gpustack-v2-{ATTEMPT}-2" / "worker_token").read_text() == "second"


def test_an_interrupted_move_goes_on_in_the_same_directory(data_dir: Path) -> None:
    before = _data_dir_changes.entries(str(data_dir))
    aside = data_dir / f".gpustack-v2-{ATTEMPT}"
    aside.mkdir()
    (aside / "higress").mkdir()
    (data_dir / "run").mkdir()
    set_aside(data_dir, before)
    assert sorted(os.listdir(aside)) == ["higress", "run"]


def test_where_the_old_release_ran_again_only_v2s_names_move(data_dir: Path) -> None:
    for name in ("postgresql", "gpustack_migration_temp_database.db", "database.db-wal", "bin"):
        (data_dir / name).touch()
    moved = set_aside(data_dir, ["cache", "database.db"], only_v2s=True)
    assert moved == ["gpustack_migration_temp_database.db", "postgresql"]


def test_an_open_directory_needs_no_change(data_dir: Path) -> None:
    data_dir.chmod(0o755)
    assert _data_dir_changes.is_open_to_others(str(data_dir))
    assert _data_dir_changes.modes_to_open(str(data_dir)) == {}


def test_secrets_are_closed_before_the_directory_opens(data_dir: Path) -> None:
    data_dir.chmod(0o700)
    (data_dir / "log").mkdir(mode=0o700)
    (data_dir / "database.db").chmod(0o644)
    changes = _data_dir_changes.modes_to_open(str(data_dir))
    assert list(changes) == [str(data_dir / "database.db"), str(data_dir), str(data_dir / "log")]
    _data_dir_changes.apply_modes({path: then for path, (_now, then) in changes.items()})
    assert mode(data_dir / "database.db") == 0o600
    assert mode(data_dir) == 0o755
    assert _data_dir_changes.is_open_to_others(str(data_dir))
    _data_dir_changes.apply_modes({path: now for path, (now, _then) in changes.items()})
    assert (mode(data_dir), mode(data_dir / "log"), mode(data_dir / "database.db")) == (0o700, 0o700, 0o644)


def test_the_log_directory_counts_too(data_dir: Path) -> None:
    data_dir.chmod(0o755)
    (data_dir / "log").mkdir(mode=0o700)
    assert not _data_dir_changes.is_open_to_others(str(data_dir))


def test_a_path_that_is_gone_is_skipped(data_dir: Path) -> None:
    _data_dir_changes.apply_modes({str(data_dir / "gone"): 0o600})


def test_nothing_is_moved_where_somebody_else_leads_it(
    data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (data_dir / f".gpustack-v2-{ATTEMPT}").symlink_to(elsewhere)
    (data_dir / "postgresql").mkdir()
    with pytest.raises(_snapshot.SnapshotError, match="is a symbolic link"):
        set_aside(data_dir, ["cache", "database.db"])
    assert (data_dir / "postgresql").is_dir()
    assert list(elsewhere.iterdir()) == []
