# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a data directory holds that a legacy server of macOS or Windows left, with the proof of every file.

Runs where the directory is, on any POSIX system, and only reads it. The database is copied into a private directory,
recovered, checked and counted there; every file is hashed before and after that, so that one which somebody still
writes is noticed.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import posixpath
import shutil
import sys
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _directory_users,
    _old_paths,
    _releases,
    _snapshot,
    _sqlite_reader,
    _transfer_layout,
    _transfer_settings,
    _transfer_source,
    _wal,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_layout import Layout
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_source import Entry, Source, SourceError

DATA, SETTINGS = "data", "settings"
_DEADLINE = 600.0
_SECONDS = 30
_MIB = 1024 * 1024
#: Where macOS keeps what the data directory does not hold (0.7.1: install.sh, docs/installation/desktop-installer.md).
_MACOS_SETTINGS = (
    "/Library/LaunchDaemons/ai.gpustack.plist",
    "/Users/*/Library/Application Support/GPUStackHelper/config.yaml",
)

#: How a legacy server is stopped, by the system that it ran on.
HOW_TO_STOP = {
    _transfer_layout.MACOS: (
        "quit GPUStack in the menu bar (desktop installer), or run: sudo launchctl bootout system "
        "/Library/LaunchDaemons/ai.gpustack.plist"
    ),
    _transfer_layout.WINDOWS: (
        "quit GPUStack in the notification area (desktop installer), or run as administrator: Stop-Service GPUStack"
    ),
    _transfer_layout.OTHER_SYSTEM: "stop the service or process that runs `gpustack start`",
}


class Request(NamedTuple):
    """What is asked for."""

    path: str
    #: Further settings files on the same machine.
    settings: Sequence[str]
    arguments: Sequence[str]
    environment: Mapping[str, str]
    cache: bool
    #: Whether the archive itself is hashed, for it is copied as a whole first.
    whole: bool
    #: A private directory for a copy of the database.
    scratch: str
    #: Runs a command, as AnsibleModule.run_command does.
    run: RunCommand


def read(request: Request) -> dict[str, Any]:
    """The evidence of a source; refuses what cannot be transferred."""
    with _transfer_source.opened(request.path) as source:
        entries = source.entries()
        layout = _transfer_layout.detect(entries, os.path.abspath(request.path))
        _require(layout)
        _require_links_away(layout, request.cache)
        _refuse_users(request, layout, source)
        settings = _settings_files(request, source, layout)
        wanted = _read_settings(request, settings)
        before = {name: _hash(source, entry) for name, entry in layout.files.items()}
        database = _database(source, layout, request.scratch)
        _require_unchanged(source, layout, before)
        worker = _embedded_worker(source, layout, database)
        cache = _cache(source, layout, request.cache)
    files = [_file(DATA, name, entry, before[name]) for name, entry in sorted(layout.files.items())]
    files += [_settings_file(name, *settings[name]) for name in sorted(settings)]
    return {
        "path": os.path.abspath(request.path),
        "form": source.form,
        "archive": _whole(request) if request.whole and source.form != _transfer_source.FOLDER else None,
        "id": _identity(files),
        "system": layout.system,
        "installation": layout.installation,
        "files": files,
        "cache": cache,
        "cache_size": sum(entry.size for entry in layout.cache.values()),
        "left_behind": [*layout.left_behind, *layout.cache_links],
        "noise": layout.noise,
        "database": database,
        "worker": worker,
        "settings": {"kept": wanted.kept, "dropped": wanted.dropped, "port": _port(wanted)},
        "warnings": _warnings(layout, wanted, settings),
    }


def _require(layout: Layout) -> None:
    if layout.problems:
        raise SourceError(" ".join(layout.problems))


def _require_links_away(layout: Layout, cache: bool) -> None:
    if not cache:
        return
    if layout.cache_links:
        raise SourceError(
            "its caches hold links or the like ({}); pack the files themselves (tar: --dereference, on macOS -L), "
            "or leave the caches out (gpustack_transfer_cache: false).".format(", ".join(layout.cache_links[:5]))
        )
    clashes = _transfer_layout.twice_in_cache(layout.cache)
    if clashes:
        raise SourceError(f"its caches have {clashes[0]} below a name that is a file; pack the directory anew.")


def _refuse_users(request: Request, layout: Layout, source: Source) -> None:
    """Whoever has one of the files open on this machine; of an archive there is nobody to ask."""
    if source.form != _transfer_source.FOLDER:
        return
    paths = [entry.member for entry in layout.files.values()]
    has_proc = os.path.isdir("/proc/self/fd")
    pids = _directory_users.processes(paths) if has_proc else _by_lsof(request.run, paths)
    if pids:
        raise SourceError(
            "the server still runs: process {} has its database open. Stop it ({}), then run again.".format(
                ", ".join(map(str, pids)), HOW_TO_STOP[_system_here(layout)]
            )
        )


