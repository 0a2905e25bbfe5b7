# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a data directory: byte copies, proven by restoring them once.

The original database is never opened by SQLite while its server is stopped: a read-write connection would checkpoint
and delete the WAL when it closes, and ``immutable`` would not see it. Files are copied byte for byte and hashed; a copy
of the copy is opened, recovered, checked and counted. Only a live database is read by SQLite, through its backup API.

A backup directory holds ``data/`` (the copies), ``recovered/database.db`` (the one that was opened) and, written last,
``manifest.json``.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import secrets
import shutil
import stat
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence
from urllib.parse import quote

try:
    import sqlite3
except ImportError:  # a Python built without it
    sqlite3 = None  # type: ignore[assignment]

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _file_attributes,
    _private_directories,
    _sqlite_reader,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import fsync_directory

DATABASE = "database.db"
#: What belongs to the database: without these two a copy lacks committed rows, or holds uncommitted ones.
DATABASE_FILES = (DATABASE, DATABASE + "-wal", DATABASE + "-journal")
#: Files of a legacy data directory that a v2 release may change, or that nothing can make again.
IDENTITY_FILES = ("token", "jwt_secret_key", "initial_admin_password", "worker_name", "worker_uuid")
LEGACY_FILES = DATABASE_FILES + IDENTITY_FILES

#: Differences of a file that are more than its mode, owner or attributes.
BYTES = ("content", "absent", "present")

DATA = "data"
RECOVERED = "recovered"
MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
#: What the engine said of the legacy container.
DEFINITION = "container.json"
#: What a backup is whole without: it can be made again from the copies.
REPLACEABLE = (os.path.join(RECOVERED, DATABASE),)

_BLOCK = 1024 * 1024
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_BUSY_TIMEOUT = 30.0


class SnapshotError(Exception):
    """The backup is not good; the message names the file, the cause and the way out."""


class FileRecord(NamedTuple):
    """One file of the data directory at the time of the copy."""

    name: str
    absent: bool
    size: int | None = None
    sha256: str | None = None
    mode: str | None = None
    uid: int | None = None
    gid: int | None = None
    #: ACL and SELinux label; None in manifests of versions that did not record them.
    attributes: dict[str, str] | None = None


class RecoveredFacts(NamedTuple):
    """What the recovered copy of a database holds."""

    integrity: str
    foreign_key_violations: int
    schema_head: str | None
    counts: dict[str, int]
    size: int


class Difference(NamedTuple):
    """A legacy file that is no longer what the manifest says.

    In content, mode, owner or attributes, or it is absent or present.
    """

    name: str
    what: str


# Backup directories


