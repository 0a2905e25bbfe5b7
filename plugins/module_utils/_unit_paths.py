# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The paths of the host that a GPUStack without a container uses, as mounts of the same paths. Reads only.

v2's options name paths inside its container (gpustack/config/config.py), so each path of the legacy settings has to be
there too.
"""

from __future__ import annotations

import os
from typing import Iterable, Iterator

from ansible_collections.fleetops.gpustack.plugins.module_utils._legacy_settings import Settings
from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import IMAGE_DATA_DIR

#: Settings that name a directory, or a file, of the host (gpustack/cmd/start.py@v0.7.1).
_DIRECTORIES = ("cache_dir", "log_dir", "bin_dir")
_FILES = ("config_file", "ssl_keyfile", "ssl_certfile", "model_catalog_file")
#: Directories whose entries may be links to another disk.
_LINKED = ("", "cache")


def mounts(found: Settings) -> tuple[list[tuple[str, str]], dict[str, str] | None]:
    """Source on the host and target in the container; and what stands in the way: a path that is not there."""
    named = [("data_dir", str(found.get("data_dir", IMAGE_DATA_DIR)))]
    named += [(name, str(found.get(name))) for name in (*_DIRECTORIES, *_FILES) if found.get(name)]
    paths = [(name, path) for name, path in named if "://" not in path]
    for name, path in paths:
        problem = _problem(name, path)
        if problem:
            return [], problem
    data_dir = os.path.normpath(paths[0][1])
    return same_paths([*(path for _name, path in paths), *_links(data_dir)]), None


def _problem(name: str, path: str) -> dict[str, str] | None:
    option = "--" + name.replace("_", "-")
    if not os.path.isabs(path):
        return {
            "cause": f"{option} is a path from the working directory of its process ({path})",
            "way_out": "give an absolute path, load the unit (systemctl daemon-reload), restart it, and run again",
        }
    if not os.path.exists(path):
        return {
            "cause": f"{option} names {path}, which is not on this host",
            "way_out": "start the unit once, so that it makes its directories, or correct the option",
        }
    return None


def _links(data_dir: str) -> Iterator[str]:
    """Where links in the data directory lead: in a container they would lead nowhere."""
    for folder in _LINKED:
        try:
            with os.scandir(os.path.join(data_dir, folder)) as entries:
                yield from (os.path.realpath(entry.path) for entry in entries if entry.is_symlink() and entry.is_dir())
        except OSError:
            continue


def same_paths(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Each path under its own name; one that lies below another one needs no mount of its own, unless it is linked."""
    found: dict[str, str] = {}
    for path in (os.path.normpath(path) for path in paths):
        real = os.path.realpath(path)
        if not any(_leads_to(path, real, source, target) for target, source in found.items()):
            found[path] = real
    return [(source, target) for target, source in sorted(found.items())]


def _leads_to(path: str, real: str, source: str, target: str) -> bool:
    """Whether a path that lies below a mount is, through that mount, the same file as on the host."""
    inside = os.path.relpath(path, target)
    return not inside.startswith("..") and os.path.normpath(os.path.join(source, inside)) == real


def model_volumes(paths: Iterable[str], mounted: Iterable[str]) -> list[str]:
    """Volumes (source:target) for the models with a local path that are on this host and in no mount yet."""
    folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in paths if _is_here(path)]
    covered = [os.path.normpath(target) for target in mounted]
    return [
        f"{source}:{target}"
        for source, target in same_paths(sorted(set(folders)))
        if not any(target == each or target.startswith(each.rstrip("/") + "/") for each in covered)
    ]


def _is_here(path: str) -> bool:
    return os.path.isabs(path) and ":" not in path and os.path.exists(path) and os.path.dirname(path) != "/"
