# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies in a data directory: which files, whose, and who the worker is. Secrets are never returned in clear."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _config_file, _host_facts, _masking
from ansible_collections.fleetops.gpustack.plugins.module_utils._legacy_settings import Settings

DATABASE = "database.db"
CACHE = "cache"
HUB_CACHE = "huggingface"
TOKEN = "token"
WORKER_NAME = "worker_name"
WORKER_UUID = "worker_uuid"
#: Written by upstream's installer script (install.sh@v0.7.1). It removes the whole data directory.
UNINSTALL = "uninstall.sh"
#: Written by a fresh v2 only; a migrated directory has none.
BOOTSTRAP_VERSION = "bootstrap_version"
#: What a legacy release keeps there, then what v2 adds.
FILES = (
    DATABASE,
    DATABASE + "-wal",
    DATABASE + "-shm",
    DATABASE + "-journal",
    TOKEN,
    "jwt_secret_key",
    "initial_admin_password",
    WORKER_NAME,
    WORKER_UUID,
    UNINSTALL,
    "log",
    "worker_token",
    "postgres_root_pass",
    "advertise_address",
    "external_id",
    BOOTSTRAP_VERSION,
    "kubeconfig",
)
V2_FILES = (
    "postgresql",
    "postgres",
    "postgres_root_pass",
    "run",
    "run/state_migration_done",
    "worker_token",
    "advertise_address",
    "external_id",
    BOOTSTRAP_VERSION,
    "kubeconfig",
    "higress",
    "observability",
    "prometheus",
    "grafana",
    "benchmarks",
    "gpustack_migration_temp_*",
    _config_file.COPY_NAME,
)
#: PostgreSQL writes this file once, when it makes its directory.
POSTGRESQL_MARK = "postgresql/data/PG_VERSION"
RESERVED_TOKEN_PREFIX = "gpustack"
WORKER_PORT, WORKER_METRICS_PORT = 10150, 10151
_OTHERS_READ_AND_TRAVERSE = 0o005
_DIST_INFO = re.compile(r"/gpustack-(\d+\.\d+\.\d+)[^/]*\.dist-info$")
#: Where pip puts packages in the images, below a root file system.
_PACKAGE_PATTERNS = (
    "usr/local/lib/python3*/dist-packages",
    "usr/local/lib/python3*/site-packages",
    "usr/lib/python3*/*-packages",
    "opt/*/lib/python3*/site-packages",
    "root/.local/lib/python3*/site-packages",
    # Dockerfile.rocm and Dockerfile.dcu of 0.5 and 0.6.
    "root/.local/share/pipx/venvs/gpustack/lib/python3*/site-packages",
)


def data(path: str, mountinfo: Sequence[Mapping[str, str]]) -> dict[str, Any] | None:
    """The evidence ``data`` of a directory; None when it is not there or cannot be read."""
    directory = _host_facts.owner_and_mode(path)
    if directory is None or not os.path.isdir(path) or not os.access(path, os.R_OK | os.X_OK):
        return None
    facts = {name: _host_facts.owner_and_mode(os.path.join(path, name)) for name in FILES}
    return {
        "uid": directory["uid"],
        "gid": directory["gid"],
        "mode": directory["mode"],
        "traversable_by_others": int(directory["mode"], 8) & _OTHERS_READ_AND_TRAVERSE == _OTHERS_READ_AND_TRAVERSE,
        "filesystem": _host_facts.filesystem(path, mountinfo),
        "files": {name: found for name, found in facts.items() if found is not None},
        "v2_files": v2_files(path),
        "cache": cached(path),
        "v2_since": (_host_facts.owner_and_mode(os.path.join(path, POSTGRESQL_MARK)) or {}).get("modified"),
    }


def cached(path: str) -> list[str]:
    """What lies in the directory of downloaded models, by name; a server makes empty ones of every kind."""
    try:
        with os.scandir(os.path.join(path, CACHE)) as entries:
            return sorted(entry.name for entry in entries if not entry.is_dir() or os.listdir(entry.path))
    except OSError:
        return []


def old_hub_cache(cache_dir: str | None) -> list[str]:
    """Models of Hugging Face as 0.5 and older kept them (``models--<organisation>--<name>``), as paths in the cache."""
    if cache_dir is None:
        return []
    pattern = os.path.join(glob.escape(cache_dir), HUB_CACHE, "models--*--*")
    return sorted(os.path.join(CACHE, os.path.relpath(found, cache_dir)) for found in glob.glob(pattern))


def v2_files(path: str) -> list[str]:
    """What v2 has left in a data directory, as relative paths."""
    found = [match for name in V2_FILES for match in glob.glob(os.path.join(glob.escape(path), name))]
    return sorted(os.path.relpath(match, path) for match in found)


def text_of(directory: str | None, name: str) -> str | None:
    """The stripped text of a small file of the data directory; None when there is none."""
    if directory is None:
        return None
    return _host_facts.read_line(os.path.join(directory, name)) or None


def token(settings: Settings, directory: str | None, salt: str) -> dict[str, Any]:
    """Where the registration token is, and a digest by which hosts can be compared; never the token."""
    value, source = settings.get("token"), settings.source("token")
    if value is None:
        value = text_of(directory, TOKEN)
        source = "file" if value else "none"
    value = str(value or "")
    return {
        "source": source,
        "digest": hashlib.sha256((salt + value).encode("utf-8")).hexdigest() if value and salt else None,
        "reserved_prefix": value.startswith(RESERVED_TOKEN_PREFIX),
    }


def worker(settings: Settings, directory: str | None, hostname: str | None) -> dict[str, Any]:
    """Who the worker is, by the rules of the legacy program: setting, then file, then host name."""
    name, source = settings.get("worker_name"), settings.source("worker_name")
    if name is None:
        name, source = text_of(directory, WORKER_NAME), "file"
    if name is None:
        name, source = hostname, "hostname"
    return {
        "name": name,
        "name_source": source,
        "uuid": text_of(directory, WORKER_UUID),
        "port": settings.number("worker_port", WORKER_PORT),
        "metrics_port": settings.number("metrics_port", WORKER_METRICS_PORT),
        "ip": settings.get("worker_ip"),
        "server_url": _masking.mask_url(str(settings.get("server_url") or "")) or None,
    }


def package_release(roots: Iterable[str]) -> str | None:
    """The release of the installed package below any of several roots of a container's file system."""
    for root in roots:
        for pattern in _PACKAGE_PATTERNS:
            for path in glob.glob(os.path.join(glob.escape(root), pattern, "gpustack-*.dist-info")):
                match = _DIST_INFO.search(path)
                if match:
                    return match.group(1)
    return None


def container_roots(container: Mapping[str, Any]) -> list[str]:
    """Where root finds the file system of a container: through its first process, or in the engine's storage."""
    state, storage = container["State"], (container.get("GraphDriver") or {}).get("Data") or {}
    roots = ["/proc/{}/root".format(state["Pid"])] if state.get("Running") and state.get("Pid") else []
    layers = [storage.get("UpperDir") or "", *(storage.get("LowerDir") or "").split(":")]
    return roots + [layer for layer in layers if layer]
