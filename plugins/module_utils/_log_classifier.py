# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of a v2 server's log to an event, and what the lines of a first start mean together. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple, Pattern

from ansible_collections.fleetops.gpustack.plugins.module_utils import _masking, _releases

# Kinds of events.
PROGRESS = "progress"
MIGRATION_STARTED = "migration_started"
MIGRATED_TABLE = "migrated_table"
MIGRATION_DONE = "migration_done"
SCHEMA_DONE = "schema_done"
READY = "ready"
FAILURE = "failure"
EMPTY_START = "empty_start"

# States of a first start.
STARTING = "starting"
MIGRATING = "migrating"
MIGRATED = "migrated"
FAILED = "failed"
EMPTY = "empty"

_LONGEST_DETAIL = 400
_NOT_MIGRATED = (
    "the server set up its schema without a migration before it: it starts on an empty database",
    "see that database.db is in the data directory that the container mounts, and that no database URL is set",
)
_SEE_LOG = "read the lines before it in the log of the attempt, mend the cause and run the upgrade again"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Event(NamedTuple):
    """What a line says. `cause` and `way_out` are set for failures and empty starts."""

    kind: str
    detail: str
    cause: str | None = None
    way_out: str | None = None
    table: str | None = None
    rows: int | None = None


@dataclass(frozen=True)
class _Rule:
    pattern: Pattern[str]
    kind: str
    cause: str | None = None
    way_out: str | None = None


def _rule(pattern: str, kind: str, cause: str | None = None, way_out: str | None = None) -> _Rule:
    return _Rule(re.compile(pattern), kind, cause, way_out)


# The first rule that matches decides; failures come first, so that no line of theirs is taken for progress. The texts
# are those of pack/**/gpustack-migration.sh, gpustack/cmd/{prerun,db_migration,start}.py, gpustack/server/server.py and
# s6-overlay in 2.0.0 to 2.2.3.
_FAILURES: tuple[_Rule, ...] = (
    _rule(
        r"Failed to migrate: .*duplicate key value violates unique constraint",
        FAILURE,
        "rows of an earlier, half-finished migration are in the database",
        "set v2's postgresql directory aside (the upgrade does it when it goes back) and start again",
    ),
    _rule(
        r"Failed to migrate: .*out of int32 range",
        FAILURE,
        "an integer of the legacy database does not fit into PostgreSQL's column",
        "correct the row in the legacy database, then run the upgrade again",
    ),
    _rule(
        r"Failed to migrate: .*invalid byte sequence",
        FAILURE,
        "a text of the legacy database holds a byte that PostgreSQL does not take",
        "correct the row in the legacy database, then run the upgrade again",
    ),
    _rule(r"Failed to migrate: ", FAILURE, "the migration of the rows failed", _SEE_LOG),
    _rule(r"\[ERROR\] Migration failed", FAILURE, "the migration script failed", _SEE_LOG),
    _rule(r"Database migration failed: ", FAILURE, "the schema could not be lifted to this release", _SEE_LOG),
    _rule(
        r"'OLLAMA_LIBRARY' is not among the defined enum values",
        FAILURE,
        "rows of the Ollama library are in the database, which this release cannot read",
        "choose 2.0.2 or newer, which drops them",
    ),
    _rule(
        r"Port \d+ required for service|Port \d+ is already in use",
        FAILURE,
        "a port that the container needs is taken",
        "stop what listens there (ss -ltnp), or move the port with gpustack_extra_args",
    ),
    _rule(
        r"One or more required ports are not available",
        FAILURE,
        "ports that the container needs are taken",
        "stop what listens there (ss -ltnp)",
    ),
    _rule(
        r"gpustack: error: unrecognized arguments: |gpustack \w+: error: |gpustack: error: ",
        FAILURE,
        "the container's arguments are not the release's",
        "correct gpustack_extra_args",
    ),
    _rule(
        r"Extra inputs are not permitted",
        FAILURE,
        "the configuration file has a key that the release does not know",
        "remove the key from the file that --config-file names",
    ),
    _rule(r"Invalid port range: ", FAILURE, "a port range is not of the form N1-N2", "correct gpustack_extra_args"),
    _rule(
        r"Unsupported database scheme",
        FAILURE,
        "the database URL is neither PostgreSQL nor MySQL",
        "remove it from the container's settings",
    ),
    _rule(
        r"could not access directory .*Permission denied"
        r"|(?:initdb|mkdir|install|chown|chmod|postgres)\b.*Permission denied",
        FAILURE,
        f"PostgreSQL (uid {_releases.POSTGRES_UID}) cannot reach the data directory",
        "give others r-x on the data directory and its log directory (gpustack_fix_permissions does)",
    ),
    _rule(
        r"No space left on device",
        FAILURE,
        "a file system is full",
        "free space on the file system of the data directory and of Docker",
    ),
    _rule(r"s6-rc: warning: unable to start service ", FAILURE, "a service of the container did not start", _SEE_LOG),
    _rule(
        r"s6-rc failed to properly bring all the services up",
        FAILURE,
        "a service of the container did not start",
        _SEE_LOG,
    ),
    _rule(r"rc\.init: fatal: stopping the container", FAILURE, "the container stops itself", _SEE_LOG),
    _rule(
        r"Failed to get OpenID configuration: ",
        FAILURE,
        "the provider of single sign-on (oidc_issuer) does not answer the container, which asks it before it serves",
        "see from the server's host whether the address in the log answers, and that v2 trusts its certificate",
    ),
    _rule(r"fatal: hook .*prerun.* exited", FAILURE, "the start-up check of the container failed", _SEE_LOG),
    _rule(r"Failed to pre-check the configuration: ", FAILURE, "the start-up check of the container failed", _SEE_LOG),
    _rule(
        r"Config error: ",
        FAILURE,
        "the release does not take the container's settings",
        "correct gpustack_extra_args or gpustack_extra_env",
    ),
    _rule(
        r"Token is required when running as (?:a )?worker",
        FAILURE,
        "the worker has no token",
        "set gpustack_token for this host",
    ),
    _rule(
        r"Legacy UUID not found",
        FAILURE,
        "the worker has no uuid",
        "write one into the file worker_uuid of its data directory",
    ),
    _rule(
        r"Worker with name .* already exists",
        FAILURE,
        "the server knows another worker of this name",
        "compare worker_name and worker_uuid in the data directories of the workers",
    ),
)
_EMPTY_STARTS: tuple[_Rule, ...] = (
    _rule(
        r"No migration data dir specified, skipping",
        EMPTY_START,
        "the migration was skipped: its variable is not the one that this release reads",
        "2.0.0 reads GPUSTACK_MIGRATION_DATA_DIR, every later release only GPUSTACK_DATA_MIGRATION=true;"
        " remove others from gpustack_extra_env",
    ),
    _rule(
        r"Migration already completed previously",
        EMPTY_START,
        f"the migration was skipped: an earlier one left its mark ({_releases.MIGRATION_DONE_FILE})",
        "set v2's files in the data directory aside (the upgrade does it when it goes back) and start again",
    ),
    _rule(
        r"Generated initial admin password",
        EMPTY_START,
        "the server made a first user: it started on an empty database",
        "see that database.db is in the data directory that the container mounts",
    ),
)
_PROGRESS: tuple[_Rule, ...] = (
    _rule(r"Table (?P<table>\w+) has migrated (?P<rows>\d+) records", MIGRATED_TABLE),
    _rule(r"Old table (?P<table>\w+) has no data|Old database lack of (?P<table2>\w+), skip", MIGRATED_TABLE),
    # The script's own line counts; the program's line of the same words comes before its process has ended well.
    _rule(r"\[INFO\] Migration completed successfully", MIGRATION_DONE),
    _rule(r"Starting database migration\.\.\.", MIGRATION_STARTED),
    _rule(r"Database migration completed\.", SCHEMA_DONE),
    _rule(r"GPUStack Server is ready|Serving GPUStack API on", READY),
    _rule(
        r"Postgres is ready|redirecting log output|Using GPUSTACK_MIGRATION_DATA_DIR|Copied sqlite file"
        r"|Synced \d+ sequences|Running schema upgrade|Database schema upgrade|Migration completed successfully"
        r"|\[INFO\] Starting gpustack|Running database migration|GPUStack version|Pre-run checks|pre-run checks|={5,} ",
        PROGRESS,
    ),
)


