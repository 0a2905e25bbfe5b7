# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for a server with any kind of external database: it is taken there and back, and every row with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e import external, outside, playbook, secrets
from tests.lab import lifecycle
from tests.lab.fleet import Fleet

RELEASE = "2.2.3"
LEGACY_HEAD, V2_HEAD = "d19176de3b74", "c4d7e8f9a0b1"
#: What a running server does not touch by itself.
QUIET = ("users", "api_keys", "models", "model_usages", "workers")
VOLATILE = ("updated_at", "heartbeat_time", "status", "state_message", "state", "unreachable", "ready_replicas")

Rows = dict[str, list[list[str]]]


@dataclass(frozen=True)
class Subject:
    """The fleet, its database, and the rows that it had in the beginning."""

    fleet: Fleet
    database: external.Served
    read: Callable[[], Rows]
    rows: Rows
    variables: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def subject(
    fleet: Fleet, database: external.Served, read: Callable[[], Rows], variables: Mapping[str, Any]
) -> Iterator[Subject]:
    """A server with its rows in a database and one worker; searched for secrets in the end, and removed."""
    try:
        with secrets.sampled_arguments(fleet) as samples:
            yield Subject(fleet, database, read, read(), variables)
        secrets.assert_none_shown(fleet, samples)
    finally:
        lifecycle.down(fleet.data["name"])


def head_of(it: Subject, name: str = "") -> str:
    """The schema's revision of a database, the server's own where none is named."""
    return it.database.ask("SELECT version_num FROM alembic_version", name or it.database.name)[0][0]


def assert_legacy(it: Subject) -> None:
    """The legacy server serves on its own rows, under the database's own name."""
    outside.assert_legacy_serves(it.fleet)
    assert head_of(it) == LEGACY_HEAD
    assert it.read() == it.rows


def upgrade(it: Subject, *arguments: str, fault: str = "", **more: Any) -> playbook.Run:
    """Upgrade the fleet, with a fault where one is named."""
    variables: dict[str, Any] = {"gpustack_version": RELEASE, **it.variables, **more}
    if fault:
        variables["gpustack_module_environment"] = {"FLEETOPS_GPUSTACK_FAULT": fault}
    return playbook.run(it.fleet, "upgrade.yml", *arguments, **variables)


def assert_refused_before_downtime(it: Subject, said: str, **variables: Any) -> playbook.Run:
    """An upgrade is refused with these words; nothing stopped, and nothing is left behind."""
    started = outside.starts(it.fleet)
    refused = upgrade(it, **variables)
    assert refused.code != 0
    assert refused.said(said), refused.output[-4000:]
    assert outside.starts(it.fleet) == started
    assert it.database.names() == {it.database.name}
    return refused


def check_mode_writes_nothing(it: Subject) -> None:
    """A check says what would be done."""
    before = it.database.names()
    looked = upgrade(it, "--check")
    assert looked.code == 0, looked.output[-4000:]
    assert it.database.names() == before
    assert_legacy(it)


def failed_gate_brings_the_old_rows_back(it: Subject) -> None:
    """The dump takes the place of what v2 had made, which is kept."""
    failed = upgrade(it, fault="rows:before:raise")
    assert failed.code != 0
    assert failed.said("Everything is back"), failed.output[-4000:]
    assert_legacy(it)
    aside = f"{it.database.name}_v2_{outside.attempt(it.fleet.host('server')).lower()}"
    assert it.database.names() == {it.database.name, aside}
    assert head_of(it, aside) == V2_HEAD


def killed_while_the_dump_was_tried(it: Subject) -> None:
    """A run that ends in the window leaves the rows alone; the next one continues it."""
    killed = upgrade(it, fault="verify_snapshot:after:kill")
    assert killed.code != 0
    assert head_of(it) == LEGACY_HEAD


def upgrade_keeps_every_row(it: Subject) -> None:
    """The whole fleet, with proof."""
    done = upgrade(it)
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(it.fleet, RELEASE, ask=it.database.ask)
    assert head_of(it) == V2_HEAD
    parity = done.report["results"]["server"]["switched"]["parity"]
    assert parity["equal"]
    assert {table["table"]: table["before"] for table in parity["tables"]}["model_usages"] > 100
    users = {user["username"] for user in it.fleet.admin().items("/v2/users")}
    assert users >= {user["username"] for user in it.fleet.data["users"]}
    # No migration from SQLite was asked for, and no database of ours is left but the one that was set aside.
    environment = outside.environment_of(outside.gpustack(it.fleet.host("server")))
    assert "GPUSTACK_DATA_MIGRATION" not in environment
    assert len(it.database.names()) == 2


def second_run_changes_nothing(it: Subject) -> None:
    """And says so."""
    again = upgrade(it)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}
    verified = playbook.run(it.fleet, "verify.yml", gpustack_version=RELEASE)
    assert verified.code == 0, verified.output[-4000:]


def way_back_restores_the_dump(it: Subject) -> None:
    """By its own playbook, which is told nothing of the upgrade's variables."""
    back = playbook.run(it.fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert back.code == 0, back.output[-4000:]
    assert_legacy(it)
    again = playbook.run(it.fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}


def another_release_takes_the_same_rows(it: Subject, release: str) -> None:
    """After a way back."""
    done = upgrade(it, gpustack_version=release)
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(it.fleet, release, ask=it.database.ask)


def cleanup_drops_what_was_set_aside(it: Subject, release: str) -> None:
    """Both databases that ways back have left; the fleet has this release."""
    assert len(it.database.names()) == 3
    cleaned = playbook.run(it.fleet, "cleanup.yml", gpustack_version=release)
    assert cleaned.code == 0, cleaned.output[-4000:]
    assert it.database.names() == {it.database.name}
