# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy data directory of macOS or Windows by the names in it: where it is, what travels, what stays behind. Pure.

Where GPUStack 0.7 keeps its data: install.sh and install.ps1 of the tag, docs/installation/desktop-installer.md, and
gpustack/config/config.py (data_dir).
"""

from __future__ import annotations

import posixpath
from typing import Iterable, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_source import DIRECTORY, FILE, LINK, Entry

MACOS, WINDOWS, OTHER_SYSTEM = "macos", "windows", "other"
DESKTOP, SCRIPT, UNKNOWN = "desktop installer", "script", "unknown"
CACHE = "cache"
PLIST, ENVIRONMENT_FILE, HELPER_CONFIG = "ai.gpustack.plist", "gpustack.env", "config.yaml"
#: The file that SQLite makes anew from the others.
SHARED_MEMORY = _snapshot.DATABASE + "-shm"
#: What only a 2.x release makes.
V2_NAMES = ("postgresql", "postgres", "postgres_root_pass", "higress")
#: What file managers and archivers of the old systems add.
_NOISE = (".ds_store", "thumbs.db", "desktop.ini")
_NOISE_PARTS = ("__MACOSX", ".Spotlight-V100", ".fseventsd", ".Trashes")
#: The end of a data directory's path to the system and the way of installation.
_PLACES = (
    ("library/application support/gpustack", MACOS, DESKTOP),
    ("programdata/gpustack", WINDOWS, DESKTOP),
    ("appdata/roaming/gpustack", WINDOWS, SCRIPT),
)


class Layout(NamedTuple):
    """What a source holds."""

    #: Where the data directory is in the source, "" or a path.
    root: str
    system: str
    installation: str
    #: Database and identity files by their name in the data directory.
    files: dict[str, Entry]
    settings: list[Entry]
    #: Files of the caches by their path below ``cache/``.
    cache: dict[str, Entry]
    #: Links and the like in the caches.
    cache_links: list[str]
    #: Entries of the data directory that stay, directories with a slash.
    left_behind: list[str]
    noise: int
    #: Why nothing can be transferred, each with its way out.
    problems: list[str]


def detect(entries: Sequence[Entry], path: str = "") -> Layout:
    """The layout of a source's entries. ``path`` is where the source itself lies."""
    real = [entry for entry in entries if not is_noise(entry.name)]
    noise = len(entries) - len(real)
    roots = sorted({posixpath.dirname(entry.name) for entry in real if _is_database(entry)})
    settings = [entry for entry in real if _is_settings(entry)]
    if len(roots) != 1:
        return Layout("", OTHER_SYSTEM, UNKNOWN, {}, settings, {}, [], [], noise, [_no_root(roots)])
    root = roots[0]
    inside = [(_relative(entry.name, root), entry) for entry in real]
    own = [(name, entry) for name, entry in inside if name]
    system, installation = _origin(posixpath.join(path.replace("\\", "/"), root), real)
    files, problems = _files(own)
    cache, links = _cache(own)
    return Layout(
        root,
        system,
        installation,
        files,
        settings,
        cache,
        links,
        _left_behind(own),
        noise,
        [*problems, *_of_v2(own), *_cache_problems(own)],
    )


def is_noise(name: str) -> bool:
    """Whether an entry is none of GPUStack's: AppleDouble files, what Finder and Explorer leave."""
    parts = name.split("/")
    return parts[-1].startswith("._") or parts[-1].lower() in _NOISE or any(part in _NOISE_PARTS for part in parts)


def _is_database(entry: Entry) -> bool:
    parts = entry.name.lower().split("/")
    return parts[-1] == _snapshot.DATABASE and entry.kind != DIRECTORY and CACHE not in parts


def _is_settings(entry: Entry) -> bool:
    name = posixpath.basename(entry.name)
    if entry.kind != FILE or CACHE in entry.name.lower().split("/"):
        return False
    if name == HELPER_CONFIG:
        return "gpustack" in posixpath.basename(posixpath.dirname(entry.name)).lower() or "/" not in entry.name
    return name in (PLIST, ENVIRONMENT_FILE)


