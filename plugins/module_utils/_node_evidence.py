# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All evidence about one host. Reads only; what cannot be read is said in the evidence and fails nothing."""

from __future__ import annotations

import functools
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _attempt,
    _data_directory,
    _discovery,
    _external_evidence,
    _gpu_evidence,
    _host_facts,
    _journal,
    _legacy_image,
    _libraries,
    _lock,
    _loose_process,
    _prepared,
    _private_directories,
    _scope,
    _snapshot,
    _sqlite_reader,
    _supervisors,
    _systemd_unit,
    _unit_install,
    _unit_record,
    _way_back,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DockerReader,
    DockerReaderError,
    engine_facts,
    unreachable_engine,
)

CONFIG_FILE_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    salt: str
    image: str | None
    container: str | None
    data_dir: str | None
    backup_dir: str
    state_dir: str
    remote_tmp: str
    controller_clock: float | None
    connect: Sequence[Mapping[str, Any]]
    docker_host: str
    gpu_sources: Mapping[str, Any]


@dataclass
class Engine:
    """What the engine answered."""

    facts: dict[str, Any]
    info: Mapping[str, Any] = field(default_factory=dict)
    containers: Sequence[Mapping[str, Any]] = ()
    #: By image id.
    images: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: The image that was asked for.
    image: Mapping[str, Any] | None = None
    #: Every name of an image, to its id.
    image_names: Mapping[str, str] = field(default_factory=dict)


def evidence(request: Request, run: RunCommand) -> dict[str, Any]:
    """The evidence of this host. Slow parts run side by side."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        libraries = pool.submit(library_versions, run, request.state_dir)
        gpu = pool.submit(_gpu_evidence.gpu, run, request.gpu_sources)
        units = pool.submit(_supervisors.unit_commands)
        installed = pool.submit(units_with_gpustack, request.state_dir, run)
        engine = read_engine(request)
        mountinfo = _host_facts.mounts()
        records = [*engine.containers, *installed.result()]
        found, siblings = divided(list(_discovery.find(records, engine.images, units.result(), read_text)), request)
        live = any(each.facts["running"] and each.facts["generation"] != _discovery.V2 for each in found)
        installations = [completed(each, request, mountinfo, live, run) for each in found]
        targets = probe_targets(installations, request.connect)
        reachability = pool.submit(_host_facts.reachability, targets)
        return assembled(request, engine, installations, siblings, mountinfo, gpu, libraries, reachability, run)


def units_with_gpustack(state_dir: str, run: RunCommand) -> list[dict[str, Any]]:
    """What runs without a container: units that start GPUStack, and processes that nobody keeps."""
    try:
        entries = _journal.newest_entries(state_dir)
    except OSError:
        entries = []
    begin = _journal.last_detail(entries, "begin", _journal.STARTED) or {}
    found = _unit_install.find(run, begin.get("legacy_id"))
    processes = {record[_unit_record.KEY]["process"] for record in found}
    upgraded = _journal.outcome_of(entries) in ("upgraded", "finalized", _journal.CLEANED)
    for record in found:
        keeper = record[_unit_record.KEY]["keeper"]["unit"]
        in_service = keeper["enabled"] or keeper["active"]
        record[_unit_record.KEY]["retired"] = upgraded and not in_service and record["Id"] == begin.get("legacy_id")
    names = {record[_unit_record.KEY]["keeper"]["name"] for record in found}
    return found + _loose_process.find(processes, names)


def divided(
    found: list[_discovery.Installation], request: Request
) -> tuple[list[_discovery.Installation], list[_discovery.Installation]]:
    """The installations that this host of the inventory is about, and its siblings on the same machine."""
    if not request.container:
        return found, []
    attempts = {entry["attempt"] for entry in journal_entries(request.state_dir)}
    scope = _scope.scope_of(request.container, journal(request.state_dir), attempts)
    return _scope.divide(found, scope)


def journal_entries(state_dir: str) -> list[dict[str, Any]]:
    """The journal; none that this user may read is none, and `journal` says so."""
    try:
        return _journal.read_entries(state_dir)
    except OSError:
        return []


def assembled(
    request: Request,
    engine: Engine,
    installations: Sequence[dict[str, Any]],
    siblings: Sequence[_discovery.Installation],
    mountinfo: Sequence[Mapping[str, str]],
    gpu: Future[dict[str, Any]],
    libraries: Future[dict[str, Any]],
    reachability: Future[list[dict[str, Any]]],
    run: RunCommand,
) -> dict[str, Any]:
    """The parts in the form that the plan reads."""
    return {
        "host": _host_facts.host(os.environ, engine.info, request.controller_clock),
        "engine": engine.facts,
        "installations": list(installations),
        "container": request.container or None,
        "siblings": [_scope.sibling_facts(each) for each in siblings],
        "places": {"backup_dir": request.backup_dir, "state_dir": request.state_dir},
        "ports": _host_facts.listening_ports(),
        "image": image_facts(request.image, engine.image),
        "image_names": dict(engine.image_names),
        "filesystems": {
            "docker_root": engine.facts["root_dir"] and _host_facts.filesystem(engine.facts["root_dir"], mountinfo),
            "backup": _host_facts.filesystem(request.backup_dir, mountinfo),
            "state": _host_facts.filesystem(request.state_dir, mountinfo),
            "remote_tmp": _host_facts.filesystem(_host_facts.of_login_user(request.remote_tmp, os.environ), mountinfo),
        },
        "directories": {
            "backup": _private_directories.facts(request.backup_dir),
            "state": _private_directories.facts(request.state_dir),
        },
        "journal": journal(request.state_dir),
        "way_back": _way_back.evidence(request.docker_host, request.state_dir, run),
        "lock": lock(request.state_dir),
        "gpu": gpu.result(),
        "libraries": libraries.result(),
        "prepared": _prepared.read(request.state_dir),
        "reachability": reachability.result(),
    }


def read_engine(request: Request) -> Engine:
    """Everything that is asked of the engine; an engine that cannot be read says why."""
    try:
        reader = DockerReader(request.docker_host)
        info = reader.info()
        facts = engine_facts(reader.version(), info)
        containers = reader.inspect_all([container["Id"] for container in reader.containers()])
        images = reader.images(container["Image"] for container in containers if container.get("Image"))
        wanted = reader.image(request.image) if request.image else None
        names = reader.image_names()
    except DockerReaderError as error:
        return Engine(unreachable_engine(str(error)))
    return Engine(facts, info, containers, images, wanted, names)


def read_text(path: str) -> str | None:
    """A configuration file of the host; None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as config:
            return config.read(CONFIG_FILE_LIMIT)
    except OSError:
        return None


