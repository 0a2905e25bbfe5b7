# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model instances by the API of a v2 server on this host, with an API key that never shows."""

from __future__ import annotations

import http.client
import json
from typing import Iterable, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import Endpoint, connection_to

#: Both are GPUStack's (2.0.0 on: routes/routes.py).
INSTANCES = "/v2/model-instances"
DONE, GONE, UNKNOWN_KEY, NOT_ALLOWED = 200, 404, 401, 403


class ServerApiError(Exception):
    """The server did not do what it was asked; the message says why and what helps."""


class Deleted(NamedTuple):
    """Instances that the server deleted, and those that it does not have, or does not show to this key."""

    deleted: list[int]
    unknown: list[int]


def delete_instances(endpoint: Endpoint, key: str, ids: Iterable[int]) -> Deleted:
    """Delete model instances. The server makes a new one in place of each, as a model's replicas ask for."""
    deleted, unknown = [], []
    for number in ids:
        status, said = _request(endpoint, key, "DELETE", f"{INSTANCES}/{number}")
        if status == GONE:
            unknown.append(number)
        elif status == DONE:
            deleted.append(number)
        else:
            raise ServerApiError(f"the server did not delete model instance {number}: {_explained(status, said)}")
    return Deleted(deleted, unknown)


def _request(endpoint: Endpoint, key: str, method: str, path: str) -> tuple[int, bytes]:
    connection = connection_to(endpoint)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        address = f"{endpoint.host}:{endpoint.port}"
        raise ServerApiError(
            f"the server's API at {address} does not answer: {error or type(error).__name__}"
        ) from None
    except ValueError:
        # What http.client says of a header that cannot be one holds the key.
        raise ServerApiError("the API key holds characters that no key has; give it as the web page shows it") from None
    finally:
        connection.close()


def _explained(status: int, said: bytes) -> str:
    if status == UNKNOWN_KEY:
        return "it does not know the API key (401); create one as an administrator of the v2 server"
    if status == NOT_ALLOWED:
        return "the API key may not do that (403); create one with all scopes as an administrator of the v2 server"
    return f"HTTP status {status}, {_message(said)}"


def _message(said: bytes) -> str:
    try:
        answer = json.loads(said)
    except ValueError:
        return said[:200].decode("utf-8", "replace")
    return str(answer.get("message", answer) if isinstance(answer, Mapping) else answer)
