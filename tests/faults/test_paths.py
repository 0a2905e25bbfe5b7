# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data directories with unusual paths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import outside
from tests.faults.conftest import Keep
from tests.faults.subject import Subject
from tests.lab import legacy

UNUSUAL = "/data/gpu stäck 世界"


@pytest.fixture
def behind_a_link(server: Subject) -> Iterator[Subject]:
    """A server whose data directory is a symbolic link."""
    server.reach.exec_root("sh", "-c", 'mv "$0" /data/real && ln -s /data/real "$0"', server.data_dir)
    yield server
    server.go_back()
    server.reach.exec_root("sh", "-c", 'rm "$0" && mv /data/real "$0"', server.data_dir)


@pytest.fixture
def unusual(server: Subject) -> Iterator[Subject]:
    """A server whose data directory has blanks and other letters in its path."""
    server.reach.exec_root("cp", "-a", server.data_dir, UNUSUAL)
    server.reach.exec_root("docker", "rename", "gpustack", "usual")
    command = legacy.run_command(server.fleet.options, server.reach.host, ["--disable-worker"])
    wanted = [word.replace(f"{outside.DATA_DIR}:", f"{UNUSUAL}:") for word in command]
    server.reach.exec_root("docker", "create", *(word for word in wanted[2:] if word != "-d"))
    server.data_dir = UNUSUAL
    server.note_definition()
    server.note_files()
    yield server
    server.go_back()
    server.data_dir = outside.DATA_DIR
    server.reach.exec_root("docker", "rm", "gpustack")
    server.reach.exec_root("docker", "rename", "usual", "gpustack")
    server.reach.exec_root("rm", "-r", UNUSUAL)


def test_symbolic_link_as_data_directory(behind_a_link: Subject, keep: Keep) -> None:
    answer = behind_a_link.reach_state("upgraded")
    came_to = behind_a_link.assert_state("upgraded")
    behind_a_link.go_back()
    behind_a_link.assert_state("legacy")
    keep("data directory is a symbolic link", answer, came_to)


def test_blanks_and_other_letters_in_paths(unusual: Subject, keep: Keep) -> None:
    answer = unusual.reach_state("upgraded", backup_dir="/var/backups/gpustack/für GPUStack")
    came_to = unusual.assert_state("upgraded")
    unusual.go_back()
    unusual.assert_state("legacy")
    keep("blanks and non-ASCII letters in paths", answer, came_to)
