# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that make a legacy container again, from what a v2 container on its data shows."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _legacy_again
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence


def v2(**changes: Any) -> dict[str, Any]:
    return {**plan_evidence.server()["installations"][0], "args": [], **changes}


def mount(source: str, destination: str, name: str | None = None, rw: bool = True) -> dict[str, Any]:
    return {"type": "volume" if name else "bind", "source": source, "destination": destination, "name": name, "rw": rw}


def created(**changes: Any) -> str:
    """The command to create it."""
    text = _legacy_again.way_out(v2(**changes), None)
    return text[text.index("docker create") :].partition(", with the GPU")[0]


def test_the_simplest_one() -> None:
    assert created() == (
        "docker create --name gpustack-old --restart unless-stopped --network host"
        " -v /data/gpustack:/var/lib/gpustack gpustack/gpustack:v0.7.1"
    )


def test_published_ports_are_given_once_per_address() -> None:
    ports = [
        {"container": "80/tcp", "host_ip": address, "host_port": 8080} for address in ("0.0.0.0", "::", "192.0.2.1")
    ]
    assert "-p 8080:80 -p 192.0.2.1:8080:80 -v" in created(network_mode="bridge", published_ports=ports)


def test_port_and_role_that_v2_was_given_were_the_legacy_ones() -> None:
    found = created(server={"port": 9090}, args=["--disable-worker", "--token", "********"])
    assert found.endswith("gpustack/gpustack:v0.7.1 --port 9090 --disable-worker")


@pytest.mark.parametrize(
    ("destination", "source"), [("/var/lib/gpustack", "gpustack-data"), ("/var/lib", "/volumes/gpustack-data/gpustack")]
)
def test_a_volume_has_its_name_where_all_of_it_is_the_data(destination: str, source: str) -> None:
    data_dir = {
        "type": "volume",
        "volume": "gpustack-data",
        "host_path": "/volumes/gpustack-data/gpustack",
        "container_path": "/var/lib/gpustack",
    }
    mounts = [mount("/volumes/gpustack-data", destination, "gpustack-data")]
    assert created(data_dir=data_dir, mounts=mounts).count(" -v ") == 1
    assert f"-v {source}:/var/lib/gpustack " in created(data_dir=data_dir, mounts=mounts)


def test_model_directories_come_along_and_the_engines_socket_does_not() -> None:
    mounts = [
        mount("/data/gpustack", "/var/lib/gpustack"),
        mount("/srv/my models", "/models", rw=False),
        mount("/run/docker.sock", "/var/run/docker.sock"),
    ]
    found = shlex.split(created(mounts=mounts))
    assert "/srv/my models:/models:ro" in found
    assert not [word for word in found if "docker.sock" in word]


def test_a_saved_definition_is_used_without_starting_anything() -> None:
    text = _legacy_again.way_out(v2(), "/var/backups/gpustack/x/container.json")
    assert "definition=/var/backups/gpustack/x/container.json name=gpustack-old start=false" in text
    assert "docker update --restart unless-stopped gpustack-old" in text
    assert "docker create" not in text


def test_nothing_secret_is_told() -> None:
    assert "planted" not in _legacy_again.way_out(
        v2(environment={"X_TOKEN": "planted"}, args=["--token", "planted"]), None
    )
