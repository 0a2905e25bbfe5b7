# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine's answers over a real unix socket, and what is said when there are none."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _docker_reader
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers from a table and remembers what it was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str, answers: dict[str, Any], api_version: str | None) -> None:
        super().__init__(path, Handler)
        self.answers = answers
        self.api_version = api_version
        self.asked: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Engine

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path))
        status, body = self.server.answers.get(self.path, (404, {"message": "page not found"}))
        text = body if isinstance(body, str) else json.dumps(body)
        self.send_response(status)
        if self.server.api_version:
            self.send_header("Api-Version", self.server.api_version)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_arguments: Any) -> None:
        """Nothing on the test's output."""


@contextlib.contextmanager
def engine(tmp_path: Path, answers: dict[str, Any], api_version: str | None = "1.41") -> Iterator[Engine]:
    """A running engine."""
    server = Engine(str(tmp_path / "docker.sock"), {"/_ping": (200, "OK"), **answers}, api_version)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reader(tmp_path: Path, timeout: float = 5.0) -> DockerReader:
    """A reader of that engine."""
    return DockerReader(f"unix://{tmp_path}/docker.sock", timeout)


def test_an_older_engine_is_asked_in_its_own_version(tmp_path: Path) -> None:
    with engine(tmp_path, {"/v1.41/info": (200, {"Driver": "overlay2"})}) as server:
        assert reader(tmp_path).info() == {"Driver": "overlay2"}
        assert server.asked == [("GET", "/_ping"), ("GET", "/v1.41/info")]


def test_a_newer_engine_is_asked_in_the_version_that_is_known(tmp_path: Path) -> None:
    with engine(tmp_path, {"/v1.45/version": (200, {"Version": "99"})}, api_version="1.99"):
        assert reader(tmp_path).version()["Version"] == "99"


def test_all_containers_are_listed_stopped_ones_too(tmp_path: Path) -> None:
    with engine(tmp_path, {"/v1.41/containers/json?all=true": (200, [{"Id": "a"}])}):
        assert reader(tmp_path).containers() == [{"Id": "a"}]


def test_containers_that_vanish_meanwhile_are_left_out(tmp_path: Path) -> None:
    answers = {f"/v1.41/containers/{name}/json": (200, {"Id": name}) for name in "abc"}
    with engine(tmp_path, answers):
        assert [each["Id"] for each in reader(tmp_path).inspect_all(["a", "gone", "b", "c"])] == ["a", "b", "c"]


def test_an_image_is_looked_up_by_its_full_reference(tmp_path: Path) -> None:
    reference = "registry:5000/gpustack/gpustack:v2.2.3"
    with engine(tmp_path, {f"/v1.41/images/{reference}/json": (200, {"Id": "sha256:1"})}):
        assert reader(tmp_path).image(reference) == {"Id": "sha256:1"}
        assert reader(tmp_path).image("other") is None
        assert reader(tmp_path).images([reference, "other", reference]) == {reference: {"Id": "sha256:1"}}


def test_the_engines_own_words_are_in_the_error(tmp_path: Path) -> None:
    with engine(tmp_path, {"/v1.41/info": (500, {"message": "disk on fire"})}), pytest.raises(
        DockerReaderError, match=r"answered 500 to GET /v1\.41/info: disk on fire"
    ):
        reader(tmp_path).info()


def test_something_else_on_the_socket_is_told(tmp_path: Path) -> None:
    with engine(tmp_path, {"/info": (200, "<html>")}, api_version=None), pytest.raises(
        DockerReaderError, match="not JSON; is it a Docker engine"
    ):
        reader(tmp_path).info()


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(DockerReaderError, match="does not exist; install and start Docker"):
        reader(tmp_path).info()


def test_a_file_in_the_place_of_the_socket(tmp_path: Path) -> None:
    (tmp_path / "docker.sock").touch()
    with pytest.raises(DockerReaderError, match="is not a socket"):
        reader(tmp_path).info()


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(tmp_path / "docker.sock"))
    with pytest.raises(DockerReaderError, match="Nothing listens"):
        reader(tmp_path).info()


def test_an_engine_that_hangs_is_given_up(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as mute:
        mute.bind(str(tmp_path / "docker.sock"))
        mute.listen(1)
        with pytest.raises(DockerReaderError, match=r"did not answer within 0\.05 s"):
            reader(tmp_path, timeout=0.05).info()


def test_without_permission_become_is_the_way_out() -> None:
    problem = _docker_reader.connection_problem("/var/run/docker.sock", PermissionError(13, "Permission denied"), 1.0)
    assert f"uid {os.geteuid()}; run with become: true" in problem


def test_another_hosts_engine_is_refused() -> None:
    with pytest.raises(DockerReaderError, match="must be a unix socket of the host itself"):
        DockerReader("tcp://10.0.0.1:2375")


def test_the_engines_kind_and_runtimes() -> None:
    version = {"Version": "26.1.5", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}
    info = {
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=userns", "name=selinux"],
        "Runtimes": {"runc": {}, "nvidia": {}},
        "DefaultRuntime": "nvidia",
        "DockerRootDir": "/data/docker",
        "Driver": "overlay2",
    }
    facts = _docker_reader.engine_facts(version, info)
    assert (facts["rootless"], facts["userns_remap"], facts["selinux"], facts["podman"]) == (True, True, True, False)
    assert (facts["runtimes"], facts["default_runtime"]) == (["nvidia", "runc"], "nvidia")


def test_podman_is_told_apart() -> None:
    facts = _docker_reader.engine_facts({"Components": [{"Name": "Podman Engine"}]}, {})
    assert facts["podman"] is True


def test_an_engine_that_cannot_be_read_has_every_key() -> None:
    facts = _docker_reader.unreachable_engine("why")
    assert facts.keys() == _docker_reader.engine_facts({}, {}).keys()
    assert (facts["reachable"], facts["error"]) == (False, "why")
