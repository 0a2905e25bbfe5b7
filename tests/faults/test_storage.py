# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full or cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.conftest import Keep
from tests.faults.subject import Subject

BACKUPS = "/var/backups/gpustack"
#: What a migration needs at least for its new database, and does not get.
ROOM_MIB = 24


@contextmanager
def mounted(server: Subject, target: str, *options: str) -> Iterator[None]:
    """A file system over a directory of the host."""
    server.reach.exec_root("mkdir", "-p", target)
    server.reach.exec_root("mount", *options, target)
    try:
        yield
    finally:
        server.reach.exec_root("umount", target)


@contextmanager
def small_data_directory(server: Subject) -> Iterator[None]:
    """The data directory on a file system of its own with little room left."""
    used = int(server.reach.exec_root("du", "-sm", server.data_dir).split()[0])
    copy = 'cp -a "$0" /run/copy && mount -t tmpfs -o "size=$1m,mode=0755" tmpfs "$0" && cp -a /run/copy/. "$0"'
    server.reach.exec_root("sh", "-c", copy, server.data_dir, str(used + ROOM_MIB))
    try:
        yield
    finally:
        server.reach.exec_root("sh", "-c", 'umount "$0" && rm -rf /run/copy', server.data_dir)


@pytest.mark.quick
def test_disk_full_during_the_snapshot(server: Subject, keep: Keep) -> None:
    with mounted(server, BACKUPS, "-t", "tmpfs", "-o", "size=128k,mode=0700", "tmpfs"):
        answer = server.call("upgraded")
    assert answer.failed
    assert "No space left" in answer.message
    keep("disk full during the snapshot", answer, server.assert_state("legacy"))


def test_disk_full_during_the_migration(server: Subject, keep: Keep) -> None:
    with small_data_directory(server):
        answer = server.call("upgraded")
        assert "Everything is back" in answer.message
        came_to = server.assert_state("legacy")
    keep("disk full during the migration", answer, came_to)


@pytest.mark.quick
def test_backup_directory_that_cannot_be_written(server: Subject, keep: Keep) -> None:
    with mounted(server, BACKUPS, "-t", "tmpfs", "-o", "ro,mode=0700", "tmpfs"):
        answer = server.call("upgraded")
    assert answer.failed
    assert "Read-only file system" in answer.message
    keep("backup directory is read-only", answer, server.assert_state("legacy"))


def test_data_directory_that_cannot_be_written(server: Subject, keep: Keep) -> None:
    with mounted(server, server.data_dir, "--bind", server.data_dir):
        server.reach.exec_root("mount", "-o", "remount,ro,bind", server.data_dir)
        answer = server.call("upgraded")
        assert answer.failed
        assert "Read-only file system" in answer.message
        came_to = server.assert_state("legacy")
    keep("data directory is read-only", answer, came_to)
