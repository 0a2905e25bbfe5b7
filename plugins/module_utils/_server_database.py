# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database of a server's container, for reading: the embedded PostgreSQL, or an external one."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _database_address,
    _database_url,
    _external_database,
    _libraries,
    _postgres,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader


def connect(record: Mapping[str, Any], data_dir: str) -> Any:
    """A connection to the database of a running container; close it."""
    if _external_database.is_external(record):
        return _external_database.connect(_external_database.url_of(record))
    return _postgres.connect(data_dir, *_database_address.of_record(record))


def connect_by_params(params: Mapping[str, Any]) -> Any:
    """The same for a module's parameters: of its `container`, where one is given, else at its `host` and `port`."""
    record = _record(params)
    if record is not None and _external_database.is_external(record):
        return _external_database.connect(_external_database.url_of(record))
    return _postgres.connect(params["data_dir"], *_database_address.of_params(params))


def is_external(params: Mapping[str, Any]) -> bool:
    """Whether the `container` of a module's parameters keeps its rows in an external database."""
    record = _record(params)
    return record is not None and _external_database.is_external(record)


def kind(record: Mapping[str, Any] | None) -> str:
    """The kind of database of a container (`postgresql`, `mysql`); PostgreSQL where nothing tells."""
    if record is None or not _external_database.is_external(record):
        return _database_url.POSTGRESQL
    return _external_database.url_of(record).kind


def library(record: Mapping[str, Any] | None) -> str:
    """The library that reads the database of a container."""
    return _libraries.of_database(kind(record)).module


def library_by_params(params: Mapping[str, Any]) -> str:
    """The same for a module's parameters."""
    return library(_record(params))


def _record(params: Mapping[str, Any]) -> dict[str, Any] | None:
    return DockerReader(params["docker_host"]).inspect(params["container"]) if params["container"] else None
