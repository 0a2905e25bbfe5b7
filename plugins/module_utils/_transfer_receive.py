# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The target of a transfer: what is in its way, what is still to come, and the backup that is made of what came.

What arrives is laid down as a backup of this collection without its manifest, which counts for nothing. When all of it
was proven, recovered and counted, the container's definition and the manifest are written, and it is restored like any
other backup.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _data_directory,
    _host_facts,
    _image,
    _snapshot,
    _transfer_definition,
    _transfer_settings,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import write_atomically
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_definition import default_image

PREFIX = "transfer-"
#: The end of the name of a file that has not come whole.
PARTIAL = ".gpustack-part"
CACHE = "cache"
_IDENTITY_LETTERS = 16
_MIB = 1024 * 1024
#: What may lie in a fresh data directory: caches that somebody brought by other means, and an ext4 root's own.
_HARMLESS = (CACHE, "lost+found")


class ReceiveError(Exception):
    """The transfer cannot go on here; the message says why and what to do."""


class Look(NamedTuple):
    """What there is on the target."""

    backup: str
    #: Whether the backup is whole, so that nothing of it is to come.
    finished: bool
    missing: list[dict[str, Any]]
    image: Mapping[str, Any] | None


def backup_path(params: Mapping[str, Any]) -> str:
    """The backup that a source becomes: the same for the same bytes, whenever it is asked for."""
    return os.path.join(params["backup_dir"], PREFIX + params["source"]["id"][:_IDENTITY_LETTERS])


def reference(params: Mapping[str, Any]) -> str:
    """The image of the legacy container."""
    return str(params["image"] or default_image(params["source"]["database"]["release"]))


def look(params: Mapping[str, Any]) -> Look:
    """By reading alone; refuses what is in the way."""
    backup, source = backup_path(params), params["source"]
    _snapshot.require_private(params["backup_dir"])
    _snapshot.require_private(backup)
    reader = DockerReader(params["docker_host"])
    image = reader.image(reference(params))
    if os.path.lexists(os.path.join(backup, _snapshot.MANIFEST)):
        _snapshot.verify_manifest(backup, may_lack=_snapshot.REPLACEABLE)
        _require_same_definition(backup, params)
        _refuse_upgraded(params)
        return Look(backup, True, _missing_cache(params), image)
    _refuse_taken(params)
    _refuse_container(reader, params)
    _refuse_port(params)
    missing = [each for each in map(_state_of(backup), _placed(source["files"])) if each is not None]
    missing += _missing_cache(params)
    _require_room(params, missing)
    return Look(backup, False, missing, image)