def classify(line: str) -> Event | None:
    """What a line of a v2 container's log says; None for a line that says nothing about the start."""
    text = _ANSI.sub("", line).strip()
    for rule in (*_FAILURES, *_EMPTY_STARTS, *_PROGRESS):
        match = rule.pattern.search(text)
        if match:
            return _event(rule, match, text)
    return None


def _event(rule: _Rule, match: re.Match[str], text: str) -> Event:
    groups = match.groupdict()
    table = groups.get("table") or groups.get("table2")
    rows = int(groups.get("rows") or 0) if table else None
    return Event(rule.kind, _detail(text), rule.cause, rule.way_out, table, rows)


def _detail(text: str) -> str:
    """The line without the statement and the values that database errors carry along: they are rows of users."""
    cut = re.split(r"\[SQL:|\[parameters:", text, maxsplit=1)[0].strip()
    return _masking.mask_text(cut)[:_LONGEST_DETAIL]


@dataclass
class FirstStart:
    """
    What the lines of a server's first start mean together.

    2.0.0 stays up when its migration fails, and every release stays up on an empty database, so the container's state
    proves nothing: `state` is `starting`, `migrating`, `migrated`, `failed` or `empty` from the lines alone.
    """

    #: Whether the release upgrades an external database in place: nothing is migrated before its schema then.
    in_place: bool = False
    state: str = STARTING
    tables: dict[str, int] = field(default_factory=dict)
    schema_done: bool = False
    ready: bool = False
    problem: Event | None = None

    def feed(self, line: str) -> Event | None:
        """Take one more line; returns what it says."""
        event = classify(line)
        if event is not None and self.state not in (FAILED, EMPTY):
            self._take(event)
        return event

    def _take(self, event: Event) -> None:
        migrated = self.state == MIGRATED
        if event.kind == FAILURE:
            self.state, self.problem = FAILED, event
        elif event.kind == EMPTY_START and not migrated:
            # After a migration a first user may still be made: 2.0 and 2.1 do so when the operator had renamed admin.
            self.state, self.problem = EMPTY, event
        elif event.kind == MIGRATION_DONE or (event.kind == SCHEMA_DONE and self.in_place):
            self.state = MIGRATED
        elif event.kind in (SCHEMA_DONE, READY) and not migrated:
            self.state, self.problem = (
                EMPTY,
                event._replace(kind=EMPTY_START, cause=_NOT_MIGRATED[0], way_out=_NOT_MIGRATED[1]),
            )
        elif event.kind in (MIGRATION_STARTED, MIGRATED_TABLE) and not migrated:
            self.state = MIGRATING
        if event.kind == MIGRATED_TABLE and event.table:
            self.tables[event.table] = event.rows or 0
        self.schema_done = self.schema_done or event.kind == SCHEMA_DONE
        self.ready = self.ready or event.kind == READY