def _no_root(roots: Sequence[str]) -> str:
    if not roots:
        return (
            "there is no database.db in it, so it is no data directory of a GPUStack 0.x server; name the folder that "
            "holds database.db, or an archive of it (macOS: /Library/Application Support/GPUStack, /var/lib/gpustack; "
            r"Windows: C:\ProgramData\GPUStack, %APPDATA%\gpustack)."
        )
    return "it holds several data directories ({}); name, or pack, the one that is meant.".format(
        ", ".join(root or "." for root in roots)
    )


def _relative(name: str, root: str) -> str:
    """The path below the root; empty for what lies outside of it."""
    if not root:
        return name
    return name[len(root) + 1 :] if name.startswith(root + "/") else ""


def _origin(place: str, entries: Iterable[Entry]) -> tuple[str, str]:
    """The old system, by where the directory lay, else by what only that system's installation has in it."""
    lower = place.lower().rstrip("/")
    for end, system, installation in _PLACES:
        if ("/" + lower).endswith("/" + end):
            return system, installation
    names = [entry.name.lower() for entry in entries]
    if any(posixpath.basename(name) == ENVIRONMENT_FILE for name in names):
        return WINDOWS, SCRIPT
    if any(name.endswith(".exe") for name in names):
        return WINDOWS, UNKNOWN
    if any(posixpath.basename(name) == PLIST for name in names):
        return MACOS, SCRIPT if lower.endswith("var/lib/gpustack") else UNKNOWN
    if any("-darwin-" in name for name in names):
        return MACOS, SCRIPT if lower.endswith("var/lib/gpustack") else UNKNOWN
    return OTHER_SYSTEM, UNKNOWN


def _files(own: Iterable[tuple[str, Entry]]) -> tuple[dict[str, Entry], list[str]]:
    """Database and identity files. Windows does not mind upper and lower case, Linux does."""
    files: dict[str, Entry] = {}
    problems = []
    for name, entry in own:
        known = name.lower()
        if known not in _snapshot.LEGACY_FILES:
            continue
        if known in files:
            problems.append(
                f"it has {known} twice ({files[known].name}, {entry.name}), and only one can be the server's; pack the "
                "data directory anew, into a new archive."
            )
        elif entry.kind != FILE:
            problems.append(f"{entry.name} is no regular file but a {entry.kind}; put or pack the file itself there.")
        files.setdefault(known, entry)
    return files, problems


def _cache(own: Iterable[tuple[str, Entry]]) -> tuple[dict[str, Entry], list[str]]:
    files: dict[str, Entry] = {}
    links = []
    for name, entry in own:
        top, _slash, rest = name.partition("/")
        if top.lower() != CACHE or not rest or entry.kind == DIRECTORY:
            continue
        if entry.kind == FILE:
            files[rest] = entry
        else:
            links.append(entry.name)
    return files, links


def _cache_problems(own: Iterable[tuple[str, Entry]]) -> list[str]:
    return [
        f"{entry.name} is no directory but a {entry.kind}; name the folder that it stands for."
        for name, entry in own
        if name.lower() == CACHE and entry.kind == LINK
    ]


def twice_in_cache(cache: Iterable[str]) -> list[str]:
    """Paths of the caches that clash: a name that is a file and a directory at once."""
    names = set(cache)
    return sorted(name for name in names if any(parent in names for parent in _parents(name)))


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _left_behind(own: Iterable[tuple[str, Entry]]) -> list[str]:
    kept = (*_snapshot.LEGACY_FILES, SHARED_MEMORY, CACHE, ENVIRONMENT_FILE, HELPER_CONFIG)
    found = set()
    for name, entry in own:
        top, slash, _rest = name.partition("/")
        if top.lower() not in kept:
            found.add(top + ("/" if slash or entry.kind == DIRECTORY else ""))
    return sorted(found)


def _of_v2(own: Iterable[tuple[str, Entry]]) -> list[str]:
    found = sorted({name.partition("/")[0] for name, _entry in own} & set(V2_NAMES))
    if not found:
        return []
    return [
        "it holds files of a 2.x release ({}); transfer the directory as 0.7 left it, or a backup of that.".format(
            ", ".join(found)
        )
    ]
