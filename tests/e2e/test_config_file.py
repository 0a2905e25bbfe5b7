# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server and worker are set up by a configuration file with keys that v2 does not know, or reads otherwise.

The server's has single sign-on by OIDC, too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import outside, playbook, secrets, single_sign_on, supervised
from tests.e2e.conftest import NAME
from tests.lab import lifecycle
from tests.lab.fleet import Fleet, Reach
from tests.lab.layout import Options

CONFIGURED = f"{NAME}-configured"
#: The strictest release: at a key that it does not know it does not start.
RELEASE = "2.0.3"
FILE = "/etc/gpustack/config.yaml"
COPY = "gpustack-v2.yaml"
SECRET = "lab-planted-in-a-config-file-06"
CLIENT_SECRET = "lab-planted-client-secret-07"
#: Who comes by single sign-on.
SUBJECT = "ida@example.com"
METRICS = 10188
SERVER = f"""\
# The server's settings.
host: 0.0.0.0
port: 80
disable_worker: true
metrics_port: {METRICS}

enable_ray: false
rpc_server_args:
  - --verbose
allow_origins: ["https://ui.example.com"]  # our own page
huggingface_token: {SECRET}
oidc_issuer: {{issuer}}
oidc_client_id: gpustack
oidc_client_secret: {CLIENT_SECRET}
oidc_redirect_uri: http://{{address}}{single_sign_on.CALLBACK}
"""
WORKER = f"""\
server_url: http://{{server}}
token: {{token}}
worker_ip: {{address}}
metrics_port: {METRICS}
huggingface_token: '{SECRET}'
"""
ACCEPTED: dict[str, Any] = {"gpustack_version": RELEASE, "gpustack_accept_losses": ["dropped_options"]}


def configure(host: Reach, text: str) -> None:
    """The host's legacy container, made again with everything in a file."""
    image = outside.image_of(host)
    host.exec_root("mkdir", "--parents", "--mode=0700", "/etc/gpustack")
    host.run(f"sudo tee {FILE} >/dev/null", stdin=text)
    supervised.remove(host)
    fixed = ["--name", "gpustack", "--network=host", "--restart=unless-stopped", "--volume=/etc/gpustack:/etc/gpustack"]
    data = f"--volume={outside.DATA_DIR}:{supervised.DATA}"
    host.exec_root("docker", "run", "--detach", *fixed, data, image, "--config-file", FILE)


def of_server(fleet: Fleet) -> str:
    """What the server's file says."""
    return SERVER.format(issuer=single_sign_on.issuer(fleet), address=fleet.hosts["server"].address)


@pytest.fixture(scope="module")
def configured() -> Iterator[Fleet]:
    """A server and a worker, each with a configuration file."""
    fleet = lifecycle.up(Options(CONFIGURED, workers=1, gpu_workers=0, targets=(RELEASE,), snapshot=False))
    since, server, worker = time.time(), fleet.host("server"), fleet.host("worker1")
    token = server.exec_root("cat", f"{outside.DATA_DIR}/token").strip()
    # The server asks its provider before it serves.
    with single_sign_on.provider(fleet):
        configure(server, of_server(fleet))
        addresses = {"server": server.host.address, "address": worker.host.address}
        configure(worker, WORKER.format(token=token, **addresses))
        lifecycle.wait_serving(fleet, since)
        secrets.plant({"in a configuration file": SECRET, "of single sign-on": CLIENT_SECRET})
        with secrets.sampled_arguments(fleet) as samples:
            yield fleet
    secrets.assert_none_shown(fleet, samples)
    lifecycle.down(CONFIGURED)


def sums(fleet: Fleet) -> dict[str, dict[str, str]]:
    return {name: outside.sha256(fleet.host(name), FILE) for name in fleet.hosts}


def signed_on(fleet: Fleet, path: str) -> tuple[int, str]:
    """Who the server takes somebody for who comes by single sign-on: id and source."""
    user = single_sign_on.log_in(f"http://{fleet.hosts['server'].address}", SUBJECT).call("GET", path)
    assert user["username"] == SUBJECT
    return user["id"], user["source"]


@pytest.fixture(scope="module")
def ida(configured: Fleet) -> tuple[int, str]:
    """A user whom the legacy server made when she came by single sign-on."""
    return signed_on(configured, "/v1/users/me")