def make_backup_dir(path: str) -> None:
    """Create a directory of a backup as 0700, with the parents that are missing, or take one that is ours alone."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        make_backup_dir(parent)
    try:
        with contextlib.suppress(FileExistsError):  # whose it is, is asked next
            os.mkdir(path, _DIRECTORY_MODE)
        require_private(path)
        os.chmod(path, _DIRECTORY_MODE)
        fsync_directory(parent)
    except OSError as error:
        raise SnapshotError(
            f"{path} cannot be made: {error.strerror or error}; check space and rights there, or choose another "
            "directory (gpustack_backup_dir)."
        ) from error


def require_private(path: str) -> None:
    """Refuse a directory that somebody else could have laid out, or could write into."""
    objection = _private_directories.objection(_private_directories.facts(path), os.geteuid())
    if objection:
        raise SnapshotError(f"{objection.cause}; {objection.way_out}.")


# Byte copies


def copy_stopped(data_dir: str, target_dir: str, files: Iterable[str] = LEGACY_FILES) -> list[FileRecord]:
    """Copy files of a data directory that nobody writes to any more; a file that changes meanwhile is an error."""
    make_backup_dir(target_dir)
    records = [_copy_one(data_dir, target_dir, name) for name in files]
    fsync_directory(target_dir)
    for record in records:
        _require_unchanged(data_dir, record)
    return records


def _copy_one(data_dir: str, target_dir: str, name: str) -> FileRecord:
    source = os.path.join(data_dir, name)
    target = os.path.join(target_dir, name)
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        _remove_if_there(target)
        return FileRecord(name, absent=True)
    except OSError as error:
        raise _unreadable(source, error) from error
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise SnapshotError(f"{source} is not a regular file; only regular files can be saved.")
        digest = hashlib.sha256()
        size = _write_atomically(target, _hashed_blocks(stream, digest))
        attributes = _file_attributes.read(stream.fileno())
    mode = octal(facts.st_mode)
    record = FileRecord(name, False, size, digest.hexdigest(), mode, facts.st_uid, facts.st_gid, attributes)
    if hash_file(target) != record.sha256:
        raise SnapshotError(f"{target} does not hold what was written into it; check the file system of the backup.")
    return record


def _require_unchanged(data_dir: str, record: FileRecord) -> None:
    """The second reading, after everything was copied: the whole set must be of one moment."""
    now = record_of(data_dir, record.name)
    if (now.absent, now.sha256) != (record.absent, record.sha256):
        path = os.path.join(data_dir, record.name)
        raise SnapshotError(
            f"{path} changed while it was being copied; stop everything that uses {data_dir} and try again."
        )


def record_of(data_dir: str, name: str) -> FileRecord:
    """What a file of the data directory is now."""
    path = os.path.join(data_dir, name)
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return FileRecord(name, absent=True)
    if not stat.S_ISREG(facts.st_mode):
        raise SnapshotError(f"{path} is not a regular file; put the file itself there.")
    attributes = _file_attributes.read(path)
    mode = octal(facts.st_mode)
    return FileRecord(name, False, facts.st_size, hash_file(path), mode, facts.st_uid, facts.st_gid, attributes)


def hash_file(path: str) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise _unreadable(path, error) from error
    with os.fdopen(descriptor, "rb") as stream:
        for _block in _hashed_blocks(stream, digest):
            pass
    return digest.hexdigest()


def octal(mode: int) -> str:
    """The permission bits as text: 0644."""
    return f"{stat.S_IMODE(mode):04o}"


def _hashed_blocks(stream: Any, digest: Any) -> Iterator[bytes]:
    while True:
        block = stream.read(_BLOCK)
        if not block:
            return
        digest.update(block)
        yield block


def _unreadable(path: str, error: OSError) -> SnapshotError:
    return SnapshotError(f"{path} cannot be read: {error.strerror or error}; check its type and mode.")


def _write_atomically(
    target: str,
    blocks: Iterable[bytes],
    mode: int = _FILE_MODE,
    owner: tuple[int, int] | None = None,
    attributes: Mapping[str, str] | None = None,
) -> int:
    """Write beside the target, make it durable, then take the target's name; returns the size."""
    temporary = f"{target}.{secrets.token_hex(8)}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
        with os.fdopen(descriptor, "wb") as stream:
            size = sum(stream.write(block) for block in blocks)
            stream.flush()
            if owner is not None:
                os.fchown(stream.fileno(), owner[0], owner[1])
            os.fchmod(stream.fileno(), mode)
            _restore_attributes(target, attributes or {}, stream.fileno())
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        _remove_if_there(temporary)
        raise SnapshotError(
            f"{target} cannot be written: {error.strerror or error}; check space and rights there."
        ) from error
    except BaseException:
        _remove_if_there(temporary)
        raise
    fsync_directory(os.path.dirname(target))
    return size


