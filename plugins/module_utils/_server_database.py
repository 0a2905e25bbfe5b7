# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PostgreSQL in which a server's container keeps its rows: the embedded one, or an external one; for reading."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _database_address,
    _external_database,
    _postgres,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader


def connect(record: Mapping[str, Any], data_dir: str) -> Any:
    """A connection to the database of a running container; close it."""
    if _external_database.is_external(record):
        return _postgres.connect_external(_external_database.url_of(record))
    return _postgres.connect(data_dir, *_database_address.of_record(record))


def connect_by_params(params: Mapping[str, Any]) -> Any:
    """The same for a module's parameters: of its `container`, where one is given, else at its `host` and `port`."""
    record = _record(params)
    if record is not None and _external_database.is_external(record):
        return _postgres.connect_external(_external_database.url_of(record))
    return _postgres.connect(params["data_dir"], *_database_address.of_params(params))


def is_external(params: Mapping[str, Any]) -> bool:
    """Whether the `container` of a module's parameters keeps its rows in an external database."""
    record = _record(params)
    return record is not None and _external_database.is_external(record)


def _record(params: Mapping[str, Any]) -> dict[str, Any] | None:
    return DockerReader(params["docker_host"]).inspect(params["container"]) if params["container"] else None