def completed(
    found: _discovery.Installation,
    request: Request,
    mountinfo: Sequence[Mapping[str, str]],
    live: bool,
    run: RunCommand,
) -> dict[str, Any]:
    """An installation with what lies in its data directory. ``live``: whether any legacy container runs here."""
    facts = found.facts
    if request.data_dir and not facts["retired"]:
        facts["data_dir"].update(type="bind", host_path=request.data_dir, read_path=request.data_dir, volume=None)
    directory = facts["data_dir"]["host_path"]
    facts["supervisors"] = _systemd_unit.judged(facts["supervisors"], facts["name"], run)
    facts["data"] = _data_directory.data(directory, mountinfo) if directory else None
    if facts["data"] is not None:
        facts["data"]["old_hub_cache"] = _data_directory.old_hub_cache(cache_dir(found))
    facts["image_archive"] = _legacy_image.find(request.backup_dir, found.container)
    settle_role(found)
    facts["token"] = _data_directory.token(found.settings, directory, request.salt)
    facts["worker"] = None
    if facts["role"] in ("worker", "both"):
        facts["worker"] = _data_directory.worker(found.settings, directory, found.container["Config"].get("Hostname"))
    facts["database"] = database(found, live, request)
    settle_release(found)
    return facts


def cache_dir(found: _discovery.Installation) -> str | None:
    """Where downloaded models lie on the host: ``--cache-dir``, else in the data directory."""
    own, directory = found.settings.get("cache_dir"), found.facts["data_dir"]["host_path"]
    if own:
        return _discovery.host_path(str(own), found.facts["mounts"])
    inside = os.path.join(found.facts["data_dir"]["container_path"], _data_directory.CACHE)
    mounted = _discovery.host_path(inside, found.facts["mounts"])
    return mounted or (directory and os.path.join(directory, _data_directory.CACHE))


def settle_role(found: _discovery.Installation) -> None:
    """A v2 server that began as v2 has no embedded worker unless it is switched on; a migrated one has."""
    facts, data = found.facts, found.facts["data"]
    fresh = data is not None and _data_directory.BOOTSTRAP_VERSION in data["files"]
    if (
        facts["generation"] == _discovery.V2
        and facts["role"] == "both"
        and fresh
        and not found.settings.is_on("enable_worker")
    ):
        facts["role"] = "server"


def database(found: _discovery.Installation, live: bool, request: Request) -> dict[str, Any] | None:
    """The legacy SQLite database of a server. A v2 server leaves it alone, and it tells which workers there were."""
    facts = found.facts
    if facts["server"] is None:
        return None
    if facts["server"]["database"]["kind"] == "external":
        return external_database(found, request)
    path = database_path(found)
    if path is None or not os.path.exists(path):
        return None
    return _read_once(path, live)


def external_database(found: _discovery.Installation, request: Request) -> dict[str, Any] | None:
    """The legacy rows of a server with an external database: live, and once it was switched those of its backup."""
    backup = _journal.summary(request.state_dir)["backup"]
    path = os.path.join(backup or "", _snapshot.RECOVERED, _snapshot.DATABASE)
    is_live = found.facts["running"] and found.facts["generation"] != _discovery.V2
    if not is_live and backup and os.path.exists(path):
        return _read_once(path, False)
    if found.facts["generation"] == _discovery.V2:
        return None
    reader = DockerReader(request.docker_host)
    return _external_evidence.evidence(reader, found.container, str(found.settings.get("database_url")))