def _remove_if_there(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


# The database


def hot_journal(path: str) -> bool:
    """Whether an unclean stop left a rollback journal that the database needs.

    It belongs to the copy. `gpustack migrate` ignores it, so an upgrade from such an original has to be refused.
    """
    return _sqlite_reader.has_hot_journal(path)


def recover(copy_dir: str, recovered_dir: str, original: str | None = None) -> RecoveredFacts:
    """Restore the byte copies into another directory, open them there, and say what they hold.

    ``original`` is the database that was copied just now: what is wrong with the copy is wrong with that one.
    """
    source = os.path.join(copy_dir, DATABASE)
    if not os.path.exists(source):
        raise SnapshotError(f"{source} is not in the backup; there is no database to prove.")
    make_backup_dir(recovered_dir)
    for name in (*DATABASE_FILES, DATABASE + "-shm"):
        _remove_if_there(os.path.join(recovered_dir, name))
    for name in DATABASE_FILES:
        if os.path.exists(os.path.join(copy_dir, name)):
            _copy_one(copy_dir, recovered_dir, name)
    database = os.path.join(recovered_dir, DATABASE)
    with _errors_of(database, original), contextlib.closing(_connect(database, "rw")) as connection:
        _recover_in_place(connection)
        facts = _facts(connection, database)
    _require_sound(database, original, facts)
    return facts


def backup_live(database: str, target: str) -> FileRecord:
    """Copy a database that a server uses, through SQLite's backup API in one read transaction.

    The copy needs no WAL. The record has the bytes of the copy, and mode and owner of the original.
    """
    _require_in_use(database)
    make_backup_dir(os.path.dirname(target))
    temporary = target + ".new"
    for leftover in (temporary, temporary + "-wal", temporary + "-shm", temporary + "-journal"):
        _remove_if_there(leftover)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE))
    with contextlib.ExitStack() as stack:
        stack.enter_context(_errors_of(temporary, database))
        source = stack.enter_context(contextlib.closing(_connect(database, "ro")))
        copy = stack.enter_context(contextlib.closing(_connect(temporary, "rw")))
        source.backup(copy)
        _recover_in_place(copy)
    with open(temporary, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(temporary, target)
    fsync_directory(os.path.dirname(target))
    original, copied = os.stat(database), os.stat(target)
    return FileRecord(
        os.path.basename(database),
        False,
        copied.st_size,
        hash_file(target),
        octal(original.st_mode),
        original.st_uid,
        original.st_gid,
        _file_attributes.read(database),
    )


def _require_in_use(database: str) -> None:
    """SQLite would create the ``-shm`` of a WAL database that nobody has open: reading must not write."""
    if not os.path.exists(database):
        raise SnapshotError(f"{database} is not there; name the data directory of a GPUStack 0.x server.")
    try:
        wal = _sqlite_reader.is_wal(database)
    except _sqlite_reader.DatabaseError as error:
        raise SnapshotError(str(error)) from error
    if wal and not (os.path.exists(database + "-wal") and os.path.exists(database + "-shm")):
        raise SnapshotError(f"No server has {database} open; save it as that of a stopped server.")


def _connect(database: str, mode: str) -> Any:
    if sqlite3 is None:
        raise SnapshotError("Python's sqlite3 module is missing; install it, or set ansible_python_interpreter.")
    uri = f"file:{quote(os.path.abspath(database))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)


@contextlib.contextmanager
def _errors_of(copy: str, original: str | None) -> Iterator[None]:
    """SQLite's complaints as errors that name the file and the way out."""
    try:
        yield
    except Exception as error:
        if not _sqlite_reader.is_sqlite_error(error):
            raise
        raise SnapshotError(_complaint(copy, original, str(error))) from error


def _complaint(copy: str, original: str | None, said: str) -> str:
    if "malformed" in said or "not a database" in said:
        return _damaged(copy, original, said)
    if "full" in said:
        return f"{copy} cannot be written: {said}; make room there, or choose another gpustack_backup_dir."
    if "locked" in said:
        return (
            f"{original or copy} stayed locked for {_BUSY_TIMEOUT:g} s; see what has it open (fuser names it), then "
            "try again."
        )
    made = f" from {original}" if original else ""
    return f"{copy} could not be made{made}: {said}; check the disk, space and rights there."


def _damaged(copy: str, original: str | None, how: str) -> str:
    if original is None:
        return f"{copy} is damaged ({how}); use another backup."
    return (
        f"{original} is damaged, as its copy {copy} shows ({how}). Stop the old server, write what can be read into a "
        "new file (sqlite3 database.db .recover | sqlite3 new.db) and put that in its place, or restore an older "
        "backup (playbooks/restore.yml); then run again."
    )


def _recover_in_place(connection: Any) -> None:
    """Bring everything into one file: the first read plays back a rollback journal, the checkpoint takes in a WAL."""
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy or connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0] != "delete":
        raise SnapshotError(
            "The WAL of the copy could not be checkpointed: something else has the copy open. Stop that (fuser names "
            "it), then run again."
        )


def _facts(connection: Any, database: str) -> RecoveredFacts:
    tables = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    heads: list[str] = []
    if "alembic_version" in tables:
        heads = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version ORDER BY version_num")]
    return RecoveredFacts(
        integrity="; ".join(row[0] for row in connection.execute("PRAGMA integrity_check(10)")),
        foreign_key_violations=len(connection.execute("PRAGMA foreign_key_check").fetchall()),
        schema_head=",".join(heads) or None,
        counts={
            table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
            for table in tables
            if table != "alembic_version"
        },
        size=os.stat(database).st_size,
    )


def _require_sound(copy: str, original: str | None, facts: RecoveredFacts) -> None:
    if facts.integrity != "ok":
        raise SnapshotError(_damaged(copy, original, facts.integrity))
    if facts.schema_head is None:
        raise SnapshotError(
            f"{original or copy} holds no GPUStack schema. A copy without its -wal file looks like this; copy "
            "database.db and database.db-wal together."
        )


