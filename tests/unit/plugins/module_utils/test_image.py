# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image: what it is held against, and what an operator reads when it cannot be had."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Iterator

import docker
import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _image

REFERENCE = "gpustack/gpustack:v2.2.3"
ID = "sha256:" + "1" * 64
DIGEST = "sha256:" + "2" * 64


def request(**given: Any) -> _image.ImageRequest:
    return _image.ImageRequest(REFERENCE, **given)


@pytest.mark.parametrize("pin", [None, ID, DIGEST, f"gpustack/gpustack@{DIGEST}", f"registry:5000/mirror@{DIGEST}"])
def test_a_pin_is_an_id_or_a_digest_of_any_registry(pin: str | None) -> None:
    attributes = {"Id": ID, "RepoDigests": [f"gpustack/gpustack@{DIGEST}"]}
    _image.check_pin(request(pin=pin), attributes)


def test_another_image_than_the_pinned_one_is_refused_with_both() -> None:
    with pytest.raises(_image.ImageError, match=rf"{ID}.*pinned to {DIGEST}.*docker image rm"):
        _image.check_pin(request(pin=DIGEST), {"Id": ID, "RepoDigests": []})


def test_an_image_for_another_architecture_is_refused() -> None:
    _image.check_architecture(REFERENCE, {"Architecture": "amd64"}, "amd64")
    with pytest.raises(_image.ImageError, match=r"built for arm64.*runs amd64"):
        _image.check_architecture(REFERENCE, {"Architecture": "arm64"}, "amd64")


def test_the_version_must_be_the_one_asked_for() -> None:
    _image.check_version(REFERENCE, "2.2.3", "v2.2.3")
    with pytest.raises(_image.ImageError, match=r"is 2\.0\.3, asked for 2\.2\.3"):
        _image.check_version(REFERENCE, "2.0.3", "2.2.3")


class Reader:
    """What is read of an engine that has one image."""

    def __init__(self, attributes: dict[str, Any] | None) -> None:
        self.attributes = attributes

    def image(self, reference: str) -> dict[str, Any] | None:
        return self.attributes

    def version(self) -> dict[str, Any]:
        return {"Arch": "amd64"}


def test_an_image_that_is_not_there() -> None:
    assert _image.find(Reader(None), request()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("digests", "pin"), [([], ID), ([f"gpustack/gpustack@{DIGEST}"], f"gpustack/gpustack@{DIGEST}")]
)
def test_other_hosts_are_held_to_the_digest_where_there_is_one(digests: list[str], pin: str) -> None:
    attributes = {"Id": ID, "RepoDigests": digests, "Size": 5, "Architecture": "amd64"}
    found = _image.find(Reader(attributes), request())  # type: ignore[arg-type]
    assert found is not None
    assert found["pin"] == pin


class Engine(BaseHTTPRequestHandler):
    """An engine whose registry answers with one error, in the middle of the stream as real ones do."""

    reason = ""
    credentials: str | None = None

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        type(self).credentials = self.headers.get("X-Registry-Auth")
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in ({"status": "Pulling from gpustack/gpustack"}, {"error": self.reason}, {}):
            line = (json.dumps(event) + "\r\n").encode() if event else b""
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def client() -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield docker.DockerClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.45")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("reason", "way_out"),
    [
        ("manifest unknown: manifest unknown", "check gpustack_version and gpustack_image"),
        ("pull access denied, repository does not exist", "gpustack_registry_username"),
        ("write /var/lib/docker/tmp/x: no space left on device", "free space"),
        ("dial tcp: lookup registry: no such host", "gpustack_image_archive"),
    ],
)
def test_the_registrys_reason_and_a_way_out(client: Any, reason: str, way_out: str) -> None:
    Engine.reason = reason
    with pytest.raises(_image.ImageError, match=f"{REFERENCE} could not be pulled: {reason}; .*{way_out}"):
        _image.fetch(client, request())


def test_credentials_travel_in_the_request_and_never_in_the_error(client: Any) -> None:
    Engine.reason = "unauthorized: user fleet with password hunter2 is unknown"
    with pytest.raises(_image.ImageError) as caught:
        _image.fetch(client, request(username="fleet", password="hunter2"))
    assert Engine.credentials
    assert "hunter2" not in str(caught.value)
    assert "unauthorized" in str(caught.value)


def test_an_archive_that_is_not_there(client: Any) -> None:
    with pytest.raises(_image.ImageError, match=r"could not be loaded from /nonexistent\.tar.*No such file"):
        _image.fetch(client, request(archive="/nonexistent.tar"))
