# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model instances by the API: a real HTTP server answers as GPUStack does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gates, _server_api

KEY = "gpustack_0123456789abcdef_planted-secret"


class Api(BaseHTTPRequestHandler):
    """Has the instances 1 and 2; 3 cannot be deleted."""

    def do_DELETE(self) -> None:
        number = int(self.path.rpartition("/")[2])
        right = self.path == f"/v2/model-instances/{number}" and self.headers["Authorization"] == f"Bearer {KEY}"
        status = {1: 200, 2: 200, 3: 500}.get(number, 404) if right else 401
        body = json.dumps({"code": status, "message": f"no such thing as {number}"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[_gates.Endpoint]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield _gates.Endpoint("the API", "127.0.0.1", server.server_address[1])
        server.shutdown()


def test_instances_are_deleted_and_unknown_ones_named(endpoint: _gates.Endpoint) -> None:
    assert _server_api.delete_instances(endpoint, KEY, [1, 9, 2]) == ([1, 2], [9])


def test_a_refusal_of_the_server_is_repeated(endpoint: _gates.Endpoint) -> None:
    with pytest.raises(_server_api.ServerApiError, match="model instance 3: HTTP status 500, no such thing as 3"):
        _server_api.delete_instances(endpoint, KEY, [3])


def test_a_wrong_key_has_a_way_out(endpoint: _gates.Endpoint) -> None:
    with pytest.raises(_server_api.ServerApiError, match="create one as an administrator"):
        _server_api.delete_instances(endpoint, "other", [1])


def test_a_key_that_is_no_header_does_not_show(endpoint: _gates.Endpoint) -> None:
    with pytest.raises(_server_api.ServerApiError) as caught:
        _server_api.delete_instances(endpoint, f"{KEY}\n", [1])
    assert "planted" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_server_that_is_not_there_says_so() -> None:
    with pytest.raises(_server_api.ServerApiError, match=r"127\.0\.0\.1:1 does not answer"):
        _server_api.delete_instances(_gates.Endpoint("the API", "127.0.0.1", 1), KEY, [1])
