# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose rows are in an external MySQL: refused where no copy can be made, taken there and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import external, external_mysql, in_place
from tests.e2e.conftest import NAME, TARGETS
from tests.e2e.external_mysql import Database
from tests.e2e.in_place import RELEASE, Subject


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    """A server with its rows in MySQL."""
    fleet, database = external.up_with(f"{NAME}-my", TARGETS, external_mysql.serve)
    variables = {"gpustack_database_tools_image": external_mysql.IMAGE}
    with in_place.subject(fleet, database, lambda: rows_of(database), variables) as made:
        yield made


def rows_of(database: Database) -> in_place.Rows:
    """The rows that only people change, as text."""
    return {
        table: database.ask(f"SELECT {_steady(database, table)} FROM {table} ORDER BY id") for table in in_place.QUIET
    }


def _steady(database: Database, table: str) -> str:
    """The columns that a running server leaves alone."""
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() "
        f"AND table_name = '{table}' ORDER BY ordinal_position"
    )
    return ", ".join(f"`{row[0]}`" for row in database.ask(query) if row[0] not in in_place.VOLATILE)


def test_a_user_that_cannot_make_a_copy_is_refused_before_downtime(subject: Subject) -> None:
    external_mysql.forbid_copies(subject.database)
    refused = in_place.assert_refused_before_downtime(subject, "external_createdb")
    external_mysql.allow_copies(subject.database)
    assert refused.said("GRANT ALL PRIVILEGES ON `gpu")


def test_check_mode_writes_nothing(subject: Subject) -> None:
    in_place.check_mode_writes_nothing(subject)


def test_an_image_without_its_programs_is_refused_before_downtime(subject: Subject) -> None:
    said = "has no mysqldump of MySQL"
    in_place.assert_refused_before_downtime(subject, said, gpustack_database_tools_image="")


def test_a_failed_gate_brings_the_old_rows_back(subject: Subject) -> None:
    in_place.failed_gate_brings_the_old_rows_back(subject)


def test_a_run_that_was_killed_while_the_dump_was_tried_is_continued(subject: Subject) -> None:
    in_place.killed_while_the_dump_was_tried(subject)


@pytest.mark.proves("installations", "mysql", RELEASE)
def test_the_upgrade_keeps_every_row(subject: Subject) -> None:
    in_place.upgrade_keeps_every_row(subject)


def test_a_second_run_changes_nothing(subject: Subject) -> None:
    in_place.second_run_changes_nothing(subject)


def test_the_way_back_restores_the_dump_under_the_old_name(subject: Subject) -> None:
    in_place.way_back_restores_the_dump(subject)


@pytest.mark.proves("installations", "mysql", "2.0.3")
def test_another_release_takes_the_same_rows(subject: Subject) -> None:
    in_place.another_release_takes_the_same_rows(subject, "2.0.3")


def test_cleaning_up_drops_what_ways_back_had_set_aside(subject: Subject) -> None:
    in_place.cleanup_drops_what_was_set_aside(subject, "2.0.3")
