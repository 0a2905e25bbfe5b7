# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to do on this host, found by reading alone: the same for check mode and for the real thing.

Everything that can be refused before the old container is stopped is refused here.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _container_spec,
    _data_dir_changes,
    _external_database,
    _fill_external,
    _going_on,
    _host_facts,
    _image,
    _journal,
    _layer,
    _left_stopped,
    _recreate,
    _releases,
    _server_database,
    _supervisors,
    _systemd_unit,
    _takeover,
    _unit_install,
    _unit_paths,
    _unit_record,
    _way_back,
    _wreck_here,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    Attempt,
    SwitchError,
    describe,
    from_entries,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import LEGACY, Installation, host_path
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, label_of, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._wrecks import Wreck

NOTHING, FINISH, BEGIN, AGAIN, GO_ON = "nothing", "finish", "begin", "again", "go on"
ENGINE_PID_FILE = "/run/docker.pid"
TOKEN_VARIABLE = "GPUSTACK_TOKEN"
DATABASE_VARIABLE = "GPUSTACK_DATABASE_URL"


class Situation(NamedTuple):
    """What to do, in which attempt, and from which container to which; with nothing to do, the one that is there."""

    action: str
    attempt: Attempt
    container: dict[str, Any]
    spec: dict[str, Any]
    leftovers: list[dict[str, Any]]
    #: What an upgrade by hand left here, to be mended first.
    wreck: Wreck | None = None
    #: The translated copy of the configuration file, with secrets; None where the file itself goes over, or is none.
    config_copy: str | None = None


def assess(params: Mapping[str, Any], needs_image: bool) -> Situation:
    """What `state=upgraded` has to do."""
    reader = DockerReader(params["docker_host"])
    inspect = _unit_install.look(reader.inspect, params["run_command"])
    entries = _journal.read_entries(params["state_dir"])
    newest = _journal.newest_attempt(entries)
    own = [entry for entry in entries if entry["attempt"] == newest]
    outcome = _journal.outcome_of(own)
    if outcome in ("upgraded", "finalized", _journal.CLEANED):
        return _already_there(params, reader, from_entries(own))
    if outcome in ("unfinished", "failed"):
        return _interrupted(params, reader, inspect, own, needs_image)
    legacy = _legacy_record(params, inspect)
    fresh = _new_attempt(params, reader, legacy)
    attempt, legacy = _left_stopped.as_before(fresh, legacy, own, outcome, inspect, params["run_command"])
    _refuse_used_run_id(params, entries, reader)
    return _to_switch(params, reader, BEGIN, attempt, legacy, needs_image, [])


def accepted(entries: list[dict[str, Any]]) -> bool:
    """Whether the attempt passed the point from which it goes on instead of back."""
    state = False
    for entry in entries:
        mark = (entry["step"], entry["state"])
        if mark == ("accept", _journal.DONE):
            state = True
        elif mark in (("begin", _journal.STARTED), ("undo_begin", _journal.STARTED)):
            state = False
    return state


def _already_there(params: Mapping[str, Any], reader: DockerReader, attempt: Attempt) -> Situation:
    release = _releases.normalise(params["release"])
    record = reader.inspect(attempt.container_name)
    if record is None or label_of(record, _container_spec.ATTEMPT_LABEL) != attempt.name:
        raise SwitchError(
            f"The journal says that attempt {attempt.name} upgraded this host, but container {attempt.container_name} "
            "is not the one that it made. Put that container back under its name, or go back with state=legacy."
        )
    if attempt.release != release:
        raise SwitchError(
            f"Container {attempt.container_name} is GPUStack {attempt.release} already, asked for {release}. From one "
            "2.x release to another this module does not go; set gpustack_version to the one that is there."
        )
    return Situation(NOTHING, attempt, record, {}, [])


