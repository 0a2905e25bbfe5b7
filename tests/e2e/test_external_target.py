# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with SQLite whose rows go into an external PostgreSQL: refused unless that is empty, there and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e import external, outside, playbook, secrets
from tests.e2e.conftest import NAME, TARGETS
from tests.e2e.external import Database
from tests.lab import lifecycle
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

RELEASE = "2.2.3"


@dataclass(frozen=True)
class Subject:
    """The fleet, and the empty database beside it."""

    fleet: Fleet
    database: Database


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    """A filled server with SQLite, one worker, and a PostgreSQL; searched for secrets in the end."""
    options = Options(f"{NAME}-into", workers=1, gpu_workers=0, targets=TARGETS, snapshot=False)
    fleet = lifecycle.up(options)
    database = external.serve(fleet)
    with secrets.sampled_arguments(fleet) as samples:
        yield Subject(fleet, database)
    secrets.assert_none_shown(fleet, samples)
    lifecycle.down(options.name)


def upgrade(subject: Subject, fault: str = "") -> playbook.Run:
    variables: dict[str, Any] = {"gpustack_version": RELEASE}
    if fault:
        variables["gpustack_module_environment"] = {"FLEETOPS_GPUSTACK_FAULT": fault}
    # At -vvvv Ansible itself prints its command line, so that a secret belongs into a file.
    secret = subject.fleet.folder / "database.json"
    secret.write_text(json.dumps({"gpustack_database_url": subject.database.url}))
    return playbook.run(subject.fleet, "upgrade.yml", "--extra-vars", f"@{secret}", **variables)


def test_a_database_that_is_not_empty_is_refused_before_downtime(subject: Subject) -> None:
    started = outside.starts(subject.fleet)
    subject.database.ask("CREATE TABLE somebody_elses (id int)")
    refused = upgrade(subject)
    subject.database.ask("DROP TABLE somebody_elses")
    assert refused.code != 0
    assert refused.said("is not empty (it has public.somebody_elses)")
    assert outside.starts(subject.fleet) == started


def test_a_failed_gate_leaves_an_empty_database_and_the_old_server(subject: Subject) -> None:
    failed = upgrade(subject, fault="rows:before:raise")
    assert failed.code != 0
    assert failed.said("Everything is back")
    outside.assert_legacy_serves(subject.fleet)
    assert subject.database.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [["0"]]
    aside = f"{external.NAME}_v2_{outside.attempt(subject.fleet.host('server')).lower()}"
    assert subject.database.names() == {external.NAME, aside}


def test_a_run_that_was_killed_after_the_rows_went_over_is_continued(subject: Subject) -> None:
    killed = upgrade(subject, fault="fill:after:kill")
    assert killed.code != 0
    assert int(subject.database.ask("SELECT count(*) FROM models")[0][0]) == len(subject.fleet.data["models"])


@pytest.mark.proves("installations", "sqlite_to_postgresql", RELEASE)
def test_every_row_goes_over(subject: Subject) -> None:
    done = upgrade(subject)
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(subject.fleet, RELEASE, ask=subject.database.ask)
    parity = done.report["results"]["server"]["switched"]["parity"]
    assert parity["equal"]
    assert {table["table"]: table["before"] for table in parity["tables"]}["system_loads"] >= 2000
    users = {user["username"] for user in subject.fleet.admin().items("/v2/users")}
    assert users >= {user["username"] for user in subject.fleet.data["users"]}
    server = subject.fleet.host("server")
    assert "GPUSTACK_DATA_MIGRATION" not in outside.environment_of(outside.gpustack(server))


def test_a_second_run_changes_nothing(subject: Subject) -> None:
    again = upgrade(subject)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}


def test_the_way_back_leaves_sqlite_as_it_was(subject: Subject) -> None:
    back = playbook.run(subject.fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert back.code == 0, back.output[-4000:]
    outside.assert_legacy_serves(subject.fleet)
    assert subject.database.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [["0"]]
