# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upgrades by hand that went wrong: what is there, how it came about, and what mending it does. Pure.

The evidence is that of `node_info`; the plan and the switch on the target judge it by the same functions.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _legacy_again, _releases

HALF_MIGRATED = "wreck_half_migrated"
EMPTY_SERVER = "wreck_empty_server"
MIGRATED = "wreck_migrated"
NOT_STARTED = "wreck_not_started"
LEFTOVERS = "wreck_leftovers"
TOKEN = "wreck_token"
WORKER = "wreck_worker"
NO_LEGACY = "wreck_no_legacy"

VARIABLE = "gpustack_mend_wrecks"
POSTGRESQL = "postgresql"
TEMPORARY_PREFIX = "gpustack_migration_temp_"
#: Written by a fresh v2 only.
BOOTSTRAP_VERSION = "bootstrap_version"
#: Files of legacy names that only v2 can have written where they are younger than its PostgreSQL.
ADMIN_PASSWORD = "initial_admin_password"
WORKER_IDENTITY = ("worker_name", "worker_uuid")


class Wreck(NamedTuple):
    """What an upgrade by hand left on a data directory."""

    code: str
    #: What is there and how it came about, for an operator.
    cause: str
    data_dir: str
    legacy_name: str | None = None
    #: The containers that somebody else started, as evidence.
    containers: tuple[Mapping[str, Any], ...] = ()
    #: What v2 left in the data directory, its own names alone.
    files: tuple[str, ...] = ()
    #: Files of legacy names that v2 wrote, the token apart.
    overwritten: tuple[str, ...] = ()
    #: Whether v2 overwrote the registration token of the legacy server, which stands nowhere else on this host.
    token_lost: bool = False
    #: What must be done before it can be mended; None when nothing stands in the way.
    obstacle: str | None = None

    def mending(self) -> str:
        """What mending does, and what is given up by it."""
        steps = []
        if self.containers:
            steps.append(f"stops {names_of(self.containers)} and keeps what is stopped as <name>-wreck-<time>")
        moved = [*self.files, *self.overwritten]
        if moved:
            steps.append(f"moves {', '.join(moved)} into {self.data_dir}/.gpustack-v2-<time>")
        if self.token_lost:
            steps.append("writes gpustack_token into the file token, after v2's was put beside them")
        given_up = (
            "; what people did on that v2 server (users, API keys, models, usage) is given up: it stays in what is set"
            " aside and does not reach the new one"
            if self.code in (HALF_MIGRATED, EMPTY_SERVER, MIGRATED)
            else ""
        )
        return (
            f"{', '.join(steps)}, and then upgrades from the legacy container {self.legacy_name}{given_up}."
            " database.db is not touched, and nothing is deleted"
        )

    def way_out(self) -> str:
        """What the operator can do now."""
        return self.obstacle or f"set {VARIABLE}: true, which {self.mending()}"


def names_of(containers: Iterable[Mapping[str, Any]]) -> str:
    """Containers by name, release and state."""
    return ", ".join(f"{each['name']} ({each['release'] or 'v2'}, {each['status']})" for each in containers)


def recognise(installations: Sequence[Mapping[str, Any]], definition: str | None = None) -> Wreck | None:
    """The wreck among a host's installations that are in use; None when there is none, or nobody can tell whose it is.

    The legacy container is told by image and arguments, so that a stopped or renamed one is found. ``definition`` is
    where a backup of ours keeps the definition of one that is gone.
    """
    legacy = [each for each in installations if each["generation"] != "v2"]
    foreign = [each for each in installations if each["generation"] == "v2" and not each["attempt"]]
    if len(legacy) + len(foreign) != len(installations) or len(legacy) > 1:
        return None
    if not legacy:
        return _without_legacy(foreign, definition)
    if any(_directory(each) != _directory(legacy[0]) or _is_external(each) for each in foreign):
        return None
    return judge(legacy[0], foreign)


