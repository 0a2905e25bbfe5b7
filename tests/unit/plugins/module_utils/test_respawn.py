# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python a module goes on under."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _respawn


class Respawned(Exception):
    """Ansible would have run the module anew under this interpreter."""


@pytest.fixture(autouse=True)
def respawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for the new process, in which this one ends."""

    def raise_interpreter(interpreter: str) -> None:
        raise Respawned(interpreter)

    monkeypatch.setattr(_respawn, "respawn_module", raise_interpreter)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state directory with a private virtual environment."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    return tmp_path


def library(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    """psycopg in a version, or none."""
    module = None
    if version is not None:
        module = types.ModuleType("psycopg")
        module.__dict__["__version__"] = version
    monkeypatch.setitem(sys.modules, "psycopg", module)


def test_a_library_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch, state_dir: Path) -> None:
    library(monkeypatch, "3.2.1")
    _respawn.ensure(["psycopg"], str(state_dir))


@pytest.mark.parametrize("version", [None, "3.1.7"])
def test_else_the_private_environment(monkeypatch: pytest.MonkeyPatch, state_dir: Path, version: str | None) -> None:
    library(monkeypatch, version)
    with pytest.raises(Respawned, match="venv/bin/python"):
        _respawn.ensure(["psycopg"], str(state_dir))


def test_without_one_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library(monkeypatch, None)
    with pytest.raises(_respawn.MissingLibraryError, match="state=prepared"):
        _respawn.ensure(["psycopg"], str(tmp_path))


def test_it_is_tried_once(monkeypatch: pytest.MonkeyPatch, state_dir: Path) -> None:
    library(monkeypatch, None)
    monkeypatch.setattr(_respawn, "has_respawned", lambda: True)
    with pytest.raises(_respawn.MissingLibraryError):
        _respawn.ensure(["psycopg"], str(state_dir))
