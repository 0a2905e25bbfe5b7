# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of an older schema, brought to that of 0.7.1 by the target image's own migrator.

`gpustack migrate` brings its copy of the database to the schema of 0.7.1 before it copies rows into PostgreSQL, so it
is that copy which PostgreSQL has to equal. It is made here once more, from the recovered copy of the backup, by the
same functions (gpustack/cmd/db_migration.py, the same in 2.0.0 to 2.2.3), in a throw-away container without a network,
with nothing of the host but the directory of that copy. The backup itself stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from typing import Any, Iterator, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_trial, _releases, _snapshot

RAISED = "raised"
#: Where the migrator works; gone when it has ended.
_WORK = "raising"
#: The first start of the program in a new container, and rows at a tenth of the slowest speed that was measured.
RAISE_SECONDS = 300
ROWS_PER_SECOND = 5000
#: What the migrator of 2.2.3 takes for a small database is 0.3 GiB; SQLite itself keeps the rows on the disk.
_MEMORY = 2 * 1024**3
_MOUNT_POINT = "/raise"
_POLL_SECONDS = 0.2
#: The two functions that `gpustack migrate` calls for SQLite before anything of PostgreSQL, in its order.
_SCRIPT = f"""
import asyncio
from gpustack.cmd import db_migration

url = "sqlite:///{_MOUNT_POINT}/{_snapshot.DATABASE}"


async def drop_view():
    engine = await db_migration.init_db_engine(url)
    await db_migration._drop_view(engine)
    await engine.dispose()


asyncio.run(drop_view())
db_migration._run_schema_upgrade(url, "{_releases.MIGRATION_HEAD}")
"""
#: The last line of a traceback; what follows in SQLAlchemy's messages are the statement and its values.
_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit): .*")
_CAUSE_LENGTH = 300
#: `timeout` ends with this when it ended the program.
_TIMED_OUT = 124


class RaiseError(Exception):
    """The migrator of the image cannot take this database; the message says why and what to do."""


class Raised(NamedTuple):
    """The copy at the schema of 0.7.1, where it came from, and the rows that the way there dropped, by table."""

    head_before: str
    facts: _snapshot.RecoveredFacts
    dropped: dict[str, int]


def database_to_compare(backup: str, manifest: Mapping[str, Any]) -> str:
    """The database of a backup to which PostgreSQL has to be equal after the migration."""
    old = _releases.is_raised(manifest["database"]["schema_head"])
    path = os.path.join(backup, RAISED if old else _snapshot.RECOVERED, _snapshot.DATABASE)
    if not os.path.exists(path):
        raise _snapshot.SnapshotError(
            f"{path} is not there; the copy in {_snapshot.RECOVERED} has the schema of an older release and cannot be "
            "compared. Use another backup, or the database file of that release brought to 0.7.1."
        )
    return path


def raise_to_migration_head(
    client: Any,
    image: str,
    directory: str,
    before: _snapshot.RecoveredFacts | Mapping[str, Any],
    labels: Mapping[str, str],
) -> Raised:
    """Bring a copy of ``<directory>/recovered/database.db`` to the schema of 0.7.1, as ``<directory>/raised/``.

    ``before`` are the facts of the recovered copy. Whatever an earlier try left is done again.
    """
    was = before._asdict() if isinstance(before, _snapshot.RecoveredFacts) else before
    _gpu_trial.remove_leftovers(client)
    work = os.path.join(directory, _WORK)
    _remove(work)
    _remove(os.path.join(directory, RAISED))
    _snapshot.make_backup_dir(work)
    try:
        source = os.path.join(directory, _snapshot.RECOVERED, _snapshot.DATABASE)
        shutil.copyfile(source, os.path.join(work, _snapshot.DATABASE))
        seconds = RAISE_SECONDS + sum(was["counts"].values()) // ROWS_PER_SECOND
        _run(client, image, work, seconds, was["schema_head"], labels)
        facts = _snapshot.recover(work, os.path.join(directory, RAISED))
    finally:
        _remove(work)
    _require_sound(image, facts)
    return Raised(was["schema_head"], facts, dropped_rows(was["counts"], facts.counts))


def dropped_rows(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """How many rows fewer each table has; tables that the older release did not have are new and have none."""
    return {table: rows - after.get(table, 0) for table, rows in sorted(before.items()) if after.get(table, 0) < rows}


def _require_sound(image: str, facts: _snapshot.RecoveredFacts) -> None:
    if facts.schema_head != _releases.MIGRATION_HEAD:
        raise RaiseError(
            f"The migrator of {image} brought the database to schema {facts.schema_head}, not to "
            f"{_releases.MIGRATION_HEAD} (0.7.1); choose a released image."
        )
    if facts.foreign_key_violations:
        raise RaiseError(
            f"At the schema of 0.7.1 {facts.foreign_key_violations} rows of the database point to rows that are not "
            "there, which PostgreSQL refuses. SQLite names them in PRAGMA foreign_key_check; delete them on the old "
            "server, then run again."
        )


def _run(client: Any, image: str, work: str, seconds: int, head: str, labels: Mapping[str, str]) -> None:
    with _container(client, image, work, seconds, labels) as container:
        container.start()
        status = _wait(container, seconds)
        if status == 0:
            return
        cause = _cause(container.logs(tail=200).decode("utf-8", "replace"))
    if status == _TIMED_OUT:
        cause = f"it did not end within {seconds} s"
    raise RaiseError(
        f"The migrator of {image} cannot bring the database from schema {head} to that of 0.7.1: {cause}. v2 would "
        "fail at the same; bring the server to 0.7.1 by upstream's guide, or mend the row that it names, then run "
        "again."
    )


@contextlib.contextmanager
def _container(client: Any, image: str, work: str, seconds: int, labels: Mapping[str, str]) -> Iterator[Any]:
    """Alone with the copy: no network, no ports, no variables of the server, nothing else of the host."""
    container = client.containers.create(
        image,
        entrypoint=["timeout", str(seconds), "python3", "-c", _SCRIPT],
        labels=dict(labels),
        network_mode="none",
        read_only=True,
        tmpfs={"/tmp": ""},
        volumes={work: {"bind": _MOUNT_POINT, "mode": "rw"}},
        # The backup's files have no label that a container may read where SELinux enforces.
        security_opt=["label=disable"],
        mem_limit=_MEMORY,
        healthcheck={"test": ["NONE"]},
    )
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def _wait(container: Any, seconds: int) -> int:
    """The exit status; the program bounds itself, and an engine that says nothing is not waited for for ever."""
    deadline = time.monotonic() + seconds + 60
    while time.monotonic() < deadline:
        container.reload()
        if container.status == "exited":
            return int(container.attrs["State"]["ExitCode"])
        time.sleep(_POLL_SECONDS)
    return _TIMED_OUT


def _cause(output: str) -> str:
    """The exception that ended the program, without the statement and the values that SQLAlchemy adds."""
    lines = [line.strip() for line in output.splitlines()]
    found = [line for line in lines if _EXCEPTION.match(line)]
    return (found[-1] if found else "it ended without a word")[:_CAUSE_LENGTH].rstrip(". ")


def _remove(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