@functools.lru_cache(maxsize=None)
def _read_once(path: str, live: bool) -> dict[str, Any]:
    """Old and new container of a host share one data directory."""
    return _sqlite_reader.database(path, live)


def database_path(found: _discovery.Installation) -> str | None:
    """Where the database file lies on the host."""
    facts = found.facts
    own = facts["server"]["database"]["path"]
    if own:
        return _discovery.host_path(own, facts["mounts"])
    directory = facts["data_dir"]["read_path"]
    return directory and os.path.join(directory, _data_directory.DATABASE)


def settle_release(found: _discovery.Installation) -> None:
    """The release, and the generation that follows from it, of an image whose name does not tell it."""
    if found.facts["release"]:
        return
    release, source = release_inside(found)
    if release:
        generation = _discovery.generation_of(found.container, {}, release)
        found.facts.update(release=release, release_source=source, generation=generation)


def release_inside(found: _discovery.Installation) -> tuple[str | None, str | None]:
    """The release by the package in the container, else by the schema of the database."""
    release = _data_directory.package_release(_data_directory.container_roots(found.container))
    if release:
        return release, "package"
    release = (found.facts["database"] or {}).get("release")
    return release, "schema" if release else None


def probe_targets(
    installations: Sequence[Mapping[str, Any]], connect: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Which TCP connections to try: a worker's server, a server's workers, and what was asked for."""
    targets = [
        {"host": each["host"], "port": each["port"], "kind": "asked", "worker": None, "ok": False, "error": None}
        for each in connect
    ]
    for facts in installations:
        if facts["retired"]:
            continue
        if facts["role"] == "worker":
            targets.append(
                _host_facts.probe_target(facts["worker"]["server_url"], "worker_to_server", facts["worker"]["name"])
            )
        targets.extend(worker_targets((facts["database"] or {}).get("workers", [])))
    return targets


def worker_targets(workers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every worker that the server knows, where the server would call it."""
    return [
        {
            "host": worker["ip"],
            "port": worker["port"],
            "kind": "server_to_worker",
            "worker": worker["name"],
            "ok": False,
            "error": None,
        }
        for worker in workers
        if worker["ip"] and worker["port"]
    ]


def image_facts(reference: str | None, image: Mapping[str, Any] | None) -> dict[str, Any]:
    """The evidence ``image``."""
    if image is None:
        return {"reference": reference, "present": False, "id": None, "repo_digests": [], "size": None, "version": None}
    named = {"Config": {"Image": reference, "Labels": (image.get("Config") or {}).get("Labels")}}
    return {
        "reference": reference,
        "present": True,
        "id": image.get("Id"),
        "repo_digests": image.get("RepoDigests") or [],
        "size": image.get("Size"),
        "version": _discovery.release_of(named, image)[0],
    }


def journal(state_dir: str) -> dict[str, Any]:
    """The newest attempt; a journal that this user may not read says so."""
    try:
        found = _journal.summary(state_dir)
        return dict(found, definition=definition(found["backup"]), problem=journal_problem(state_dir), error=None)
    except OSError as error:
        return dict(_journal.summary_of([]), definition=None, problem=None, error=str(error))


def definition(backup: str | None) -> str | None:
    """Where the definition of a legacy container that was switched is kept."""
    path = os.path.join(backup or "", _snapshot.DEFINITION)
    return path if backup and os.path.exists(path) else None


def journal_problem(state_dir: str) -> dict[str, str] | None:
    """Why the newest attempt, begun by another version of this collection, can neither be finished nor undone."""
    own = _journal.newest_entries(state_dir)
    if _journal.outcome_of(own) in ("none", "restored"):
        return None
    try:
        _attempt.from_entries(own)
    except _attempt.ForeignAttemptError as error:
        return {"cause": error.cause, "way_out": error.way_out}
    return None


def lock(state_dir: str) -> dict[str, Any]:
    """Who works on this host; a lock that this user may not read says so."""
    try:
        return dict(_lock.holder(state_dir), error=None)
    except OSError as error:
        return {"held": False, "pid": None, "since": None, "run": None, "error": str(error)}


def library_versions(run: RunCommand, state_dir: str) -> dict[str, Any]:
    """Versions of the writers' libraries, in the interpreter that serves better: this one or the private one."""
    for_all, for_servers = _libraries.required(server=False), list(_libraries.ALL)
    private = _libraries.environment_python(state_dir)
    candidates = [sys.executable] + ([private] if os.path.exists(private) else [])
    with ThreadPoolExecutor(max_workers=len(candidates)) as pool:
        probed = list(pool.map(lambda python: _libraries.probe(run, python, for_servers), candidates))
    best = min(
        probed, key=lambda versions: [len(_libraries.missing(versions, each)) for each in (for_all, for_servers)]
    )
    return dict(best, venv=len(candidates) > 1)
