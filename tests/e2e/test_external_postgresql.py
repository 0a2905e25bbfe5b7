# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose rows are in an external PostgreSQL: refused where no copy can be made, taken there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e import external, outside, playbook, secrets
from tests.e2e.conftest import NAME, TARGETS
from tests.e2e.external import Database
from tests.lab import lifecycle
from tests.lab.fleet import Fleet

RELEASE = "2.2.3"
LEGACY_HEAD, V2_HEAD = "d19176de3b74", "c4d7e8f9a0b1"
#: What a running server does not touch by itself.
QUIET = ("users", "api_keys", "models", "model_usages", "workers")


@dataclass(frozen=True)
class Subject:
    """The fleet, its database, and the rows that it had in the beginning."""

    fleet: Fleet
    database: Database
    rows: dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    """A server with its rows in PostgreSQL and one worker; searched for secrets in the end."""
    fleet, database = external.up(f"{NAME}-pg", TARGETS)
    with secrets.sampled_arguments(fleet) as samples:
        yield Subject(fleet, database, rows_of(database))
    secrets.assert_none_shown(fleet, samples)
    lifecycle.down(fleet.data["name"])


def rows_of(database: Database) -> dict[str, list[list[str]]]:
    """The rows that only people change, as text."""
    volatile = "- 'updated_at' - 'heartbeat_time' - 'status' - 'state_message' - 'state' - 'unreachable'"
    volatile += " - 'ready_replicas'"
    return {table: database.ask(f"SELECT to_jsonb(t) {volatile} FROM {table} t ORDER BY id") for table in QUIET}


def head_of(database: Database, name: str = external.NAME) -> str:
    return database.ask("SELECT version_num FROM alembic_version", name)[0][0]


def assert_legacy(subject: Subject) -> None:
    """The legacy server serves on its own rows, under the database's own name."""
    outside.assert_legacy_serves(subject.fleet)
    assert head_of(subject.database) == LEGACY_HEAD
    assert rows_of(subject.database) == subject.rows


def upgrade(subject: Subject, *arguments: str, fault: str = "") -> playbook.Run:
    variables: dict[str, Any] = {"gpustack_version": RELEASE}
    if fault:
        variables["gpustack_module_environment"] = {"FLEETOPS_GPUSTACK_FAULT": fault}
    return playbook.run(subject.fleet, "upgrade.yml", *arguments, **variables)


def test_a_role_that_cannot_make_a_copy_is_refused_before_downtime(subject: Subject) -> None:
    started = outside.starts(subject.fleet)
    subject.database.ask(f"ALTER ROLE {external.ROLE} NOCREATEDB")
    refused = upgrade(subject)
    subject.database.ask(f"ALTER ROLE {external.ROLE} CREATEDB")
    assert refused.code != 0
    assert refused.said("external_createdb")
    assert refused.said("CREATEDB;")
    assert outside.starts(subject.fleet) == started


def test_check_mode_writes_nothing(subject: Subject) -> None:
    before = subject.database.names()
    looked = upgrade(subject, "--check")
    assert looked.code == 0, looked.output[-4000:]
    assert subject.database.names() == before
    assert_legacy(subject)


def test_a_failed_gate_brings_the_old_rows_back(subject: Subject) -> None:
    failed = upgrade(subject, fault="rows:before:raise")
    assert failed.code != 0
    assert failed.said("Everything is back")
    assert_legacy(subject)
    aside = f"{external.NAME}_v2_{outside.attempt(subject.fleet.host('server')).lower()}"
    assert subject.database.names() == {external.NAME, aside}
    assert head_of(subject.database, aside) == V2_HEAD


def test_a_run_that_was_killed_while_the_dump_was_tried_is_continued(subject: Subject) -> None:
    killed = upgrade(subject, fault="verify_snapshot:after:kill")
    assert killed.code != 0
    assert head_of(subject.database) == LEGACY_HEAD


@pytest.mark.proves("installations", "postgresql", RELEASE)
def test_the_upgrade_keeps_every_row(subject: Subject) -> None:
    done = upgrade(subject)
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(subject.fleet, RELEASE, ask=subject.database.ask)
    assert head_of(subject.database) == V2_HEAD
    parity = done.report["results"]["server"]["switched"]["parity"]
    assert parity["equal"]
    assert {table["table"]: table["before"] for table in parity["tables"]}["model_usages"] > 100
    users = {user["username"] for user in subject.fleet.admin().items("/v2/users")}
    assert users >= {user["username"] for user in subject.fleet.data["users"]}
    # No migration from SQLite was asked for, and no database of ours is left but the one that was set aside.
    environment = outside.environment_of(outside.gpustack(subject.fleet.host("server")))
    assert "GPUSTACK_DATA_MIGRATION" not in environment
    assert len(subject.database.names()) == 2


def test_a_second_run_changes_nothing(subject: Subject) -> None:
    again = upgrade(subject)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}
    verified = playbook.run(subject.fleet, "verify.yml", gpustack_version=RELEASE)
    assert verified.code == 0, verified.output[-4000:]


def test_the_way_back_restores_the_dump_under_the_old_name(subject: Subject) -> None:
    back = playbook.run(subject.fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert back.code == 0, back.output[-4000:]
    assert_legacy(subject)
    again = playbook.run(subject.fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}


@pytest.mark.proves("installations", "postgresql", "2.0.3")
def test_another_release_takes_the_same_rows(subject: Subject) -> None:
    done = playbook.run(subject.fleet, "upgrade.yml", gpustack_version="2.0.3")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(subject.fleet, "2.0.3", ask=subject.database.ask)
