# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readiness over real HTTP on loopback, and lines that come when they come."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gates
from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import Endpoint, GateError


class Server(http.server.ThreadingHTTPServer):
    """Answers /readyz with 503 until it is made ready."""

    answers_until_ready = 0


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.answers_until_ready -= 1
        ready = self.path == "/readyz" and self.server.answers_until_ready < 0
        self.send_response(200 if ready else 503)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def endpoint(server: Server, path: str = "/readyz") -> Endpoint:
    return Endpoint("the API", "127.0.0.1", server.server_port, path)


def test_a_ready_server_answers(server: Server) -> None:
    assert _gates.answer_of(endpoint(server)) is None
    assert _gates.answer_of(endpoint(server, "/other")) == "HTTP status 503"


def test_a_proxy_of_the_environment_is_not_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert _gates.answer_of(endpoint(server)) is None


def test_waiting_ends_when_it_is_ready(server: Server) -> None:
    server.answers_until_ready = 2
    _gates.wait_until_ready([endpoint(server)], lambda: True, 30)


def test_waiting_ends_when_the_container_ends(server: Server) -> None:
    server.answers_until_ready = 1000
    begun = time.monotonic()
    with pytest.raises(GateError, match=r"stopped before it was ready: the API \(http://127.0.0.1"):
        _gates.wait_until_ready([endpoint(server)], lambda: False, 30)
    assert time.monotonic() - begun < 10


def test_waiting_has_a_bound_and_says_what_did_not_answer(server: Server) -> None:
    closed = Endpoint("the worker", "127.0.0.1", 1, "/healthz")
    with pytest.raises(GateError, match=r"Not ready within 0 seconds: the worker .*refused"):
        _gates.wait_until_ready([endpoint(server), closed], lambda: True, 0)


def test_nothing_to_wait_for() -> None:
    _gates.wait_until_ready([], lambda: False, 0)


def test_lines_come_through_in_order() -> None:
    assert [line for line in _gates.lines_with_ticks(iter(["a", "b"])) if line is not None] == ["a", "b"]


def test_a_silent_log_ticks() -> None:
    release = threading.Event()

    def lines() -> Iterator[str]:
        yield "first"
        release.wait(30)
        yield "last"

    seen = []
    for line in _gates.lines_with_ticks(lines()):
        seen.append(line)
        if line is None:
            release.set()
    assert seen[0] == "first"
    assert None in seen
    assert seen[-1] == "last"


def test_an_error_of_the_log_reaches_the_watcher() -> None:
    def lines() -> Iterator[str]:
        yield "first"
        raise OSError("connection reset")

    with pytest.raises(OSError, match="connection reset"):
        list(_gates.lines_with_ticks(lines()))


def issued(folder: Path, name: str) -> Path:
    """A self-signed certificate with its key, in one file."""
    path = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(Path(f"{path}.crt").read_text() + path.read_text())
    return path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: issued(folder, name) for name in ("own", "other")}


@pytest.fixture
def encrypted(server: Server, certificates: dict[str, Path]) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["own"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def tls(server: Server, certificate: Path | None) -> Endpoint:
    return Endpoint("users", "127.0.0.1", server.server_port, tls=True, certificate=certificate and str(certificate))


def test_a_certificate_that_nobody_vouches_for_is_taken(encrypted: Server, certificates: dict[str, Path]) -> None:
    for shown in (certificates["own"], None, certificates["own"].with_name("gone.pem")):
        _gates.wait_until_ready([tls(encrypted, shown)], lambda: True, 5)


def test_after_a_start_it_has_to_be_that_of_the_option(encrypted: Server, certificates: dict[str, Path]) -> None:
    other = certificates["other"]
    with pytest.raises(GateError, match=r"another certificate than that in .*other\.pem"):
        _gates.wait_until_ready([tls(encrypted, other)], lambda: True, 0)
    # Later, the file may have been renewed.
    assert _gates.answer_of(tls(encrypted, other)) is None
