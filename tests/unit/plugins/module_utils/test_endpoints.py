# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where services answer, for each kind of network and each way to move a port."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _endpoints, _releases
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import GateError
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records

CERTIFICATE = ["--ssl-certfile", "/c.pem", "--ssl-keyfile", "/k.pem"]


def record(command: list[str], network: str = "host", ports: dict[str, Any] | None = None, ip: str = "") -> Any:
    """A container with what the engine says of its network."""
    made = engine_records.container(command=command, NetworkMode=network)
    made["NetworkSettings"] = {"Ports": ports or {}, "Networks": {network: {"IPAddress": ip}}}
    return made


def v2(command: list[str], role: str, release: str = "2.2.3", **others: Any) -> list[str]:
    """The endpoints of a v2 container, as text."""
    made = record(command, **others)
    made["Config"]["Image"] = f"gpustack/gpustack:v{release}"
    made["Config"]["Entrypoint"] = engine_records.V2_ENTRY_POINT
    settings = describe(made).settings
    return [str(found) for found in _endpoints.v2_endpoints(made, settings, _releases.find(release), role)]


def legacy(command: list[str], role: str, **others: Any) -> list[str]:
    """The endpoints of a legacy container, as text."""
    made = record(command, **others)
    return [str(found) for found in _endpoints.legacy_endpoints(made, describe(made).settings, role)]


def test_a_server_answers_on_its_api_port_and_on_the_users_port() -> None:
    assert v2([], "server") == [
        "the API (http://127.0.0.1:30080/readyz)",
        "the port that users call (http://127.0.0.1:80/readyz)",
    ]


def test_the_api_port_is_the_releases() -> None:
    assert v2([], "server", release="2.0.0")[0] == "the API (http://127.0.0.1:8080/readyz)"


def test_moved_ports_are_followed() -> None:
    assert v2(["--api-port", "31080", "--port", "8088"], "server") == [
        "the API (http://127.0.0.1:31080/readyz)",
        "the port that users call (http://127.0.0.1:8088/readyz)",
    ]


def test_users_of_a_server_with_a_certificate_call_the_tls_port() -> None:
    assert v2([*CERTIFICATE, "--tls-port", "8443"], "server")[1] == (
        "the port that users call (https://127.0.0.1:8443/readyz)"
    )


@pytest.mark.parametrize(("mounts", "path"), [([engine_records.bind("/etc/tls", "/c")], "/etc/tls/c.pem"), ([], None)])
def test_the_certificate_to_be_shown_is_that_of_the_option(mounts: list[Any], path: str | None) -> None:
    command = ["--ssl-certfile", "/c/c.pem", "--ssl-keyfile", "/c/k.pem"]
    made = engine_records.container(command=command, mounts=mounts, NetworkMode="host")
    settings = describe(made).settings
    assert _endpoints.legacy_endpoints(made, settings, "server")[0].certificate == path
    assert _endpoints.v2_endpoints(made, settings, _releases.find("2.2.3"), "server")[1].certificate == path


def test_without_a_gateway_there_is_the_api_alone() -> None:
    assert v2(["--gateway-mode", "disabled"], "server") == ["the API (http://127.0.0.1:30080/readyz)"]


def test_an_embedded_worker_answers_too() -> None:
    assert v2([], "both")[-1] == "the worker (http://127.0.0.1:10150/healthz)"


def test_a_worker_answers_on_its_own_port() -> None:
    assert v2(["--server-url", "http://s", "--worker-port", "10250"], "worker") == [
        "the worker (http://127.0.0.1:10250/healthz)"
    ]


@pytest.mark.parametrize(("bound", "called"), [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("10.0.0.5", "10.0.0.5")])
def test_on_a_bridge_the_published_port_is_called_and_the_gateway_answers_for_the_api(bound: str, called: str) -> None:
    ports = {"80/tcp": [{"HostIp": bound, "HostPort": "8080"}]}
    assert v2([], "server", network="bridge", ports=ports) == [
        f"the port that users call (http://{called}:8080/readyz)"
    ]


def test_a_port_that_is_not_published_is_called_at_the_container() -> None:
    assert v2([], "server", network="bridge", ip="172.17.0.2") == [
        "the port that users call (http://172.17.0.2:80/readyz)"
    ]


def test_a_container_without_an_address_is_refused() -> None:
    with pytest.raises(GateError, match="has no address in network none"):
        v2([], "server", network="none")


def test_legacy_ports() -> None:
    assert legacy([], "server") == ["the legacy server (http://127.0.0.1:80/readyz)"]
    assert legacy(["--port", "9090"], "both") == ["the legacy server (http://127.0.0.1:9090/readyz)"]
    assert legacy(CERTIFICATE, "server") == ["the legacy server (https://127.0.0.1:443/readyz)"]
    assert legacy(["--server-url", "http://s"], "worker") == ["the legacy worker (http://127.0.0.1:10150/healthz)"]
