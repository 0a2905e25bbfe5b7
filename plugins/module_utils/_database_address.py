# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the embedded PostgreSQL of a server's container answers, seen from its host."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _endpoints, _gates
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError

PORT = 5432


class AddressError(Exception):
    """The container's database cannot be found; the message says the way out."""


def of_record(record: Mapping[str, Any]) -> tuple[str, int]:
    """Host and port, from the engine's record of a running container."""
    return _endpoints.container_address(record), describe(record).settings.number("database_port", PORT)


def of_params(params: Mapping[str, Any]) -> tuple[str, int]:
    """The same for a module's parameters: of its `container`, where one is given, else its `host` and `port`."""
    if not params["container"]:
        return params["host"], params["port"]
    try:
        record = DockerReader(params["docker_host"]).inspect(params["container"])
        if record is None or not record["State"]["Running"]:
            raise AddressError(
                f"container {params['container']} does not run; start it, or see why it stopped (docker logs)"
            )
        return of_record(record)
    except (DockerReaderError, _gates.GateError) as error:
        raise AddressError(str(error)) from error
