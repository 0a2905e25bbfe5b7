# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run one command in a container that runs, over the engine's socket with the standard library alone.

For evidence on hosts that have no library yet. What is run must change nothing; secrets go by environment, which the
engine shows to nobody, and never by arguments.
"""

from __future__ import annotations

import http.client
import json
from typing import Any, Mapping, NamedTuple, Sequence
from urllib.parse import quote

from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DockerReader,
    DockerReaderError,
    UnixConnection,
    connection_problem,
    engine_message,
)

_STDOUT = 1
#: Stream, three unused bytes, length (Docker's API, "Attach to a container", stream format).
_FRAME_HEADER = 8


class Answer(NamedTuple):
    """How the command ended and what it printed."""

    status: int
    output: str
    errors: str


def run(
    reader: DockerReader, container: str, command: Sequence[str], environment: Mapping[str, str], timeout: float
) -> Answer:
    """Run a command to its end. ``timeout`` is in seconds, of silence."""
    body = {
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": list(command),
        "Env": [f"{name}={value}" for name, value in environment.items()],
    }
    made = json.loads(_post(reader, f"/containers/{quote(container, safe='')}/exec", body, timeout))
    streams = _streams(_post(reader, f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False}, timeout))
    status = reader.execution(made["Id"])["ExitCode"]
    return Answer(status, *streams)


def _post(reader: DockerReader, path: str, body: Mapping[str, Any], timeout: float) -> bytes:
    connection = UnixConnection(reader.path, timeout)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", reader.versioned(path), json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise DockerReaderError(connection_problem(reader.path, error, timeout)) from error
    finally:
        connection.close()
    if response.status not in (200, 201):
        raise DockerReaderError(
            f"The Docker engine at {reader.path} answered {response.status} to POST {path}: {engine_message(content)}"
        )
    return content


def _streams(content: bytes) -> tuple[str, str]:
    """Output and errors, which the engine sends in frames."""
    parts: dict[bool, list[bytes]] = {True: [], False: []}
    place = 0
    while place + _FRAME_HEADER <= len(content):
        length = int.from_bytes(content[place + 4 : place + _FRAME_HEADER], "big")
        start = place + _FRAME_HEADER
        parts[content[place] == _STDOUT].append(content[start : start + length])
        place = start + length
    output, errors = (b"".join(parts[wanted]).decode("utf-8", "replace") for wanted in (True, False))
    return output, errors
