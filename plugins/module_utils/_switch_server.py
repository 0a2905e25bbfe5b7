# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server's own steps: its database saved and proven, the migration watched, its rows read back and compared."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Iterator

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _container_spec,
    _data_dir_changes,
    _endpoints,
    _gates,
    _log_classifier,
    _masking,
    _parity,
    _raised_snapshot,
    _releases,
    _server_database,
    _snapshot,
    _switch_steps,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Work, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import ATTEMPT_LABEL, TRIAL_LABEL
from ansible_collections.fleetops.gpustack.plugins.module_utils._switch_steps import Progress

#: How long a migration may take when nobody said: a start, and rows at a tenth of the slowest speed that was measured.
MIGRATION_SECONDS = 600
ROWS_PER_SECOND = 5000


def permissions(work: Work, _progress: Progress) -> dict[str, Any]:
    """Let v2's PostgreSQL through the data directory, after what is secret there was closed to everybody else."""
    if work.params["fix_permissions"]:
        wanted = _data_dir_changes.modes_to_open(work.attempt.data_dir)
        _data_dir_changes.apply_modes({path: then for path, (_now, then) in wanted.items()})
    return {}


def modes_before(work: Work) -> dict[str, Any]:
    """The modes that `permissions` is about to change; journaled before it does."""
    if not work.params["fix_permissions"]:
        return {}
    wanted = _data_dir_changes.modes_to_open(work.attempt.data_dir)
    return {"modes": {path: f"{now:04o}" for path, (now, _then) in wanted.items()}}


def snapshot(work: Work, progress: Progress) -> dict[str, Any]:
    """Byte copies of the database and of what v2 may change. The original is not opened."""
    attempt = work.attempt
    database = os.path.join(attempt.data_dir, _snapshot.DATABASE)
    if _snapshot.hot_journal(database):
        raise _gates.GateError(
            f"{database} has a hot rollback journal: the old server did not end cleanly, and v2's migration would "
            "ignore it. Start the old server once and stop it cleanly (docker stop), then run again."
        )
    if _switch_steps.is_kept(work):
        return {"kept": True}
    _switch_steps.save_definition(work, progress)
    progress.files = _snapshot.copy_stopped(attempt.data_dir, attempt.data_backup, _switch_steps.SAVED_FILES)
    return {"kept": False, "bytes": sum(record.size or 0 for record in progress.files)}


def verify_snapshot(work: Work, progress: Progress) -> dict[str, Any]:
    """The copy is restored once, opened, recovered, checked and counted; only then the manifest says that it exists."""
    attempt = work.attempt
    if os.path.exists(attempt.manifest):
        progress.manifest = _snapshot.verify_manifest(attempt.backup)
    else:
        original = os.path.join(attempt.data_dir, _snapshot.DATABASE)
        facts = _snapshot.recover(
            attempt.data_backup, os.path.join(attempt.backup, _snapshot.RECOVERED), original=original
        )
        # What was copied, not what lies there by now: a change since then is found out before the server is accepted.
        progress.manifest = _snapshot.write_manifest(
            attempt.backup, progress.files, facts, _switch_steps.manifest_head(work)
        )
    database = progress.manifest["database"]
    return {"schema_head": database["schema_head"], "rows": sum(database["counts"].values())}


def raise_snapshot(work: Work, progress: Progress) -> dict[str, Any]:
    """What PostgreSQL will have to equal: of an older schema, the copy that the target's own migrator makes of it."""
    attempt, database = work.attempt, progress.manifest["database"]
    if not _releases.is_raised(database["schema_head"]):
        return {"schema_head": database["schema_head"]}
    labels = {TRIAL_LABEL: attempt.name, ATTEMPT_LABEL: attempt.name}
    client = work.engine.client
    raised = _raised_snapshot.raise_to_migration_head(client, attempt.image, attempt.backup, database, labels)
    for table, rows in raised.dropped.items():
        work.warn(
            f"GPUStack itself deletes {rows} rows of {table} on the way from this release to 0.7.1; the backup "
            f"{attempt.backup} has them."
        )
    found = {"from": database["schema_head"], "to": raised.facts.schema_head, "dropped": raised.dropped}
    progress.facts["raised"] = found
    return {"schema_head": raised.facts.schema_head, "dropped": raised.dropped}