# A whole backup


def begin(backup_dir: str) -> None:
    """Make the directory of a backup that counts for nothing until its manifest is written."""
    make_backup_dir(backup_dir)
    _remove_if_there(os.path.join(backup_dir, MANIFEST))


def save(data_dir: str, backup_dir: str, running: bool, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Save database and identity files of a server's data directory, restore the copy once, and write the manifest."""
    begin(backup_dir)
    copies = os.path.join(backup_dir, DATA)
    if running:
        files = copy_stopped(data_dir, copies, IDENTITY_FILES)
        for name in DATABASE_FILES:
            _remove_if_there(os.path.join(copies, name))
        files.append(backup_live(os.path.join(data_dir, DATABASE), os.path.join(copies, DATABASE)))
        files += [FileRecord(name, absent=True) for name in DATABASE_FILES if name != DATABASE]
    else:
        files = copy_stopped(data_dir, copies)
    facts = recover(copies, os.path.join(backup_dir, RECOVERED), original=os.path.join(data_dir, DATABASE))
    return write_manifest(backup_dir, files, facts, dict(extra or {}, data_dir=data_dir, running=running))


# The manifest


def write_manifest(
    backup_dir: str, files: Sequence[FileRecord], facts: RecoveredFacts | None, extra: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write what the backup holds; this is the last step, and makes it count.

    Recovered and other files of the backup (``container.json``) are hashed too. ``extra`` is merged in (legacy
    container, data directory, attempt).
    """
    if facts is not None:
        _require_complete(files)
    manifest: dict[str, Any] = dict(extra or {})
    if os.path.isdir(manifest.get("data_dir", "")):
        manifest["directory"] = _directory_facts(manifest["data_dir"])
    manifest.update(
        format=MANIFEST_FORMAT,
        created=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        files=[record._asdict() for record in files],
        artefacts=_artefacts(backup_dir),
        database=facts._asdict() if facts is not None else None,
    )
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    _write_atomically(os.path.join(backup_dir, MANIFEST), [text.encode("utf-8")])
    return manifest


def _directory_facts(data_dir: str) -> dict[str, Any]:
    facts = os.stat(data_dir)
    attributes = _file_attributes.read(os.path.realpath(data_dir))
    return {"mode": octal(facts.st_mode), "uid": facts.st_uid, "gid": facts.st_gid, "attributes": attributes}


def _require_complete(files: Sequence[FileRecord]) -> None:
    """Every file that belongs to a database was looked for: present or absent, it must be on record."""
    missing = set(DATABASE_FILES) - {record.name for record in files}
    if missing:
        raise SnapshotError(
            "The backup says nothing about {}; without it committed rows can be missing. Copy all of {}.".format(
                ", ".join(sorted(missing)), ", ".join(DATABASE_FILES)
            )
        )


def read_manifest(backup_dir: str) -> dict[str, Any]:
    """The manifest of a backup; a backup without one was not finished."""
    path = os.path.join(backup_dir, MANIFEST)
    try:
        with open(path, encoding="utf-8") as stream:
            manifest = json.load(stream)
    except FileNotFoundError:
        raise SnapshotError(f"{backup_dir} has no manifest: it was not finished; make a new backup.") from None
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}; use another backup.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != MANIFEST_FORMAT:
        raise SnapshotError(f"{path} is not a manifest of this collection; use another backup.")
    return manifest


def verify_manifest(backup_dir: str, may_lack: Sequence[str] = ()) -> dict[str, Any]:
    """Read the manifest and hold every file of the backup against it; those of ``may_lack`` only where they are."""
    manifest = read_manifest(backup_dir)
    for name, sha256 in sorted(contents_of(manifest).items()):
        path = os.path.join(backup_dir, name)
        if not os.path.exists(path):
            if name in may_lack:
                continue
            raise SnapshotError(f"{path} is missing from the backup; use another backup.")
        if hash_file(path) != sha256:
            raise SnapshotError(f"{path} is not what the manifest says; use another backup.")
    return manifest


def contents_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Every file that the manifest vouches for, by its path in the backup, with its SHA-256."""
    copies = {
        os.path.join(DATA, record.name): str(record.sha256) for record in records_of(manifest) if not record.absent
    }
    return {**copies, **manifest["artefacts"]}


def records_of(manifest: Mapping[str, Any]) -> list[FileRecord]:
    """The file records of a manifest; what a later release notes besides is passed over."""
    return [
        FileRecord(**{key: value for key, value in record.items() if key in FileRecord._fields})
        for record in manifest["files"]
    ]


def _artefacts(backup_dir: str) -> dict[str, str]:
    """Hashes of everything in the backup besides the byte copies and the manifest."""
    found = {}
    for directory, _names, files in os.walk(backup_dir):
        for name in files:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, backup_dir)
            if relative != MANIFEST and not relative.startswith(DATA + os.sep):
                found[relative] = hash_file(path)
    return found


# Against the data directory, and back


def compare_with(data_dir: str, manifest: dict[str, Any]) -> list[Difference]:
    """The legacy files that are no longer what they were; an empty list means identical bytes and rights."""
    differences: list[Difference] = []
    for record in records_of(manifest):
        differences += _differences(record, record_of(data_dir, record.name))
    return differences


def _differences(was: FileRecord, now: FileRecord) -> list[Difference]:
    if was.absent or now.absent:
        if was.absent == now.absent:
            return []
        return [Difference(was.name, "absent" if now.absent else "present")]
    found = []
    if was.sha256 != now.sha256:
        found.append(Difference(was.name, "content"))
    if was.mode != now.mode:
        found.append(Difference(was.name, "mode"))
    if (was.uid, was.gid) != (now.uid, now.gid):
        found.append(Difference(was.name, "owner"))
    if was.attributes is not None and was.attributes != now.attributes:
        found.append(Difference(was.name, "attributes"))
    return found


def restore_files(
    backup_dir: str,
    data_dir: str,
    manifest: dict[str, Any],
    which: Iterable[str] | None = None,
    aside: str | None = None,
) -> list[str]:
    """Put legacy files back where they differ, with bytes, mode, owner, ACL and label; returns the names of those.

    A file that was absent and is there now is moved into ``aside``, never deleted. ``which`` limits the names.
    """
    names = None if which is None else set(which)
    restored = []
    for record in records_of(manifest):
        if names is not None and record.name not in names:
            continue
        differences = _differences(record, record_of(data_dir, record.name))
        if differences:
            _restore_one(backup_dir, data_dir, record, [difference.what for difference in differences], aside)
            restored.append(record.name)
    return restored


def _restore_one(backup_dir: str, data_dir: str, record: FileRecord, what: Sequence[str], aside: str | None) -> None:
    target = os.path.join(data_dir, record.name)
    if record.absent:
        _set_aside(target, aside)
        return
    if record.mode is None or record.uid is None or record.gid is None:
        raise SnapshotError(f"The manifest does not say mode and owner of {record.name}; use another backup.")
    if "content" in what or "absent" in what:
        source = os.path.join(backup_dir, DATA, record.name)
        if hash_file(source) != record.sha256:
            raise SnapshotError(f"{source} is not what the manifest says; use another backup.")
        with open(source, "rb") as stream:
            _write_atomically(
                target,
                iter(lambda: stream.read(_BLOCK), b""),
                mode=int(record.mode, 8),
                owner=(record.uid, record.gid),
                attributes=record.attributes,
            )
        return
    os.chown(target, record.uid, record.gid, follow_symlinks=False)
    os.chmod(target, int(record.mode, 8))
    if record.attributes is not None:
        _restore_attributes(target, record.attributes)


def restore_directory(path: str, was: Mapping[str, Any]) -> None:
    """Give a data directory that was made anew owner, mode, ACL and label of the one that was saved."""
    os.chown(path, was["uid"], was["gid"])
    os.chmod(path, int(was["mode"], 8))
    if was.get("attributes") is not None:
        _restore_attributes(path, was["attributes"])


def _restore_attributes(path: str, attributes: Mapping[str, str], descriptor: int | None = None) -> None:
    """Of a file that is still being written, by its descriptor."""
    try:
        _file_attributes.restore(path if descriptor is None else descriptor, attributes)
    except OSError as error:
        raise SnapshotError(
            f"{path} cannot get its ACL or SELinux label back: {error.strerror or error}; the manifest has them "
            "(base64): set them by hand (setfacl, chcon), or allow this process to, and run again."
        ) from error


def _set_aside(path: str, aside: str | None) -> None:
    if aside is None:
        raise SnapshotError(f"{path} was not there when the backup was made; move it out of the way, then try again.")
    make_backup_dir(aside)
    shutil.move(path, os.path.join(aside, os.path.basename(path)))
    fsync_directory(os.path.dirname(path))