def _placed(files: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Files with their place in the backup."""
    return [{**each, "target": posixpath.join(each["kind"], each["name"])} for each in files]


def _missing_cache(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Files of the caches that the data directory lacks, or has with other contents."""
    files = [
        {**each, "kind": CACHE, "target": posixpath.join(CACHE, each["name"])} for each in params["source"]["cache"]
    ]
    return [each for each in map(_state_of(params["data_dir"]), files) if each is not None]


def _state_of(directory: str) -> Callable[[Mapping[str, Any]], dict[str, Any] | None]:
    def state(wanted: Mapping[str, Any]) -> dict[str, Any] | None:
        """A file that is to come, with where it goes and the bytes of it that are there; None when it is whole."""
        _require_inside(wanted["target"])
        path = os.path.join(directory, wanted["target"])
        _require_no_link(directory, wanted["target"])
        if _is_whole(path, wanted):
            return None
        return {**wanted, "target": path, "offset": offset_of(_size_of(path + PARTIAL), wanted["size"])}

    return state


def offset_of(partial: int | None, size: int) -> int:
    """Where to go on with a file of which a part is there; from the beginning where the part is no part of it."""
    return partial if partial is not None and partial <= size else 0


def _require_inside(name: str) -> None:
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in name:
        raise ReceiveError(f"the source names a file outside of its directory ({name!r}); nothing was taken.")


def _require_no_link(directory: str, name: str) -> None:
    """A link in the way of a file would lead somewhere else."""
    path = directory
    for part in name.split("/"):
        path = os.path.join(path, part)
        if os.path.islink(path):
            raise ReceiveError(f"{path} is a symbolic link; remove it, or put the directory itself there.")


def _is_whole(path: str, wanted: Mapping[str, Any]) -> bool:
    return _size_of(path) == wanted["size"] and _snapshot.hash_file(path) == wanted["sha256"]


def _size_of(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _refuse_taken(params: Mapping[str, Any]) -> None:
    """A data directory of somebody else's."""
    data_dir = params["data_dir"]
    if not os.path.lexists(data_dir):
        return
    if not os.path.isdir(data_dir):
        raise ReceiveError(f"{data_dir} is no directory; choose another gpustack_transfer_data_dir.")
    there = sorted(set(os.listdir(data_dir)) - set(_HARMLESS))
    if there and not params["force"]:
        raise ReceiveError(
            f"{data_dir} is not empty ({', '.join(there[:8])}); choose another gpustack_transfer_data_dir, or have the "
            "files that are in the way set aside there under a dated name with gpustack_transfer_force=true."
        )


def _refuse_upgraded(params: Mapping[str, Any]) -> None:
    found = _data_directory.v2_files(params["data_dir"])
    if found:
        raise ReceiveError(
            f"{params['data_dir']} was upgraded to 2.x since it was transferred ({', '.join(found[:4])}); there is "
            "nothing left to transfer. playbooks/upgrade.yml goes on with it, playbooks/rollback.yml takes it back."
        )


def _refuse_container(reader: DockerReader, params: Mapping[str, Any]) -> None:
    record = reader.inspect(params["container_name"])
    if record is not None:
        raise ReceiveError(
            f"there is a container {name_of(record)} already, of image {record['Config']['Image']}; rename or remove "
            "it, or choose another gpustack_transfer_container_name."
        )


def _refuse_port(params: Mapping[str, Any]) -> None:
    port = params["source"]["settings"]["port"]
    if port in _host_facts.listening_ports():
        raise ReceiveError(
            f"port {port}, on which the server will serve, is taken on this host; end what listens there (ss -ltnp), "
            'or choose another one with gpustack_transfer_args: ["--port", "8080"].'
        )


def _require_room(params: Mapping[str, Any], missing: Sequence[Mapping[str, Any]]) -> None:
    """What still comes, once more in the data directory, and the copy that is opened, per file system."""
    data = sum(each["size"] for each in params["source"]["files"])
    coming = sum(each["size"] - each["offset"] for each in missing if each["kind"] != CACHE)
    cached = sum(each["size"] - each["offset"] for each in missing if each["kind"] == CACHE)
    needs = {params["backup_dir"]: coming + 2 * data, params["data_dir"]: data + cached}
    rooms: dict[int, list[Any]] = {}
    for path, need in needs.items():
        there = _host_facts.nearest_existing(path)
        room = rooms.setdefault(os.stat(there).st_dev, [there, 0])
        room[1] += need
    for there, need in rooms.values():
        free = shutil.disk_usage(there).free
        if free < need:
            raise ReceiveError(
                f"{there} has {free // _MIB} MiB free, the transfer needs {need // _MIB + 1} MiB there; make room, or "
                "choose other places with gpustack_backup_dir and gpustack_transfer_data_dir."
            )


def _require_same_definition(backup: str, params: Mapping[str, Any]) -> None:
    """What was transferred is not made anew because somebody wants the container otherwise."""
    with open(os.path.join(backup, _snapshot.DEFINITION), encoding="utf-8") as stream:
        there = json.load(stream)
    image = {"Id": there["Image"]}
    wanted = _transfer_definition.build(
        "", params["container_name"], reference(params), image, params["data_dir"], _settings(backup, params)
    )
    differing = _transfer_definition.differences(there, wanted)
    if differing:
        raise ReceiveError(
            f"{backup} was transferred with another {', '.join(differing)}; keep that, or move the directory away to "
            "transfer anew."
        )


def _settings(backup: str, params: Mapping[str, Any]) -> _transfer_settings.Wanted:
    """Of the settings files that came, and what was given."""
    files = {}
    for each in params["source"]["files"]:
        if each["kind"] == "settings":
            with open(os.path.join(backup, each["kind"], each["name"]), "rb") as stream:
                files[each["name"]] = stream.read()
    try:
        return _transfer_settings.read(files, params["arguments"], params["environment"])
    except _transfer_settings.SettingsError as error:
        raise ReceiveError(str(error)) from None


def receive(params: Mapping[str, Any], found: Look) -> dict[str, Any]:
    """Make the backup of what came; its manifest."""
    backup, source = found.backup, params["source"]
    lacking = [each["target"] for each in found.missing if each["kind"] != CACHE]
    if lacking:
        raise ReceiveError(f"{', '.join(lacking)} did not come whole; run again, it goes on where it stopped.")
    copies = os.path.join(backup, _snapshot.DATA)
    facts = _snapshot.recover(copies, os.path.join(backup, _snapshot.RECOVERED))
    _require_same_rows(facts, source["database"])
    engine = Engine(params["docker_host"])
    definition = _transfer_definition.build(
        source["id"],
        params["container_name"],
        reference(params),
        _have_image(engine, params),
        params["data_dir"],
        _settings(backup, params),
    )
    write_atomically(os.path.join(backup, _snapshot.DEFINITION), definition)
    legacy = {
        "id": definition["Id"],
        "name": params["container_name"],
        "restart_policy": dict(_transfer_definition.RESTART_POLICY),
    }
    extra = {
        "data_dir": params["data_dir"],
        "running": False,
        "legacy": legacy,
        "transferred_from": {key: source[key] for key in ("path", "form", "system", "installation", "left_behind")},
    }
    return _snapshot.write_manifest(backup, [_record(copies, name) for name in _snapshot.LEGACY_FILES], facts, extra)


def _record(copies: str, name: str) -> _snapshot.FileRecord:
    """A file as it arrived: the old system's owners and modes mean nothing here, so that all of it is private."""
    return _snapshot.record_of(copies, name)._replace(attributes=None)


def _require_same_rows(facts: _snapshot.RecoveredFacts, said: Mapping[str, Any]) -> None:
    if facts.counts != said["counts"] or facts.schema_head != said["schema_head"]:
        raise ReceiveError("the database opens, but has other rows than at its source; run the transfer again.")


def _have_image(engine: Engine, params: Mapping[str, Any]) -> dict[str, Any]:
    """The image's record, pulled where the host lacks it."""
    name = reference(params)
    if engine.image(name) is None:
        request = _image.ImageRequest(name, username=params["registry_username"], password=params["registry_password"])
        _image.fetch(engine.client, request)
    record = engine.image(name)
    if record is None:
        raise ReceiveError(f"image {name} is not on this host; load it (docker load), or name another one.")
    return record