@pytest.fixture(scope="module")
def before(configured: Fleet) -> dict[str, dict[str, str]]:
    """Checksums of the files as the operator wrote them."""
    return sums(configured)


def copy_of(host: Reach) -> str:
    return host.exec_root("cat", f"{outside.DATA_DIR}/{COPY}")


def test_the_file_itself_keeps_v2_from_starting(configured: Fleet) -> None:
    """Without a translation: the image as it is, on data of its own."""
    server = configured.host("server")
    image = f"gpustack/gpustack:v{RELEASE}"
    command = ["docker", "run", "--rm", "--name", "untranslated", "--network=none", f"--volume={FILE}:{FILE}:ro", image]
    said = server.exec_root("sh", "-c", f'timeout 300 {" ".join(command)} --config-file {FILE} 2>&1; echo "rc $?"')
    assert "Extra inputs are not permitted" in said
    assert not said.endswith(("rc 0", "rc 124"))


def test_what_would_be_lost_is_refused_by_key(configured: Fleet, before: dict[str, dict[str, str]]) -> None:
    run = playbook.run(configured, "upgrade.yml", gpustack_version=RELEASE)
    assert run.code != 0
    assert run.said(f"rpc_server_args in {FILE}")
    assert run.said("gpustack_accept_losses")
    assert all(outside.is_legacy(configured.host(name)) for name in configured.hosts)


@pytest.mark.proves("installations", "config_file", RELEASE)
def test_the_fleet_goes_over_with_translated_copies(
    configured: Fleet, before: dict[str, dict[str, str]], ida: tuple[int, str]
) -> None:
    run = playbook.run(configured, "upgrade.yml", **ACCEPTED)
    assert run.code == 0, run.output[-6000:]
    outside.assert_upgraded(configured, RELEASE)
    assert run.report["results"]["server"]["switched"]["parity"]["equal"] is True
    assert sums(configured) == before

    expected = of_server(configured)
    for lost in (f"metrics_port: {METRICS}\n\n", "enable_ray: false\n", "rpc_server_args:\n  - --verbose\n"):
        expected = expected.replace(lost, "")
    assert copy_of(configured.host("server")).split("\n", 1)[1] == expected.strip().removeprefix("\n")
    assert f"worker_metrics_port: {METRICS}" in copy_of(configured.host("worker1"))
    for name in configured.hosts:
        host = configured.host(name)
        assert host.exec_root("stat", "--format=%a %U", f"{outside.DATA_DIR}/{COPY}").split() == ["600", "root"]
        command = outside.gpustack(host)["Config"]["Cmd"]
        assert command[command.index("--config-file") + 1] == f"{supervised.DATA}/{COPY}"
    assert SECRET not in json.dumps(run.report)


@pytest.mark.proves("installations", "config_file", RELEASE)
def test_v2_obeys_the_copies(configured: Fleet) -> None:
    worker = configured.hosts["worker1"].address
    assert outside.status(f"http://{worker}:{METRICS}/metrics") == 200
    server = configured.host("server")
    listening = server.exec_root("ss", "-Hltn", f"sport = :{METRICS}")
    assert listening == ""


@pytest.mark.proves("installations", "oidc", RELEASE)
def test_whoever_comes_by_single_sign_on_is_the_same_user(configured: Fleet, ida: tuple[int, str]) -> None:
    assert signed_on(configured, "/v2/users/me") == ida


@pytest.mark.proves("installations", "config_file", RELEASE)
def test_a_second_run_changes_nothing(configured: Fleet) -> None:
    again = playbook.run(configured, "upgrade.yml", **ACCEPTED)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}


@pytest.mark.proves("installations", "oidc", RELEASE)
def test_the_way_back_sets_the_copies_aside(
    configured: Fleet, before: dict[str, dict[str, str]], ida: tuple[int, str]
) -> None:
    since = time.time()
    run = playbook.run(configured, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert run.code == 0, run.output[-6000:]
    lifecycle.wait_serving(configured, since)
    outside.assert_legacy_serves(configured)
    assert sums(configured) == before
    for name in configured.hosts:
        kept = configured.host(name).exec_root(
            "sh", "-c", f"cd {outside.DATA_DIR} && ls -d {COPY} .gpustack-v2-*/{COPY}; true"
        )
        assert kept.split() == [f".gpustack-v2-{outside.attempt(configured.host(name))}/{COPY}"]
    assert signed_on(configured, "/v1/users/me") == ida
