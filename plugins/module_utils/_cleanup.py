# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an upgrade left behind, removed for good: old containers, v2's set-aside files, what was brought to the host.

The only place that deletes. It looks at every gate first, removes only what the journal, our label, our names or our
manifest prove to be ours, and never a volume, the legacy files in the data directory, or the newest backups. What is to
go is found by looking, so an interrupted cleanup is simply continued.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _endpoints,
    _external_database,
    _gates,
    _legacy_container,
    _prepared,
    _releases,
    _server_database,
    _snapshot,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    SET_ASIDE_PREFIX,
    Attempt,
    SwitchError,
    Work,
    describe,
    from_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._carry_out import carry_out, facts_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import ATTEMPT_LABEL, LEGACY, RETIRED_NAME
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, label_of, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import (
    CLEANED,
    DONE,
    newest_entries,
    outcome_of,
    read_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock

#: What `prepare` brings to a host, beside its note: archives of the image and of wheels.
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst")
#: What a way back or a mending calls the directories that it makes.
_SET_ASIDE = re.compile(re.escape(SET_ASIDE_PREFIX) + r"\d{8}T\d{6}Z(?:-\d+)?")


@dataclasses.dataclass(frozen=True)
class Leftovers:
    """What there is to remove. Containers by id, with their names; everything else by path."""

    containers: dict[str, str]
    files: list[str]
    state: list[str]
    backups: list[str]
    databases: list[str] = dataclasses.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.containers or self.files or self.state or self.backups or self.databases)