def _interrupted(
    params: Mapping[str, Any],
    reader: DockerReader,
    inspect: _unit_install.Look,
    own: list[dict[str, Any]],
    needs_image: bool,
) -> Situation:
    attempt = from_entries(own)
    if accepted(own):
        return Situation(FINISH, attempt, {}, {}, [])
    obstacle = _way_back.obstacle(attempt, own, inspect, reader.image)
    if obstacle:
        raise SwitchError(f"Attempt {attempt.name} was interrupted, and this host has to go back first. {obstacle}")
    legacy = _recreate.find(inspect, attempt, own)
    if legacy is None or (attempt.is_throwaway and not is_running(legacy)):
        # Of a container that goes with its stop a copy is left, which lacks --rm.
        legacy = _way_back.definition(attempt) or legacy or {}
    wanted = _with_request(attempt, params)
    again = _to_switch(params, reader, AGAIN, wanted, dict(legacy, Name="/" + attempt.legacy_name), needs_image, own)
    image = reader.image(params["image"]) or {}
    definition = _going_on.wanted(params, again.spec)
    same_copy = again.config_copy == _read_copy(wanted)
    if same_copy and _going_on.is_possible(own, wanted, definition, image.get("Id"), inspect):
        return again._replace(action=GO_ON)
    return again


def _with_request(attempt: Attempt, params: Mapping[str, Any]) -> Attempt:
    """An attempt that begins again may be asked for another image or release: the cause of its failure, mended."""
    return attempt.replaced(release=_releases.normalise(params["release"]), image=params["image"])


def _legacy_record(params: Mapping[str, Any], inspect: _unit_install.Look) -> dict[str, Any]:
    wanted = params["installation"]
    record = inspect(wanted)
    if record is None:
        unit = _unit_record.unit_of(wanted)
        what = f"container {wanted}" if unit is None else f"systemd unit {unit} that runs GPUStack"
        raise SwitchError(f"There is no {what} on this host; look with fleetops.gpustack.node_info.")
    return record


def _new_attempt(params: Mapping[str, Any], reader: DockerReader, legacy: Mapping[str, Any]) -> Attempt:
    facts = {**describe(legacy).facts, "supervisors": _supervisors_of(reader, legacy, params["run_command"])}
    if facts["generation"] != LEGACY:
        raise SwitchError(f"Container {facts['name']} is no legacy GPUStack; nothing to switch there.")
    problems = [f"{each.cause} ({each.way_out})" for each in _takeover.problems(facts)]
    if problems:
        raise SwitchError(f"Container {facts['name']} cannot be taken over: {'; '.join(problems)}.")
    kept_by = _takeover.kept_by(facts)
    data_dir = facts["data_dir"]["host_path"]
    if data_dir is None or not os.path.isdir(data_dir):
        raise SwitchError(
            f"The data directory of container {facts['name']} ({facts['data_dir']['container_path']}) is in no bind "
            "mount or volume; copy it out with docker cp and recreate the container with it mounted."
        )
    if kept_by["layer"]:
        data_dir = _takeover.volume_path(reader.info()["DockerRootDir"], params["run_id"])
    return Attempt(
        name=params["run_id"],
        role=facts["role"],
        release=_releases.normalise(params["release"]),
        image=params["image"],
        container_name=params["container_name"] or _unit_record.container_name(facts["name"]),
        legacy_id=facts["id"],
        legacy_name=facts["name"],
        restart_policy=facts["restart_policy"],
        was_running=facts["running"],
        data_dir=data_dir,
        backup=os.path.join(params["backup_dir"], params["run_id"]),
        kept_by=kept_by,
        external=_external_database.is_external(legacy),
        database_kind=_server_database.kind(legacy),
        tools_image=params["database_tools_image"] or "",
        fills=bool(params["database_url"]) and facts["server"] is not None,
    )


def _supervisors_of(reader: DockerReader, legacy: Mapping[str, Any], run: RunCommand) -> list[dict[str, Any]]:
    containers = reader.inspect_all(container["Id"] for container in reader.containers())
    keepers = _supervisors.supervisors(legacy, containers, _supervisors.unit_commands())
    return _systemd_unit.judged(keepers, name_of(legacy), run)


