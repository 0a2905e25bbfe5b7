# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy SQLite database, read without writing a byte of it or beside it.

How a file is opened depends on who else has it open, because SQLite creates what it misses even under ``mode=ro``:

* A live server's database is read in place. In WAL mode that is ``mode=ro&readonly_shm=1``: the WAL's committed rows
  are seen, and not even the lock marks in ``-shm`` change, which plain ``mode=ro`` would write.
* A stopped one is copied, ``.db``, ``-wal`` and ``-journal``, to a private directory in memory (``/dev/shm``) that is
  gone afterwards; the copy is opened read-write, recovered and read. In place, SQLite would create an empty ``-wal``,
  could not roll a hot journal back, and would touch the inodes. Nothing reaches a disk, so check mode may do it too.
* A stopped one that is too big for the memory is read in place where that creates nothing.

``immutable`` is never used: it hides the WAL.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from typing import Any, Callable, Iterator
from urllib.parse import quote

try:
    import sqlite3
except ImportError:  # a Python built without it
    sqlite3 = None  # type: ignore[assignment]

from ansible_collections.fleetops.gpustack.plugins.module_utils import _fleet_records, _releases
from ansible_collections.fleetops.gpustack.plugins.module_utils._sqlite_findings import findings

#: Tables that `gpustack migrate` copies, in its order.
MIGRATED_TABLES = (
    "system_loads",
    "workers",
    "users",
    "api_keys",
    "model_files",
    "models",
    "model_instances",
    "modelinstancemodelfilelink",
    "model_usages",
)
#: Above this size the quick check has to do here; the snapshot is checked in full, whatever its size.
FULL_CHECK_LIMIT = 256 * 1024 * 1024
BUSY_TIMEOUT = 5.0
#: A reader of a WAL database disturbs nobody. With a rollback journal, it keeps the live server from committing, which
#: gives up after 5 s.
WAL_DEADLINE = 60.0
JOURNAL_DEADLINE = 3.0
#: Share of the memory file system that a private copy may take.
MEMORY_SHARE = 0.5
SCRATCH = "/dev/shm"
_HEADER = b"SQLite format 3\x00"
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_PROGRESS_STEPS = 100000


class DatabaseError(Exception):
    """The database could not be read; the message says why and what to do."""


def database(path: str, live: bool, scratch: str = SCRATCH) -> dict[str, Any]:
    """The evidence ``database`` of the file at ``path``; never fails.

    ``live`` says whether a server may have it open.
    """
    evidence = empty_evidence()
    try:
        evidence.update(file_facts(path, live))
        with opened(path, live, scratch) as connection:
            evidence.update(soundness(connection, evidence["size"]))
            evidence.update(contents(connection))
            evidence["readable"] = True
    except DatabaseError as error:
        evidence["error"] = str(error)
    except OSError as error:
        evidence["error"] = f"{path} cannot be read: {error.strerror or error}."
    except Exception as error:
        if not is_sqlite_error(error):
            raise
        evidence["error"] = sqlite_problem(path, error)
    return evidence


def sqlite_problem(path: str, error: Exception) -> str:
    """Cause and way out of an error of SQLite."""
    if str(error) == "interrupted":
        return f"{path} could not be read within the time that leaves the live server alone; stop the old server."
    if "locked" in str(error):
        return f"{path} stayed locked for {BUSY_TIMEOUT:g} s; try again when the old server is less busy."
    return f"{path} cannot be read: {error}; restore it from a backup, or repair it with the old release."


def is_sqlite_error(error: Exception) -> bool:
    """Whether SQLite itself complained."""
    return sqlite3 is not None and isinstance(error, sqlite3.Error)


def empty_evidence() -> dict[str, Any]:
    """Every key of the evidence, before anything was read."""
    return {
        "size": None,
        "wal_size": 0,
        "journal_size": 0,
        "hot_journal": False,
        "readable": False,
        "error": None,
        "schema_head": None,
        "release": None,
        "integrity": None,
        "integrity_check": None,
        "foreign_key_violations": None,
        "counts": {},
        "findings": [],
        "workers": [],
        "models": [],
        "model_instances": [],
    }


def file_facts(path: str, live: bool) -> dict[str, Any]:
    """Sizes, and whether an unclean stop left a rollback journal that the database needs."""
    return {
        "size": os.stat(path).st_size,
        "wal_size": size_of(path + "-wal"),
        "journal_size": size_of(path + "-journal"),
        "hot_journal": not live and has_hot_journal(path),
    }


