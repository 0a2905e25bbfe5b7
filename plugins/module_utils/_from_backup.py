# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A data directory from a backup: verified, restored once in a scratch place, then put where it belongs.

Nothing that is there is overwritten: what is in the way is refused, or set aside under a dated name. A note in the
directory says which backup was restored, so that a server which has run on it since is not taken for another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _directory_users, _journal, _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._data_directory import v2_files
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import write_atomically
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock

NOTE = ".gpustack-restored.json"
REPLACED_PREFIX = ".gpustack-replaced-"
STEP = "from_backup"
_MIB = 1024 * 1024
_DATA_DIR_MODE = 0o755


class RestoreError(Exception):
    """The backup cannot be restored there; the message says why and what to do."""


class Found(NamedTuple):
    """The backup, where it goes, and what differs there."""

    backup: str
    manifest: dict[str, Any]
    data_dir: str
    restored_at: str | None
    in_the_way: list[str]
    differences: list[_snapshot.Difference]

    @property
    def changes(self) -> bool:
        """Whether anything has to be done."""
        return self.restored_at is None and bool(self.in_the_way or self.differences)


def run(params: Mapping[str, Any], check_mode: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Have the backup in the data directory. In check mode nothing is written, so nothing is restored for a try."""
    if check_mode:
        found = find(params)
        _refuse(found, params)
        return _result(found, None)
    with HostLock(params["state_dir"], params["run_id"]):
        found = find(params)
        _refuse(found, params)
        if not found.changes:
            return _result(found, None)
        report(f"restore {found.backup} once, then into {found.data_dir}")
        _rehearse(found)
        aside = _apply(found, params["run_id"])
        _end_attempt(params["state_dir"], found)
    return _result(found, aside)


def find(params: Mapping[str, Any]) -> Found:
    """What there is to do, by reading alone; the backup is held against its manifest."""
    backup = os.path.abspath(params["backup"])
    if not os.path.isdir(backup):
        raise RestoreError(f"{backup} is not there; name the directory of a backup, the one that holds manifest.json.")
    _snapshot.require_private(backup)
    manifest = _snapshot.verify_manifest(backup, may_lack=_snapshot.REPLACEABLE)
    data_dir = params["data_dir"] or manifest["data_dir"]
    restored_at = None if params["force"] else _restored_at(data_dir, backup, manifest)
    differences = _differences(data_dir, manifest)
    return Found(backup, manifest, data_dir, restored_at, _in_the_way(data_dir, manifest, differences), differences)


def _restored_at(data_dir: str, backup: str, manifest: Mapping[str, Any]) -> str | None:
    """When this very backup was restored there; None when it was not, or v2 has used the directory since."""
    try:
        with open(os.path.join(data_dir, NOTE), encoding="utf-8") as note:
            said = json.load(note)
    except (OSError, ValueError):
        return None
    if said.get("manifest") != _digest(backup) or _v2_names(data_dir, manifest) or _is_gone(data_dir, manifest):
        return None
    return str(said.get("restored"))


def _is_gone(data_dir: str, manifest: Mapping[str, Any]) -> bool:
    """Whether a file is missing that a server keeps; it drops WAL and journal when it ends."""
    names = {record.name for record in _snapshot.records_of(manifest) if not record.absent}
    kept = names - set(_snapshot.DATABASE_FILES[1:])
    return not all(os.path.lexists(os.path.join(data_dir, name)) for name in kept)


def _digest(backup: str) -> str:
    return _snapshot.hash_file(os.path.join(backup, _snapshot.MANIFEST))


def _differences(data_dir: str, manifest: dict[str, Any]) -> list[_snapshot.Difference]:
    if not os.path.lexists(data_dir):
        records = _snapshot.records_of(manifest)
        return [_snapshot.Difference(record.name, "absent") for record in records if not record.absent]
    if not os.path.isdir(data_dir):
        raise RestoreError(f"{data_dir} is not a directory; name the data directory (data_dir).")
    return _snapshot.compare_with(data_dir, manifest)


def _in_the_way(data_dir: str, manifest: Mapping[str, Any], differences: Iterable[_snapshot.Difference]) -> list[str]:
    """What another installation left there: its database, its identity, the files of a v2 release."""
    names = {difference.name for difference in differences if difference.what in ("content", "present")}
    names.update(_v2_names(data_dir, manifest))
    shared_memory = _snapshot.DATABASE + "-shm"
    if names & set(_snapshot.DATABASE_FILES) and os.path.lexists(os.path.join(data_dir, shared_memory)):
        names.add(shared_memory)
    return sorted(names)


def _v2_names(data_dir: str, manifest: Mapping[str, Any]) -> set[str]:
    """Entries that only v2 makes, but for those that the backup has, too."""
    saved = {record.name for record in _snapshot.records_of(manifest)}
    return {name.split(os.sep)[0] for name in v2_files(data_dir)} - saved


def _refuse(found: Found, params: Mapping[str, Any]) -> None:
    if not found.changes:
        return
    _refuse_unfinished(found, params)
    users = _directory_users.containers(DockerReader(params["docker_host"]), found.data_dir)
    if users:
        raise RestoreError(
            f"{found.data_dir} is used by the running container {', '.join(users)}; stop it (docker stop), then run "
            "again. Nothing was changed."
        )
    files = [*_snapshot.DATABASE_FILES, _snapshot.DATABASE + "-shm"]
    pids = _directory_users.processes(os.path.join(found.data_dir, name) for name in files)
    if pids:
        raise RestoreError(
            f"The database in {found.data_dir} is open in process {', '.join(map(str, pids))}; stop that, then run "
            "again. Nothing was changed."
        )
    if found.in_the_way and not params["force"]:
        raise RestoreError(
            f"{found.data_dir} holds something else than the backup: {', '.join(found.in_the_way)}. Name another "
            "data_dir, or have that set aside there under a dated name with force. Nothing was changed."
        )
    _require_room(found)


def _refuse_unfinished(found: Found, params: Mapping[str, Any]) -> None:
    newest = _newest(params["state_dir"], found.data_dir)
    if newest is not None and _journal.outcome_of(newest) == "unfinished" and not params["force"]:
        raise RestoreError(
            f"Attempt {newest[0]['attempt']} on {found.data_dir} is unfinished. Run playbooks/upgrade.yml again, or go "
            "back with fleetops.gpustack.node, state=legacy; where its files are lost, restore with force."
        )


def _newest(state_dir: str, data_dir: str) -> list[dict[str, Any]] | None:
    """The entries of the newest attempt, when it is about this directory."""
    entries = _journal.read_entries(state_dir)
    own = [entry for entry in entries if entry["attempt"] == _journal.newest_attempt(entries)]
    begin = _journal.last_detail(own, "begin", _journal.STARTED)
    return own if begin is not None and begin.get("data_dir") == data_dir else None


def _require_room(found: Found) -> None:
    sizes = [record.size or 0 for record in _snapshot.records_of(found.manifest) if not record.absent]
    for what, path in (("the try", os.path.dirname(found.backup)), ("the files", _existing(found.data_dir))):
        free = shutil.disk_usage(path).free
        if free < sum(sizes):
            raise RestoreError(
                f"{path} has {free // _MIB} MiB free, {what} need {sum(sizes) // _MIB + 1} MiB; free space there. "
                "Nothing was changed."
            )


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _rehearse(found: Found) -> None:
    """Restore a copy of the copies: what cannot be opened, checked and counted there is not put anywhere else."""
    said = found.manifest["database"]
    if said is None:  # a worker's backup has no database
        return
    with _scratch(os.path.dirname(found.backup)) as scratch:
        facts = _snapshot.recover(os.path.join(found.backup, _snapshot.DATA), scratch)
    wrong = [name for name in ("counts", "schema_head") if getattr(facts, name) != said[name]]
    if wrong:
        raise RestoreError(
            f"The database of {found.backup} opens, but its {' and '.join(wrong)} are not those of the manifest; use "
            "another backup. Nothing was changed."
        )


@contextlib.contextmanager
def _scratch(parent: str) -> Iterator[str]:
    path = tempfile.mkdtemp(prefix=".restore-", dir=parent)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _apply(found: Found, run_id: str) -> str | None:
    _make_data_dir(found)
    aside = None
    if found.in_the_way:
        aside = os.path.join(found.data_dir, REPLACED_PREFIX + run_id)
        _set_aside(found.data_dir, found.in_the_way, aside)
    _snapshot.restore_files(found.backup, found.data_dir, found.manifest)
    left = _snapshot.compare_with(found.data_dir, found.manifest)
    if left:
        names = ", ".join(sorted({difference.name for difference in left}))
        raise RestoreError(
            f"{names} in {found.data_dir} changed while the backup was restored: something writes there. Stop it, and "
            "run again."
        )
    now = _journal.iso_utc(time.time())
    write_atomically(os.path.join(found.data_dir, NOTE), {"manifest": _digest(found.backup), "restored": now})
    return aside


def _make_data_dir(found: Found) -> None:
    if os.path.isdir(found.data_dir):
        return
    os.makedirs(found.data_dir, mode=_DATA_DIR_MODE)
    was = found.manifest.get("directory")
    if was:
        _snapshot.restore_directory(found.data_dir, was)
    _journal.fsync_directory(os.path.dirname(os.path.abspath(found.data_dir)))


def _set_aside(data_dir: str, names: Iterable[str], aside: str) -> None:
    _snapshot.make_backup_dir(aside)
    for name in names:
        target = os.path.join(aside, name)
        if os.path.lexists(target):
            raise RestoreError(f"{target} is there already; run again with another run_id.")
        os.rename(os.path.join(data_dir, name), target)
    _journal.fsync_directory(aside)
    _journal.fsync_directory(data_dir)


def _end_attempt(state_dir: str, found: Found) -> None:
    """An attempt whose files were replaced is over: the host can be upgraded anew."""
    newest = _newest(state_dir, found.data_dir)
    if newest is not None:
        _journal.Journal(state_dir, newest[0]["attempt"]).record(STEP, _journal.DONE, {"backup": found.backup})


def _result(found: Found, aside: str | None) -> dict[str, Any]:
    database = found.manifest["database"] or {}
    names = sorted({difference.name for difference in found.differences} | set(found.in_the_way))
    result: dict[str, Any] = {
        "changed": found.changes,
        "backup": found.backup,
        "data_dir": found.data_dir,
        "restored": _put(found) if found.changes else [],
        "restored_at": found.restored_at,
        "aside": aside,
        "counts": database.get("counts"),
        "schema_head": database.get("schema_head"),
        "legacy_container": (found.manifest.get("legacy") or {}).get("name"),
    }
    if found.changes:
        result["diff"] = {"before": _before(found, names), "after": _after(found, names)}
    return result


def _put(found: Found) -> list[str]:
    present = {record.name for record in _snapshot.records_of(found.manifest) if not record.absent}
    return sorted(present & {difference.name for difference in found.differences})


def _before(found: Found, names: Iterable[str]) -> dict[str, str]:
    """What is there now, without a word on contents: the files hold secrets."""
    other = set(found.in_the_way)
    differing = {difference.name: difference.what for difference in found.differences}
    return {name: "something else" if name in other else differing[name] for name in names}


def _after(found: Found, names: Iterable[str]) -> dict[str, str]:
    records = {record.name: record for record in _snapshot.records_of(found.manifest) if not record.absent}
    texts = {}
    for name in names:
        record = records.get(name)
        texts[name] = (
            "absent" if record is None else f"{record.size} bytes, mode {record.mode}, {record.uid}:{record.gid}"
        )
    return texts