def _refuse_used_run_id(params: Mapping[str, Any], entries: list[dict[str, Any]], reader: DockerReader) -> None:
    """Containers and backups are told apart by it, also by other installations of this machine, with other journals."""
    labels = [each.get("Labels") or {} for each in reader.containers()]
    labelled = any(each.get(_container_spec.ATTEMPT_LABEL) == params["run_id"] for each in labels)
    if labelled or any(entry["attempt"] == params["run_id"] for entry in entries):
        raise SwitchError(
            f"Run id {params['run_id']} was used on this host before, and its backup must stay; give another run_id."
        )


def _to_switch(
    params: Mapping[str, Any],
    reader: DockerReader,
    action: str,
    attempt: Attempt,
    legacy: dict[str, Any],
    needs_image: bool,
    own: list[dict[str, Any]],
) -> Situation:
    found = describe(legacy)
    wreck = _wreck_here.to_mend(params, reader, found, own)
    if needs_image:
        _require_image(params, reader)
    _require_usable(params, reader, attempt, found, wreck)
    if attempt.external:
        _external_database.require(legacy, attempt.release, deeply=needs_image)
    if attempt.fills:
        _require_other_target(attempt, params)
        filled = _fill_external.was_filled(own)
        _fill_external.require(params, attempt.release, deeply=needs_image, filled=filled)
    built = _build(params, reader, attempt, legacy, found)
    if built.problems:
        causes = "; ".join(f"{problem['cause']} ({problem['way_out']})" for problem in built.problems)
        raise SwitchError(f"Container {attempt.legacy_name} cannot be turned into a v2 one: {causes}.")
    copy = None
    if built.config_edits:
        edits, path = built.config_edits, found.facts["config_file"]["path"]
        copy = _config_file.translated(found.config_text or "", edits, path)
    return Situation(action, attempt, legacy, built.spec, built.leftovers, wreck, copy)


def _require_other_target(attempt: Attempt, params: Mapping[str, Any]) -> None:
    if attempt.external:
        raise SwitchError(
            f"Server {attempt.legacy_name} has an external database already, which v2 upgrades in place; leave "
            "gpustack_database_url out."
        )
    if not params["database_url"]:
        raise SwitchError(
            f"Attempt {attempt.name} migrates into an external database; give gpustack_database_url again, or go back "
            "first with state=legacy."
        )


def _read_copy(attempt: Attempt) -> str | None:
    """The copy of the configuration file that an attempt has made."""
    try:
        with open(os.path.join(attempt.data_dir, _config_file.COPY_NAME), encoding="utf-8") as text:
            return text.read()
    except OSError:
        return None


def _require_image(params: Mapping[str, Any], reader: DockerReader) -> None:
    request = _image.ImageRequest(params["image"], params["image_id"])
    if _image.find(reader, request) is None:
        raise SwitchError(
            f"Image {params['image']} is not on this host; prepare it first (fleetops.gpustack.node, state=prepared)."
        )


def _require_usable(
    params: Mapping[str, Any], reader: DockerReader, attempt: Attempt, found: Installation, wreck: Wreck | None
) -> None:
    ours = attempt.layer is not None  # a copy is opened as it is made
    for directory in [attempt.backup] if ours else [attempt.backup, attempt.data_dir]:
        unwritable = _host_facts.unwritable(directory)
        if unwritable:
            raise SwitchError(f"{unwritable}. Nothing was changed.")
    if attempt.serves and not (
        attempt.leaves_directory
        or ours
        or params["fix_permissions"]
        or _data_dir_changes.is_open_to_others(attempt.data_dir)
    ):
        raise SwitchError(
            f"{attempt.data_dir} cannot be entered by others, but v2's PostgreSQL (uid 9999) has to; "
            "set gpustack_fix_permissions, or run chmod a+rx on it and its log directory."
        )
    if attempt.container_name != attempt.legacy_name:
        other = reader.inspect(attempt.container_name)
        leaving = {each["id"] for each in wreck.containers} if wreck else set()
        own = other is None or label_of(other, _container_spec.ATTEMPT_LABEL) == attempt.name
        if other is not None and not own and other["Id"] not in leaving:
            raise SwitchError(
                f"Another container is called {attempt.container_name}; choose another gpustack_container_name."
            )