def _system_here(layout: Layout) -> str:
    return _transfer_layout.MACOS if sys.platform == "darwin" else layout.system


def _by_lsof(run: RunCommand, paths: Sequence[str]) -> list[int]:
    """Where there is no /proc: macOS and the BSDs bring lsof."""
    try:
        _status, output, _error = run(["lsof", "-t", "--", *paths], handle_exceptions=False)
    except OSError as error:
        raise SourceError(
            f"whether the server still runs cannot be seen here (lsof: {error.strerror or error}); pack the directory "
            "with the server stopped, and name the archive."
        ) from error
    return sorted({int(word) for word in output.split() if word.isdigit()})


def _settings_files(request: Request, source: Source, layout: Layout) -> dict[str, tuple[str, bool, bytes]]:
    """By the name that they get: the path, whether that is in the source, and what is in it."""
    inside = [(entry.member, True, b"".join(_transfer_source.blocks(source, entry))) for entry in layout.settings]
    found: dict[str, tuple[str, bool, bytes]] = {}
    for each in [*inside, *((path, False, _content(path)) for path in _beside(request, source, layout))]:
        name = os.path.basename(each[0].replace("\\", "/"))
        if name in found:
            raise SourceError(
                f"there are several {name} ({found[name][0]}, {each[0]}), and only one can be the server's; name "
                "that in gpustack_transfer_settings, and leave the other out."
            )
        found[name] = each
    return found


def _beside(request: Request, source: Source, layout: Layout) -> list[str]:
    """Files that were named, and the property list of the Mac that this is."""
    on_the_mac = sys.platform == "darwin" and source.form == _transfer_source.FOLDER
    if on_the_mac and layout.system == _transfer_layout.MACOS and not request.settings:
        return [path for pattern in _MACOS_SETTINGS for path in sorted(glob.glob(pattern))]
    return list(request.settings)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror or error}; name the settings files (gpustack_transfer_settings) "
            "by absolute paths on the machine of the source."
        ) from error


def _read_settings(request: Request, settings: Mapping[str, tuple[str, bool, bytes]]) -> _transfer_settings.Wanted:
    contents = {name: content for name, (_path, _inside, content) in settings.items()}
    try:
        return _transfer_settings.read(contents, request.arguments, request.environment)
    except _transfer_settings.SettingsError as error:
        raise SourceError(str(error)) from None


def _port(wanted: _transfer_settings.Wanted) -> int:
    words = wanted.arguments
    return int(words[words.index("--port") + 1]) if "--port" in words else 80


def _hash(source: Source, entry: Entry) -> str:
    digest = hashlib.sha256()
    try:
        for block in _transfer_source.blocks(source, entry):
            digest.update(block)
    except OSError as error:
        raise SourceError(
            f"{entry.name} cannot be read: {error.strerror or error}; read it as its owner or as root (become)."
        ) from error
    return digest.hexdigest()


def _file(kind: str, name: str, entry: Entry, sha256: str) -> dict[str, Any]:
    return {"kind": kind, "name": name, "path": entry.member, "inside": True, "size": entry.size, "sha256": sha256}


def _settings_file(name: str, path: str, inside: bool, content: bytes) -> dict[str, Any]:
    facts = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {"kind": SETTINGS, "name": name, "path": path, "inside": inside, **facts}


def _require_unchanged(source: Source, layout: Layout, before: Mapping[str, str]) -> None:
    """The second reading, after everything else: the whole set is of one moment. An archive is one anyway."""
    if source.form != _transfer_source.FOLDER:
        return
    changed = [name for name, entry in layout.files.items() if _hash(source, entry) != before[name]]
    there = {entry.name.lower() for entry in source.entries()}
    changed += [
        name
        for name in _snapshot.DATABASE_FILES
        if posixpath.join(layout.root, name).lower() in there and name not in layout.files
    ]
    if changed:
        raise SourceError(
            "{} changed while it was read: the server still runs. Stop it ({}), then run again.".format(
                ", ".join(changed), HOW_TO_STOP[layout.system]
            )
        )


