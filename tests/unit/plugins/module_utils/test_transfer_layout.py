# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layouts of macOS and Windows by their listings, which are stand-ins (data/transfer_layouts.json says of what)."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _transfer_layout
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_source import DIRECTORY, FILE, LINK, Entry

LAYOUTS: dict[str, Any] = json.loads((Path(__file__).parent / "data/transfer_layouts.json").read_text())["layouts"]


def entries(*names: str) -> list[Entry]:
    kinds = {"/": DIRECTORY, "@": LINK}
    return [Entry(name.rstrip("/@"), kinds.get(name[-1], FILE), 1, name) for name in names]


@pytest.mark.parametrize("which", LAYOUTS)
def test_a_layout_is_recognised(which: str) -> None:
    given, expected = LAYOUTS[which], LAYOUTS[which]["expect"]
    found = _transfer_layout.detect(entries(*given["names"]), given["path"])
    assert found.problems == []
    assert {
        "root": found.root,
        "system": found.system,
        "installation": found.installation,
        "files": sorted(found.files),
        "settings": [posixpath.basename(entry.name) for entry in found.settings],
        "cache": sorted(found.cache),
        "left_behind": found.left_behind,
        "noise": found.noise,
    } == expected


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["token", "._database.db"], "there is no database.db in it"),
        (["cache/x/database.db"], "there is no database.db in it"),
        (["a/database.db", "b/database.db"], "several data directories (a, b)"),
        (["database.db", "token", "TOKEN"], "token twice"),
        (["database.db", "token", "token"], "token twice"),
        (["database.db", "token@"], "token is no regular file but a link"),
        (["database.db@"], "database.db is no regular file but a link"),
        (["database.db", "cache@"], "cache is no directory but a link"),
        (["database.db", "postgresql/", "postgresql/data/"], "files of a 2.x release (postgresql)"),
    ],
)
def test_what_is_no_data_directory_is_refused(names: list[str], said: str) -> None:
    (problem,) = _transfer_layout.detect(entries(*names)).problems
    assert said in problem


def test_links_in_what_stays_are_no_problem_and_those_in_caches_are_named() -> None:
    found = _transfer_layout.detect(entries("database.db", "bin/x@", "cache/a/b@", "cache/a/c"))
    assert found.problems == []
    assert found.cache_links == ["cache/a/b"]
    assert list(found.cache) == ["a/c"]


def test_a_name_cannot_be_a_file_and_a_directory() -> None:
    assert _transfer_layout.twice_in_cache(["a/b", "a/b/c", "a/bb"]) == ["a/b/c"]


def test_a_settings_file_elsewhere_is_no_setting() -> None:
    found = _transfer_layout.detect(
        entries("database.db", "cache/huggingface/gpustack/config.yaml", "helm/config.yaml")
    )
    assert found.settings == []