def size_of(path: str) -> int:
    """The size of a file; 0 when it is not there."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def has_hot_journal(path: str) -> bool:
    """Whether ``-journal`` holds pages to roll back; a finished one is gone, empty, or has its header zeroed."""
    try:
        with open(path + "-journal", "rb") as journal:
            return journal.read(len(_JOURNAL_MAGIC)) == _JOURNAL_MAGIC
    except FileNotFoundError:
        return False


def is_wal(path: str) -> bool:
    """Whether the database is in WAL mode, by its header (bytes 18 and 19)."""
    with open(path, "rb") as database_file:
        header = database_file.read(20)
    if not header:
        return size_of(path + "-wal") > 0
    if not header.startswith(_HEADER):
        raise DatabaseError(f"{path} is not an SQLite database; restore it from a backup.")
    return header[18] == 2 or header[19] == 2


def in_place_options(path: str, live: bool) -> str | None:
    """How the file can be opened where it lies; None when only a copy will do."""
    if is_wal(path):
        both = os.path.exists(path + "-wal") and os.path.exists(path + "-shm")
        return "mode=ro&readonly_shm=1" if both else None
    return "mode=ro" if live or not os.path.exists(path + "-journal") else None


@contextlib.contextmanager
def opened(path: str, live: bool, scratch: str = SCRATCH) -> Iterator[Any]:
    """A connection inside one read transaction, with a deadline for all its statements."""
    if sqlite3 is None:
        raise DatabaseError("Python's sqlite3 module is missing; install it, or set ansible_python_interpreter.")
    deadline = WAL_DEADLINE if not live or is_wal(path) else JOURNAL_DEADLINE
    options = in_place_options(path, live)
    with contextlib.ExitStack() as stack:
        if must_be_copied(path, live, options, scratch):
            path, options = stack.enter_context(private_copy(path, scratch)), "mode=rw"
        yield stack.enter_context(transaction(path, str(options), deadline))


def must_be_copied(path: str, live: bool, options: str | None, scratch: str) -> bool:
    """Whether only a copy will do; refused where there is no room for one either."""
    if live and options:
        return False
    obstacle = obstacle_to_copy(path, scratch)
    if obstacle and not options:
        raise DatabaseError(obstacle)
    return obstacle is None


@contextlib.contextmanager
def transaction(path: str, options: str, deadline: float) -> Iterator[Any]:
    """One read transaction on the file, given up after ``deadline`` seconds."""
    uri = f"file:{quote(os.path.abspath(path))}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.set_progress_handler(past(deadline), _PROGRESS_STEPS)
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def past(deadline: float) -> Callable[[], bool]:
    """Tells SQLite to interrupt itself once ``deadline`` seconds have gone by."""
    end = time.monotonic() + deadline
    return lambda: time.monotonic() > end


@contextlib.contextmanager
def private_copy(path: str, scratch: str) -> Iterator[str]:
    """A copy of the database and of what belongs to it, for as long as the context lasts."""
    directory = tempfile.mkdtemp(prefix="fleetops-gpustack-", dir=scratch)
    try:
        for part in parts_of(path):
            shutil.copyfile(part, os.path.join(directory, os.path.basename(part)))
        yield os.path.join(directory, os.path.basename(path))
    finally:
        shutil.rmtree(directory)


def parts_of(path: str) -> list[str]:
    """The files that make up a database; ``-shm`` is rebuilt from the others."""
    return [part for part in (path, path + "-wal", path + "-journal") if os.path.exists(part)]


def obstacle_to_copy(path: str, scratch: str) -> str | None:
    """Why a copy in memory is not possible; None when it is."""
    if not os.path.isdir(scratch):
        return f"{path} is stopped, and there is no {scratch} to read a copy of it in; start the old server."
    needed = sum(os.stat(part).st_size for part in parts_of(path))
    available = min(shutil.disk_usage(scratch).free, available_memory())
    if needed > available * MEMORY_SHARE:
        return (
            f"{path} is stopped and must be read from a copy in memory: {needed} bytes, which is more than half of the"
            f" {available} free; start the old server, then it is read in place."
        )
    return None


def available_memory() -> int:
    """MemAvailable of the host in bytes."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        for line in meminfo:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def soundness(connection: Any, size: int) -> dict[str, Any]:
    """What SQLite itself says about the file, and which check said it."""
    check = "integrity_check" if size <= FULL_CHECK_LIMIT else "quick_check"
    return {"integrity_check": check, "integrity": integrity(connection, check)}


def contents(connection: Any) -> dict[str, Any]:
    """All evidence from inside the database."""
    tables = table_names(connection)
    migrated = [table for table in MIGRATED_TABLES if table in tables]
    head = schema_head(connection, tables)
    release = _releases.legacy_release(head) if head else None
    violations = foreign_key_violations(connection)
    return {
        "schema_head": head,
        "release": release,
        "foreign_key_violations": len(violations),
        "counts": {table: count(connection, table) for table in migrated},
        "findings": findings(connection, migrated, release, violations),
        "workers": records(connection, tables, "workers", _fleet_records.worker_record),
        "models": records(connection, tables, "models", _fleet_records.model_record),
        "model_instances": records(connection, tables, "model_instances", _fleet_records.model_instance_record),
    }


def table_names(connection: Any) -> set[str]:
    """The tables that exist."""
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def schema_head(connection: Any, tables: set[str]) -> str | None:
    """The Alembic revision; several, joined, when the table holds more than one."""
    if "alembic_version" not in tables:
        return None
    heads = sorted(row[0] for row in connection.execute("SELECT version_num FROM alembic_version"))
    return ",".join(heads) or None


def integrity(connection: Any, check: str) -> str:
    """``ok``, or what SQLite found, shortened."""
    rows = [row[0] for row in connection.execute(f"PRAGMA {check}(10)")]
    return "; ".join(rows)


def foreign_key_violations(connection: Any) -> list[tuple[str, str]]:
    """(table, referenced table) of every row that points to a row that is not there."""
    return [(row[0], row[2]) for row in connection.execute("PRAGMA foreign_key_check")]


def count(connection: Any, table: str) -> int:
    """Rows of a table."""
    return int(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])


def records(
    connection: Any, tables: set[str], table: str, convert: Callable[..., dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of a table in the form that both generations share."""
    if table not in tables:
        return []
    return [convert(dict(row)) for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY id')]
