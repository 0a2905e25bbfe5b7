# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose rows are in an external PostgreSQL: refused where no copy can be made, taken there and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import external, in_place
from tests.e2e.conftest import NAME, TARGETS
from tests.e2e.external import Database
from tests.e2e.in_place import RELEASE, Subject


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    """A server with its rows in PostgreSQL."""
    fleet, database = external.up(f"{NAME}-pg", TARGETS)
    with in_place.subject(fleet, database, lambda: rows_of(database), {}) as made:
        yield made


def rows_of(database: Database) -> in_place.Rows:
    """The rows that only people change, as text."""
    volatile = " ".join(f"- '{column}'" for column in in_place.VOLATILE)
    query = f"SELECT to_jsonb(t) {volatile} FROM {{}} t ORDER BY id"
    return {table: database.ask(query.format(table)) for table in in_place.QUIET}


def test_a_role_that_cannot_make_a_copy_is_refused_before_downtime(subject: Subject) -> None:
    subject.database.ask(f"ALTER ROLE {external.ROLE} NOCREATEDB")
    refused = in_place.assert_refused_before_downtime(subject, "external_createdb")
    subject.database.ask(f"ALTER ROLE {external.ROLE} CREATEDB")
    assert refused.said("CREATEDB;")


def test_check_mode_writes_nothing(subject: Subject) -> None:
    in_place.check_mode_writes_nothing(subject)


def test_a_failed_gate_brings_the_old_rows_back(subject: Subject) -> None:
    in_place.failed_gate_brings_the_old_rows_back(subject)


def test_a_run_that_was_killed_while_the_dump_was_tried_is_continued(subject: Subject) -> None:
    in_place.killed_while_the_dump_was_tried(subject)


@pytest.mark.proves("installations", "postgresql", RELEASE)
def test_the_upgrade_keeps_every_row(subject: Subject) -> None:
    in_place.upgrade_keeps_every_row(subject)


def test_a_second_run_changes_nothing(subject: Subject) -> None:
    in_place.second_run_changes_nothing(subject)


def test_the_way_back_restores_the_dump_under_the_old_name(subject: Subject) -> None:
    in_place.way_back_restores_the_dump(subject)


@pytest.mark.proves("installations", "postgresql", "2.0.3")
def test_another_release_takes_the_same_rows(subject: Subject) -> None:
    in_place.another_release_takes_the_same_rows(subject, "2.0.3")


def test_cleaning_up_drops_what_ways_back_had_set_aside(subject: Subject) -> None:
    in_place.cleanup_drops_what_was_set_aside(subject, "2.0.3")
