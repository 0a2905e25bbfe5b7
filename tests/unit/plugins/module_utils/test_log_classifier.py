# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a first start, one by one and together."""

from __future__ import annotations

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _log_classifier as log

MIGRATION = """\
[INFO] Postgres is ready.
[INFO] Using GPUSTACK_MIGRATION_DATA_DIR: /var/lib/gpustack.
Starting database migration...
Copied sqlite file to /var/lib/gpustack/gpustack_migration_temp_database.db
Table system_loads has migrated 1200 records.
Table workers has migrated 2 records.
Old table api_keys has no data, skipping.
Old database lack of model_files, skip.
Synced 7 sequences.
Migration completed successfully.
"""
SCRIPT_DONE = "[INFO] Migration completed successfully.\n"
SERVER = """\
[INFO] Starting gpustack.
2026-07-31T08:00:00+00:00 - gpustack.server.server - INFO - Running database migration.
2026-07-31T08:00:01+00:00 - gpustack.server.server - INFO - Database migration completed.
2026-07-31T08:00:01+00:00 - gpustack.server.server - INFO - Serving GPUStack API on 0.0.0.0:30080.
2026-07-31T08:00:02+00:00 - gpustack.server.server - INFO - GPUStack Server is ready.
"""


def first_start(text):
    start = log.FirstStart()
    for line in text.splitlines():
        start.feed(line)
    return start


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("[INFO] Postgres is ready.", log.PROGRESS),
        ("2026-01-01 00:00:00.000 UTC [1] LOG:  redirecting log output to logging collector process", log.PROGRESS),
        ("Starting database migration...", log.MIGRATION_STARTED),
        ("Table users has migrated 3 records.", log.MIGRATED_TABLE),
        ("Migration completed successfully.", log.PROGRESS),
        ("[INFO] Migration completed successfully.", log.MIGRATION_DONE),
        ("\x1b[32mDatabase migration completed.\x1b[0m", log.SCHEMA_DONE),
        ("GPUStack Server is ready.", log.READY),
        ("Failed to migrate: disk I/O error", log.FAILURE),
        ("[ERROR] Migration failed.", log.FAILURE),
        ("Database migration failed: boom", log.FAILURE),
        ("Port 5432 required for service 'postgres' is not available.", log.FAILURE),
        ("[ERROR] Port 5432 is already in use and required by the embedded database", log.FAILURE),
        ("gpustack: error: unrecognized arguments: --enable-ray", log.FAILURE),
        ("Config error: 1 validation error for Config enable_ray Extra inputs are not permitted", log.FAILURE),
        (
            'initdb: error: could not access directory "/var/lib/gpustack/postgresql/data": Permission denied',
            log.FAILURE,
        ),
        ("s6-rc: warning: unable to start service gpustack-migration: command exited 1", log.FAILURE),
        ("rc.init: warning: s6-rc failed to properly bring all the services up! Check your logs", log.FAILURE),
        ("rc.init: fatal: stopping the container.", log.FAILURE),
        (
            "/run/s6/basedir/scripts/rc.init: fatal: hook /etc/s6-overlay/scripts/gpustack-prerun.sh exited 1",
            log.FAILURE,
        ),
        ("LookupError: 'OLLAMA_LIBRARY' is not among the defined enum values", log.FAILURE),
        ("Worker with name 'b' already exists.", log.FAILURE),
        ("Token is required when running as a worker", log.FAILURE),
        ("Failed to get OpenID configuration: timed out. Please check the issuer URL", log.FAILURE),
        ("[INFO] No migration data dir specified, skipping.", log.EMPTY_START),
        ("[INFO] Migration already completed previously. Skipping.", log.EMPTY_START),
        (
            "Generated initial admin password. You can get it from /var/lib/gpustack/initial_admin_password.",
            log.EMPTY_START,
        ),
    ],
)
def test_lines(line, kind):
    event = log.classify(line)
    assert event is not None
    assert event.kind == kind
    if kind in (log.FAILURE, log.EMPTY_START):
        assert event.cause
        assert event.way_out


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET /v1/models 200",
        "ERROR - duplicate key value violates unique constraint in a request",
        "worker gpu-1: Permission denied for a user",
    ],
)
def test_lines_that_say_nothing(line):
    assert log.classify(line) is None


def test_a_table_has_its_rows():
    event = log.classify("Table model_usages has migrated 12 records.")
    assert (event.table, event.rows) == ("model_usages", 12)


def test_a_database_error_shows_no_rows_of_users():
    line = (
        "Failed to migrate: out of range [SQL: INSERT INTO users VALUES (1)] [parameters: ('admin', 'hash-of-admin')]"
    )
    event = log.classify(line)
    assert event.detail == "Failed to migrate: out of range"


def test_a_good_migration():
    start = first_start(MIGRATION + SCRIPT_DONE + SERVER)
    assert (start.state, start.schema_done, start.ready, start.problem) == (log.MIGRATED, True, True, None)
    assert start.tables == {"system_loads": 1200, "workers": 2, "api_keys": 0, "model_files": 0}


def test_the_programs_own_last_line_is_not_the_end():
    """Its process may still fail after it; the script writes the line that counts."""
    assert first_start(MIGRATION).state == log.MIGRATING


def test_nothing_said_yet():
    assert first_start("").state == log.STARTING
    assert first_start("[INFO] Postgres is ready.").state == log.STARTING


def test_the_wrong_trigger_on_a_newer_release_is_an_empty_start():
    """Trap: with the older variable 2.0.1 and newer are healthy, and nothing was migrated."""
    start = first_start("[INFO] No migration data dir specified, skipping.\n" + SERVER)
    assert start.state == log.EMPTY
    assert "GPUSTACK_DATA_MIGRATION=true" in start.problem.way_out


def test_a_start_without_any_migration_line_is_empty():
    """A missing database.db: 2.0.1 and newer print nothing about it."""
    start = first_start(SERVER)
    assert start.state == log.EMPTY
    assert "database.db" in start.problem.way_out


def test_a_first_user_after_the_migration_is_no_empty_start():
    """2.0 and 2.1 make a new admin when the operator had renamed the old one."""
    start = first_start(MIGRATION + SCRIPT_DONE + SERVER + "Generated initial admin password. You can get it from /x.")
    assert (start.state, start.problem) == (log.MIGRATED, None)


def test_the_first_failure_is_the_one_that_is_told():
    start = first_start(
        "Starting database migration...\n"
        'Failed to migrate: duplicate key value violates unique constraint "system_loads_pkey"\n'
        "[ERROR] Migration failed.\n"
        "s6-rc: warning: unable to start service gpustack-migration: command exited 1\n"
    )
    assert start.state == log.FAILED
    assert "half-finished" in start.problem.cause


def test_a_failure_after_the_rows_is_a_failure():
    start = first_start(MIGRATION + SCRIPT_DONE + "Database migration failed: boom")
    assert start.state == log.FAILED


def test_a_failure_is_not_taken_back():
    assert first_start("[ERROR] Migration failed.\n" + SCRIPT_DONE).state == log.FAILED