def _database(source: Source, layout: Layout, scratch: str) -> dict[str, Any]:
    """The database, recovered from a copy."""
    copies = os.path.join(scratch, "copies")
    _require_room(layout, scratch)
    os.mkdir(copies, 0o700)
    for name in _snapshot.DATABASE_FILES:
        if name in layout.files:
            with open(os.path.join(copies, name), "wb") as target:
                for block in _transfer_source.blocks(source, layout.files[name]):
                    target.write(block)
    _require_finished(copies, layout.system)
    hot_journal = _snapshot.hot_journal(os.path.join(copies, _snapshot.DATABASE))
    try:
        facts = _snapshot.recover(copies, os.path.join(scratch, "recovered"))
    except _snapshot.SnapshotError as error:
        raise SourceError(
            f"the database cannot be restored from these files ({error}). Where they were copied while the server ran, "
            f"stop it ({HOW_TO_STOP[layout.system]}) and copy them again, database.db-wal included."
        ) from error
    release = _releases.legacy_release(facts.schema_head or "")
    if release not in _releases.TRANSFER_SUPPORTED:
        raise SourceError(
            "database.db has schema revision {}, {}; only {} are transferred. Bring the server to 0.7.1 by upstream's "
            "guide first, on the old machine.".format(
                facts.schema_head,
                f"that of GPUStack {release}" if release else "which no legacy release has",
                " and ".join(_releases.TRANSFER_SUPPORTED),
            )
        )
    with _opened(os.path.join(scratch, "recovered", _snapshot.DATABASE)) as connection:
        contents = _sqlite_reader.contents(connection)
        old_paths = _old_paths.find(connection)
    return {
        "schema_head": facts.schema_head,
        "release": release,
        "counts": facts.counts,
        "hot_journal": hot_journal,
        "workers": contents["workers"],
        "old_paths": old_paths,
    }


def _require_room(layout: Layout, scratch: str) -> None:
    need = 2 * sum(layout.files[name].size for name in _snapshot.DATABASE_FILES if name in layout.files)
    free = shutil.disk_usage(scratch).free
    if free < need:
        raise SourceError(
            f"the database is tried in a copy first, for which {scratch} has {free // _MIB} MiB free of "
            f"{need // _MIB + 1} MiB; make room there, or set ansible_remote_tmp to another place."
        )


def _require_finished(copies: str, system: str) -> None:
    with contextlib.suppress(FileNotFoundError), open(os.path.join(copies, _snapshot.DATABASE + "-wal"), "rb") as log:
        if not _wal.is_finished(log):
            raise SourceError(
                "database.db-wal ends in the middle of a transaction: the files are those of a server that ran, or "
                f"that was killed. Start it once more, stop it properly ({HOW_TO_STOP[system]}), and take them again."
            )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    with _sqlite_reader.transaction(path, "mode=ro", _DEADLINE) as connection:
        yield connection


def _cache(source: Source, layout: Layout, wanted: bool) -> list[dict[str, Any]]:
    """The files of the caches with their hashes; none where they stay behind."""
    if not wanted:
        return []
    return [
        {"name": name, "path": entry.member, "size": entry.size, "sha256": _hash(source, entry)}
        for name, entry in layout.cache.items()
    ]


def _whole(request: Request) -> dict[str, Any]:
    return {"sha256": _snapshot.hash_file(request.path), "size": os.stat(request.path).st_size}


def _identity(files: Sequence[Mapping[str, Any]]) -> str:
    """What tells this source from another: names, sizes and hashes of what travels."""
    facts = [[each["kind"], each["name"], each["size"], each["sha256"]] for each in files]
    return hashlib.sha256(json.dumps(facts).encode("utf-8")).hexdigest()


def _embedded_worker(source: Source, layout: Layout, database: Mapping[str, Any]) -> dict[str, Any] | None:
    """The server's own worker, by its identity files; it stays with its GPUs."""
    for name, key in (("worker_uuid", "uuid"), ("worker_name", "name")):
        value = _line(source, layout, name)
        for worker in database["workers"]:
            if value and worker[key] == value:
                gpus = [gpu["name"] or gpu["vendor"] for gpu in worker["gpus"]]
                return {"name": worker["name"], "gpus": gpus}
    return None


def _line(source: Source, layout: Layout, name: str) -> str:
    """The stripped text of an identity file, as GPUStack reads it."""
    if name not in layout.files:
        return ""
    return b"".join(_transfer_source.blocks(source, layout.files[name])).decode("utf-8", "replace").strip()


def _warnings(layout: Layout, wanted: _transfer_settings.Wanted, settings: Mapping[str, Any]) -> list[str]:
    found = []
    if layout.system == _transfer_layout.OTHER_SYSTEM:
        found.append("nothing in it speaks of macOS or Windows; it is taken as any other data directory of 0.7")
    names = {os.path.basename(name) for name in settings}
    config = wanted.config_file and wanted.config_file.replace("\\", "/").rpartition("/")[2]
    if config and config not in names:
        found.append(
            f"the service reads {wanted.config_file}, which is not here; name a copy in gpustack_transfer_settings, or "
            "give its settings by gpustack_transfer_args"
        )
    if not settings:
        found.append(
            "there is no settings file (macOS: ai.gpustack.plist, config.yaml; Windows: gpustack.env, config.yaml, and "
            "`nssm get GPUStack AppParameters`); the server gets the defaults, and gpustack_transfer_args"
        )
    if "token" not in layout.files and "token" not in wanted.kept:
        found.append(
            "there is no registration token, so the server makes a new one, and its workers cannot join; give the old "
            "one as GPUSTACK_TOKEN in gpustack_transfer_env"
        )
    return found