def _build(
    params: Mapping[str, Any],
    reader: DockerReader,
    attempt: Attempt,
    legacy: Mapping[str, Any],
    found: Installation,
) -> _container_spec.Built:
    settings = {
        "image": attempt.image,
        "container_name": attempt.container_name,
        "network": params["network"],
        "gpu_devices": params["gpu_devices"],
        "extra_args": _extra_args(params, attempt),
        "extra_env": _extra_env(params, attempt, found),
        "extra_volumes": [
            *_layer.mounted(attempt),
            *_model_volumes(params, attempt, found),
            *params["extra_volumes"],
        ],
        "rollout_env": params["rollout_env"] if attempt.serves else {},
        "migrate": attempt.serves and not attempt.leaves_directory,
        "attempt": attempt.name,
        "restart_policy": dict(attempt.lasting_policy),
        "watchtower": bool(attempt.kept_by.get("watchtower")),
        "host_hostname": socket.gethostname(),
        "config_file": found.facts["config_file"],
        "data_dir": found.facts["data_dir"]["container_path"],
        "legacy_release": params.get("legacy_release") or found.facts["release"],
    }
    release = _releases.find(attempt.release, allow_unproven=True)
    image = reader.image(legacy["Image"]) or {}
    built = _container_spec.build(legacy, image, release, attempt.role, params["gpu"], settings)
    return built._replace(spec={**built.spec, "ulimits": _grantable(built.spec["ulimits"])})


def _model_volumes(params: Mapping[str, Any], attempt: Attempt, found: Installation) -> list[str]:
    """Models with a local path that a legacy release without a container reads from the host."""
    if not attempt.is_unit:
        return []
    return _unit_paths.model_volumes(params["model_paths"], [mount["destination"] for mount in found.facts["mounts"]])


def _grantable(ulimits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Open files no higher than the engine itself may have: an engine inside a container cannot raise its own bound."""
    bound = _engine_open_files()
    return [
        {**limit, "soft": min(limit["soft"], bound), "hard": min(limit["hard"], bound)}
        if bound is not None and limit["name"] == "nofile"
        else limit
        for limit in ulimits
    ]


def _engine_open_files() -> int | None:
    """The engine's own hard limit of open files; None when it cannot be read, or there is none."""
    try:
        with open(ENGINE_PID_FILE, encoding="ascii") as pid, open(f"/proc/{int(pid.read())}/limits") as limits:
            found = [line.split()[4] for line in limits if line.startswith("Max open files")]
    except (OSError, ValueError):
        return None
    return int(found[0]) if found and found[0].isdigit() else None


def _extra_args(params: Mapping[str, Any], attempt: Attempt) -> list[str]:
    """The operator's own arguments come last and win: of an option that is given twice, the program takes the last."""
    override = ["--server-url", params["server_url"]] if attempt.role == "worker" and params["server_url"] else []
    return override + list(params["extra_args"] or [])


def _extra_env(params: Mapping[str, Any], attempt: Attempt, found: Installation) -> dict[str, str]:
    extra = dict(params["extra_env"] or {})
    if attempt.fills:
        extra[DATABASE_VARIABLE] = _fill_external.target(params).url
    token = params["token"] or (
        _token_file(found) if attempt.role == "worker" and not found.settings.get("token") else None
    )
    if token:
        extra.setdefault(TOKEN_VARIABLE, token)
    elif attempt.role == "worker" and not found.settings.get("token") and TOKEN_VARIABLE not in extra:
        raise SwitchError(
            f"Worker {attempt.legacy_name} has no registration token in its arguments, environment, configuration file "
            "or data directory, and a v2 worker does not start without one; set gpustack_token for this host."
        )
    return extra


def _token_file(found: Installation) -> str | None:
    """The token that a legacy installation keeps in its data directory."""
    data_dir = found.facts["data_dir"]
    path = host_path(os.path.join(data_dir["container_path"], "token"), found.facts["mounts"])
    if data_dir["type"] == "layer" and data_dir["host_path"]:
        path = os.path.join(data_dir["host_path"], "token")
    try:
        with open(path or "", encoding="utf-8") as token:
            return token.read().strip() or None
    except OSError:
        return None