def migrate(work: Work, progress: Progress) -> dict[str, Any]:
    """Follow the first start's log to the end of the migration, or to the first line that says it failed."""
    seconds = work.params["migration_timeout"] or migration_seconds(progress.manifest["database"]["counts"])
    deadline = time.monotonic() + seconds
    first_start = _log_classifier.FirstStart(in_place=work.attempt.leaves_directory)
    for line in _gates.lines_with_ticks(work.engine.follow_logs(progress.container_id)):
        if line is not None:
            first_start.feed(line)
            _refuse(work, first_start, progress)
        if first_start.schema_done or (line is None and _answers(work, progress)):
            # A release that words its log in another way is judged by schema head and rows alone.
            return {"rows": first_start.tables}
        if time.monotonic() > deadline:
            raise _gates.GateError(
                f"The migration did not end within {seconds} seconds; give it more with gpustack_migration_timeout."
                + _switch_steps.log_text(work, progress.container_id)
            )
    raise _gates.GateError(_switch_steps.exit_message(work, progress.container_id))


def migration_seconds(counts: dict[str, int]) -> int:
    """How long the migration of so many rows may take."""
    return MIGRATION_SECONDS + sum(counts.values()) // ROWS_PER_SECOND


def schema_head(work: Work, progress: Progress) -> dict[str, Any]:
    """PostgreSQL's schema is the release's."""
    expected = _releases.find(work.attempt.release, allow_unproven=True).schema_head
    with _database(work, progress) as connection:
        found = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
    if expected and found != [expected]:
        raise _gates.GateError(
            f"The schema head is {', '.join(found) or 'missing'}, but release {work.attempt.release} has {expected}: "
            "the image is of another release, or the server did not finish its migration."
        )
    return {"found": found}


def rows(work: Work, progress: Progress) -> dict[str, Any]:
    """Every row of the snapshot is in PostgreSQL, as the rules of this release say."""
    snapshot = _raised_snapshot.database_to_compare(work.attempt.backup, progress.manifest)
    with _database(work, progress) as connection:
        report = _parity.compare(snapshot, connection, work.attempt.release)
    progress.facts["parity"] = report
    for warning in report["warnings"]:
        work.warn(warning)
    if not report["equal"]:
        problems = _parity.problems(report)
        raise _gates.GateError(f"The new database is not equal to the snapshot: {'; '.join(problems)}.")
    return {"tables": len(report["tables"]), "seconds": report["seconds"]}


def ready(work: Work, progress: Progress) -> dict[str, Any]:
    """Everything that others call answers, and the legacy database is still the one that was migrated."""
    found = _switch_steps.ready(work, progress)
    require_unchanged_original(work)
    return found


def require_unchanged_original(work: Work) -> None:
    """Whatever somebody wrote into the legacy database after the snapshot would be lost without a word."""
    attempt = work.attempt
    differences = _snapshot.compare_with(attempt.data_dir, _snapshot.read_manifest(attempt.backup))
    changed = sorted(
        {each.name for each in differences if each.what in _snapshot.BYTES} & set(_snapshot.DATABASE_FILES)
    )
    if changed:
        raise _gates.GateError(
            f"{', '.join(changed)} in {attempt.data_dir} changed after the snapshot was taken, so the new database "
            "lacks what was written since: something beside GPUStack uses that directory. Stop it (fuser names it), "
            "then run again."
        )


def _refuse(work: Work, first_start: _log_classifier.FirstStart, progress: Progress) -> None:
    event = first_start.problem
    if event is None:
        return
    what = "has migrated nothing" if first_start.state == _log_classifier.EMPTY else "did not start"
    record = work.engine.inspect(progress.container_id)
    secrets = _switch_steps.secrets_of(record) if record else _container_spec.secrets_of(progress.spec)
    detail = _masking.mask_text(event.detail, secrets)
    raise _gates.GateError(f"The new server {what}: {event.cause} ({detail}). {event.way_out}.")


def _answers(work: Work, progress: Progress) -> bool:
    record = work.engine.inspect(progress.container_id)
    if record is None or not record["State"]["Running"]:
        return False
    release = _releases.find(work.attempt.release, allow_unproven=True)
    endpoints = _endpoints.v2_endpoints(record, describe(record).settings, release, "server")
    return all(_gates.answer_of(endpoint) is None for endpoint in endpoints)


@contextlib.contextmanager
def _database(work: Work, progress: Progress) -> Iterator[Any]:
    record = work.engine.inspect(progress.container_id)
    if record is None or not record["State"]["Running"]:
        raise _gates.GateError(_switch_steps.exit_message(work, progress.container_id))
    with contextlib.closing(_server_database.connect(record, work.attempt.data_dir)) as connection:
        yield connection