def run(params: Mapping[str, Any], check_mode: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """`state=cleaned`. Check mode looks at every gate, too, and removes nothing."""
    if params["backup_keep"] < 1:
        raise SwitchError(
            "gpustack_backup_keep is below 1, but after a cleanup the backup is the only way back; keep 1."
        )
    if check_mode:
        return _found(params)[0]
    with HostLock(params["state_dir"], params["run_id"]) as lock:
        result, attempt, leftovers = _found(params)
        if not result["changed"]:
            return result
        report(f"attempt {attempt.name}: clean up")
        return {**result, **carry_out(params, attempt, lock, lambda work: _clean(work, leftovers))}


def libraries(params: Mapping[str, Any]) -> list[str]:
    """What the gates have to import; a host that was never upgraded is refused without."""
    attempts = _attempts(params["state_dir"])
    return attempts[-1].libraries if attempts else []


def _found(params: Mapping[str, Any]) -> tuple[dict[str, Any], Attempt, Leftovers]:
    attempts = _attempts(params["state_dir"])
    outcome = outcome_of(newest_entries(params["state_dir"]))
    _require_settled(attempts, outcome)
    attempt = attempts[-1]
    reader = DockerReader(params["docker_host"])
    _require_serving(reader, attempt)
    leftovers = Leftovers(
        _old_containers(reader, attempts, attempt, _journaled(params["state_dir"])),
        _set_aside_files(attempts),
        _brought_files(params["state_dir"]),
        _old_backups(params["backup_dir"], attempt.backup, params["backup_keep"]),
        _set_aside_databases(reader, attempts, attempt),
    )
    result: dict[str, Any] = {
        "changed": bool(leftovers) or outcome != CLEANED,
        "outcome": outcome,
        "warnings": [],
        "removed": _listed(leftovers),
        **facts_of(attempt),
    }
    if result["changed"]:
        result["diff"] = {"before": _listed(leftovers), "after": _listed(Leftovers({}, [], [], []))}
    return result, attempt, leftovers


def _listed(leftovers: Leftovers) -> dict[str, list[str]]:
    return {**dataclasses.asdict(leftovers), "containers": sorted(leftovers.containers.values())}


# Gates


def _attempts(state_dir: str) -> list[Attempt]:
    """Every attempt of this host, the newest last."""
    newest = newest_entries(state_dir)
    if not newest:
        return []
    older: dict[str, list[dict[str, Any]]] = {}
    for entry in read_entries(state_dir):
        if entry["attempt"] != newest[0]["attempt"]:
            older.setdefault(entry["attempt"], []).append(entry)
    attempts = []
    for entries in older.values():
        with contextlib.suppress(SwitchError, KeyError):  # of an attempt of another version nothing can be said
            attempts.append(from_entries(entries))
    return [*attempts, from_entries(newest)]


def _require_settled(attempts: list[Attempt], outcome: str) -> None:
    if not attempts or outcome in ("none", "restored"):
        raise SwitchError(
            "This host was not upgraded by fleetops.gpustack, or was taken back: what is here is in use or needed. "
            "Upgrade it first (playbooks/upgrade.yml); nothing was removed."
        )
    attempt = attempts[-1]
    if outcome == "upgraded" and attempt.serves:
        raise SwitchError(
            f"Attempt {attempt.name} is not finalized: the roll-out variables are still set. Run playbooks/upgrade.yml "
            "without gpustack_finalize=false first; nothing was removed."
        )
    if outcome not in ("upgraded", "finalized", CLEANED):
        raise SwitchError(
            f"Attempt {attempt.name} is not finished (its outcome is {outcome}). Run playbooks/upgrade.yml again, or "
            "go back with playbooks/rollback.yml; nothing was removed."
        )


def _require_serving(reader: DockerReader, attempt: Attempt) -> None:
    """The new container is the attempt's, runs and answers, and its database has the release's schema."""
    record = reader.inspect(attempt.container_name)
    if record is None or label_of(record, ATTEMPT_LABEL) != attempt.name:
        raise SwitchError(
            f"Container {attempt.container_name} is not the one that attempt {attempt.name} made; nothing was removed. "
            "Put that one back under its name first."
        )
    if not is_running(record):
        raise SwitchError(
            f"Container {attempt.container_name} does not run; nothing was removed. Start it, or see why it stopped "
            f"(docker logs {attempt.container_name})."
        )
    release = _releases.find(attempt.release, allow_unproven=True)
    endpoints = _endpoints.v2_endpoints(record, describe(record).settings, release, attempt.role)
    answers = {endpoint: _gates.answer_of(endpoint) for endpoint in endpoints}
    silent = [f"{endpoint}: {answer}" for endpoint, answer in answers.items() if answer is not None]
    if silent:
        raise SwitchError(
            f"Container {attempt.container_name} is not ready; nothing was removed. {'; '.join(silent)}. See docker "
            f"logs {attempt.container_name}."
        )
    if attempt.serves:
        _require_schema(record, attempt, release)


def _require_schema(record: Mapping[str, Any], attempt: Attempt, release: _releases.Release) -> None:
    with contextlib.closing(_server_database.connect(record, attempt.data_dir)) as connection:
        found = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
    if release.schema_head and found != [release.schema_head]:
        raise SwitchError(
            f"The schema head is {', '.join(found) or 'missing'}, but release {attempt.release} has "
            f"{release.schema_head}; nothing was removed. See docker logs {attempt.container_name}."
        )


# What is left


class _Journaled(NamedTuple):
    """What the journal calls ours, beside the attempts that this version understands."""

    #: Every attempt, also of other versions of this collection.
    attempts: set[str]
    #: What mendings have called the wrecks that they set aside: these bear no label of ours.
    mended: set[str]


def _journaled(state_dir: str) -> _Journaled:
    entries = read_entries(state_dir)
    done = [entry["detail"] for entry in entries if (entry["step"], entry["state"]) == ("mend", DONE)]
    mended = {name for detail in done for name in (detail.get("containers") or {}).values() if name}
    return _Journaled({str(entry["attempt"]) for entry in entries}, mended)


def _old_containers(
    reader: DockerReader, attempts: Iterable[Attempt], current: Attempt, journaled: _Journaled
) -> dict[str, str]:
    """What was set aside: retired legacy containers of these attempts, mended wrecks, and what carries their label.

    A container with another attempt's label belongs to another installation of the same machine.
    """
    legacy = {attempt.legacy_id for attempt in attempts}
    found = {}
    for record in reader.inspect_all(container["Id"] for container in reader.containers()):
        name = name_of(record)
        if not RETIRED_NAME.search(name):
            continue
        labelled = label_of(record, ATTEMPT_LABEL) in journaled.attempts
        if record["Id"] in legacy or labelled or name in journaled.mended or _is_legacy(record, attempts):
            _refuse_running(record, current)
            found[record["Id"]] = name
    return found


def _is_legacy(record: Mapping[str, Any], attempts: Iterable[Attempt]) -> bool:
    """A retired legacy container that was made anew has another id."""
    retired = {attempt.retired_name for attempt in attempts}
    return name_of(record) in retired and bool(describe(record).facts["generation"] == LEGACY)


def _refuse_running(record: Mapping[str, Any], current: Attempt) -> None:
    if is_running(record):
        raise SwitchError(
            f"Container {name_of(record)} was set aside, but somebody started it, beside {current.container_name}; "
            f"nothing was removed. Stop it first: docker stop {name_of(record)}"
        )


def _set_aside_files(attempts: Iterable[Attempt]) -> list[str]:
    found = []
    for data_dir in dict.fromkeys(attempt.data_dir for attempt in attempts):
        with contextlib.suppress(FileNotFoundError):
            names = (name for name in os.listdir(data_dir) if _SET_ASIDE.fullmatch(name))
            found += [os.path.join(data_dir, name) for name in names]
    return sorted(path for path in found if _is_directory(path))


def _set_aside_databases(reader: DockerReader, attempts: Iterable[Attempt], current: Attempt) -> list[str]:
    """The databases beside an external one that ways back took the name from."""
    record = reader.inspect(current.container_name) if current.leaves_directory else None
    if record is None:
        return []
    names = [attempt.name for attempt in attempts if attempt.leaves_directory]
    return _external_database.set_aside(_external_database.url_of(record), names)


def _brought_files(state_dir: str) -> list[str]:
    names = [name for name in os.listdir(state_dir) if name.endswith(ARCHIVES) or name == _prepared.NOTE]
    paths = (os.path.join(state_dir, name) for name in sorted(names))
    return [path for path in paths if os.path.isfile(path) and not os.path.islink(path)]


def _old_backups(backup_dir: str, own: str, keep: int) -> list[str]:
    """Finished backups of this collection but for the newest ones, and never that of the upgrade."""
    finished = []
    for name in os.listdir(backup_dir) if os.path.isdir(backup_dir) else []:
        path = os.path.join(backup_dir, name)
        created = _created(path)
        if created is not None:
            finished.append((created, path))
    newest = [path for _created_at, path in sorted(finished, reverse=True)]
    return sorted(path for path in newest[keep:] if path != own)


def _created(path: str) -> str | None:
    """When a backup of ours was made; None for a directory that is not provably one."""
    if not _is_directory(path):
        return None
    try:
        _snapshot.require_private(path)
        return str(_snapshot.read_manifest(path)["created"])
    except (_snapshot.SnapshotError, KeyError):
        return None


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


# The work


def _clean(work: Work, leftovers: Leftovers) -> dict[str, Any]:
    with work.journal.step("cleanup_begin", _listed(leftovers)):
        pass
    with work.journal.step("cleanup_containers"):
        for container in leftovers.containers:
            work.engine.remove(container)
            _forget_note(work.params["state_dir"], container)
    with work.journal.step("cleanup_files"):
        _remove_all(leftovers.files)
        _drop(work, leftovers.databases)
    with work.journal.step("cleanup_state"):
        _remove_all(leftovers.state)
    with work.journal.step("cleanup_backups"):
        _remove_all(leftovers.backups)
    with work.journal.step("cleanup_done"):
        pass
    return {"outcome": CLEANED}


def _forget_note(state_dir: str, container: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_legacy_container.note_path(state_dir, container))


def _drop(work: Work, databases: list[str]) -> None:
    record = work.engine.inspect(work.attempt.container_name) if databases else None
    if record is not None:
        _external_database.drop(_external_database.url_of(record), *databases)


def _remove_all(paths: list[str]) -> None:
    for path in paths:
        _remove(path)


def _remove(path: str) -> None:
    """A backup keeps its manifest to the end, by which the next run knows it for ours; its hashes fail meanwhile."""
    if not _is_directory(path):
        os.unlink(path)
        return
    for name in os.listdir(path):
        if name != _snapshot.MANIFEST:
            _remove(os.path.join(path, name))
    shutil.rmtree(path)