def legacy_of(installations: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The one legacy installation beside a wreck."""
    found = [each for each in installations if each["generation"] != "v2"]
    return found[0] if len(found) == 1 else None


def judge(legacy: Mapping[str, Any], foreign: Sequence[Mapping[str, Any]]) -> Wreck | None:
    """What containers that somebody else started, and files of v2, mean on the data directory of a legacy one."""
    data = legacy["data"]
    if data is None:
        return None
    directory = str(_directory(legacy))
    if legacy["role"] == "worker":
        return _worker(legacy, foreign, directory)
    found = _server(foreign, data, directory)
    token_lost = legacy["token"]["source"] == "file" and legacy["token"]["reserved_prefix"]
    if found is None and not token_lost:
        return None
    code, cause = found or (TOKEN, _token_cause(directory))
    return Wreck(
        code=code,
        cause=cause,
        data_dir=directory,
        legacy_name=legacy["name"],
        containers=tuple(foreign),
        files=tuple(name for name in data["v2_files"] if "/" not in name),
        overwritten=tuple(overwritten(data, legacy["role"])),
        token_lost=token_lost,
        obstacle=_obstacle(code, foreign),
    )


def overwritten(data: Mapping[str, Any], role: str) -> list[str]:
    """Files that v2 wrote under legacy names: they are no older than its PostgreSQL.

    A worker's identity belongs to a legacy server only where that has an embedded worker; the switch restores it there.
    """
    names = (ADMIN_PASSWORD,) if role == "both" else (ADMIN_PASSWORD, *WORKER_IDENTITY)
    since, files = data["v2_since"], data["files"]
    return [name for name in names if since and name in files and files[name]["modified"] >= since]


def _server(foreign: Sequence[Mapping[str, Any]], data: Mapping[str, Any], directory: str) -> tuple[str, str] | None:
    """Code and cause of a server's wreck."""
    files = data["v2_files"]
    if not foreign and not any(map(_is_harmful, files)):
        return None
    what = f"container {names_of(foreign)}" if foreign else "a v2 server, whose container is gone,"
    if _releases.MIGRATION_DONE_FILE in files:
        return MIGRATED, (
            f"{what} was started on {directory} by hand and has migrated database.db there; no row of it was proven"
        )
    if POSTGRESQL not in files:
        if foreign:
            return NOT_STARTED, f"{what} was made for {directory} by hand and never came as far as its database"
        return LEFTOVERS, (
            f"an upgrade by hand left {', '.join(files)} in {directory}: v2's migration would take the old copy of the"
            " database for the new one"
        )
    if _was_told_to_migrate(foreign) or not (foreign or _looks_fresh(data)):
        return HALF_MIGRATED, (
            f"{what} began to migrate {directory} and did not end: postgresql is there, {_releases.MIGRATION_DONE_FILE}"
            " is not, so every further start dies with 'duplicate key value violates unique constraint"
            ' "system_loads_pkey"\''
        )
    return EMPTY_SERVER, (
        f"{what} was started on {directory} without the variable that starts its migration: it made a new, empty"
        " PostgreSQL there and took over nothing of database.db, however healthy it looks"
    )


def _is_harmful(name: str) -> bool:
    """Whether v2 would stumble over it, or behave otherwise; the rest of what it leaves does no harm."""
    return name in (POSTGRESQL, _releases.MIGRATION_DONE_FILE, BOOTSTRAP_VERSION) or name.startswith(TEMPORARY_PREFIX)


def _was_told_to_migrate(foreign: Iterable[Mapping[str, Any]]) -> bool:
    return any(_has_trigger(each) for each in foreign)


def _has_trigger(container: Mapping[str, Any]) -> bool:
    """Whether a container has the variable that its release obeys; an unknown release is taken for a new one."""
    release = _releases.find(container["release"] or _releases.DEFAULT, allow_unproven=True)
    value = container["environment"].get(release.migration_variable)
    return bool(value) if release.migration_value is None else value == release.migration_value


def _looks_fresh(data: Mapping[str, Any]) -> bool:
    """Whether a v2 that is gone had begun with an empty database; a migration makes no new administrator."""
    return BOOTSTRAP_VERSION in data["v2_files"] or ADMIN_PASSWORD in overwritten(data, "both")


def _worker(legacy: Mapping[str, Any], foreign: Sequence[Mapping[str, Any]], directory: str) -> Wreck | None:
    if not foreign:
        return None  # what v2 leaves in a worker's directory the switch itself saves and replaces
    return Wreck(
        code=WORKER,
        cause=f"container {names_of(foreign)} was started by hand on the data directory {directory} of worker"
        f" {legacy['name']}; under which identity it registered, and where, nobody has proven",
        data_dir=directory,
        legacy_name=legacy["name"],
        containers=tuple(foreign),
        files=tuple(name for name in legacy["data"]["v2_files"] if "/" not in name),
        obstacle=_obstacle(WORKER, foreign),
    )


def _token_cause(directory: str) -> str:
    return (
        f"the registration token in {directory}/token begins with 'gpustack': a fresh v2 has overwritten the legacy"
        " server's own"
    )


def _obstacle(code: str, foreign: Sequence[Mapping[str, Any]]) -> str | None:
    """What the operator has to do with his own hands first."""
    for each in foreign:
        if code != WORKER and (each["role"] == "worker" or _is_external(each)):
            return (
                f"{each['name']} has no rows in that directory (it is a worker, or uses an external database), so that"
                " nothing here tells whether it is in service: leave this host out of the run, or remove that container"
                f" (docker rm {each['name']}, without -v) when nobody needs it; then run again"
            )
        keeper = next(filter(_revives, each["supervisors"]), None)
        if keeper:
            return (
                f"{each['name']} is kept by {keeper['kind']} {keeper.get('name') or ''}, which would start it again:"
                f" {_release_from(keeper)}; then run again"
            )
        if each["auto_remove"] and each["running"]:
            return f"{each['name']} was started with --rm: docker stop {each['name']} removes it; then run again"
    running = [each["name"] for each in foreign if each["running"]]
    if code == MIGRATED and running:
        return (
            "leave this host out of the run when people work with that server; to give it up instead, stop it (docker"
            f" stop {' '.join(running)}) and run again with {VARIABLE}: true, which sets it aside"
        )
    return None


def _revives(keeper: Mapping[str, Any]) -> bool:
    """Watchtower leaves stopped containers alone, unless it was told not to."""
    return keeper["kind"] != "watchtower" or bool(keeper.get("problem"))


def _release_from(keeper: Mapping[str, Any]) -> str:
    """How a container is taken from its keeper for good. Compose finds it by its labels, whatever it is called."""
    name = keeper.get("name") or ""
    if keeper["kind"] == "systemd":
        return f"systemctl disable --now {name}"
    if keeper["kind"] == "compose":
        return (
            f"remove the container (docker compose rm --stop {name.rpartition('/')[2]}, without --volumes, in the"
            f" folder of {keeper.get('file') or 'its file'}) and take the service out of that file"
        )
    if keeper["kind"] == "swarm":
        return f"docker service rm {name}"
    if keeper["kind"] == "kubernetes":
        return f"remove the workload of pod {name} from Kubernetes"
    return str((keeper.get("problem") or {}).get("way_out"))


def _without_legacy(foreign: Sequence[Mapping[str, Any]], definition: str | None) -> Wreck | None:
    """A v2 server on legacy data that it has not taken over, where the legacy container is gone."""
    if len(foreign) != 1:
        return None
    server = foreign[0]
    if server["role"] == "worker" or _is_external(server) or server["data_dir"]["type"] == "layer":
        return None
    if not server["database"] or not server["data"]:
        return None
    found = _server(foreign, server["data"], str(_directory(server)))
    if found is None or found[0] == MIGRATED or (found[0] == NOT_STARTED and server["running"]):
        return None
    return Wreck(
        code=NO_LEGACY,
        cause=f"{found[1]}. The legacy container from which this could be mended is gone",
        data_dir=str(_directory(server)),
        containers=(server,),
        obstacle=f"{_legacy_again.way_out(server, definition)}. Then run again with {VARIABLE}: true",
    )


def _is_external(installation: Mapping[str, Any]) -> bool:
    """Whether it keeps its rows elsewhere, so that the data directory tells nothing of them."""
    return bool(installation["server"]) and installation["server"]["database"]["kind"] == "external"


def _directory(installation: Mapping[str, Any]) -> str | None:
    path: str | None = installation["data_dir"]["host_path"]
    return path
