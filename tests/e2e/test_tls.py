# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with a certificate of a private authority on a port of its own, called by name, directly and through NAT.

worker1 calls the server by its name. worker2 sees it, and is seen by it, at addresses and a port that only translation
leads on. The server has single sign-on by SAML, with a user who came by it.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e import certificates, outside, playbook
from tests.lab import legacy, lifecycle
from tests.lab.api import Client, wait_until
from tests.lab.fleet import Fleet, Reach

NAME, NAT_NAME = "gpustack.lab.test", "gpustack.nat.test"
PORT, NAT_PORT, WORKER_PORT = 8443, 9443, 10350
SERVER_OUTSIDE, WORKER_OUTSIDE = "198.51.100.11", "198.51.100.22"
ENV_FILE = "/etc/gpustack-legacy.env"
IN_CONTAINER = "/certs"
ACS_URL = f"https://{NAME}:{PORT}/auth/saml/callback"
#: Arguments of the server beside those that it has.
SERVER = ["--port", str(PORT), "--ssl-keyfile", f"{IN_CONTAINER}/server.key"]
SERVER += ["--ssl-certfile", f"{IN_CONTAINER}/server.pem"]
SAML = {
    "GPUSTACK_SAML_IDP_SERVER_URL": "https://idp.example.com/saml",
    "GPUSTACK_SAML_IDP_ENTITY_ID": "https://idp.example.com",
    "GPUSTACK_SAML_SP_ENTITY_ID": "gpustack",
    "GPUSTACK_SAML_SP_ACS_URL": ACS_URL,
}
SAML_USER = "ines@example.com"
MARK_USER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    change = "UPDATE users SET source = 'SAML', username = ? WHERE username = ?"
    assert database.execute(change, sys.argv[2:]).rowcount == 1
"""
ACCEPTED: dict[str, Any] = {"gpustack_accept_rollback_losses": True}


def secure(fleet: Fleet, authority: str) -> Client:
    """The administrator's session at the port of the certificate."""
    url = f"https://{fleet.hosts['server'].address}:{PORT}"
    client = Client(url, context=certificates.context(authority))
    return client.login(fleet.data["admin"]["username"], fleet.data["admin"]["password"])


def name_hosts(host: Reach, names: dict[str, str]) -> None:
    lines = "".join(f"{address} {name}\n" for name, address in names.items())
    host.run("sudo tee -a /etc/hosts >/dev/null", stdin=lines)


def translate(host: Reach, outside_address: str, port: int, to: str) -> None:
    """What the host sends to an address and port of nobody goes to somebody."""
    # Without a route the packet would be refused before anything translates it.
    host.exec_root("ip", "route", "add", f"{outside_address}/32", "dev", "eth0")
    rule = ["-d", outside_address, "-p", "tcp", "--dport", str(port), "-j", "DNAT", "--to-destination", to]
    host.exec_root("iptables", "-t", "nat", "-A", "OUTPUT", *rule)


def run_again(host: Reach, image: str, gpus: bool, environment: dict[str, str], arguments: list[str]) -> None:
    """The host's container anew, on its data, with the folder of certificates."""
    entries = {**legacy.PLANTED_ENVIRONMENT, **environment}
    host.run(f"sudo tee {ENV_FILE} >/dev/null", stdin="".join(f"{name}={value}\n" for name, value in entries.items()))
    host.exec_root("chmod", "0600", ENV_FILE)
    host.exec_root("docker", "rm", "--force", "gpustack")
    command = ["docker", "run", "--detach", "--name", "gpustack", "--restart=unless-stopped", "--network=host"]
    command += [f"--env-file={ENV_FILE}", "--volume", f"{outside.DATA_DIR}:/var/lib/gpustack"]
    command += [
        "--volume",
        f"{certificates.FOLDER}:{IN_CONTAINER}:ro",
        *(["--gpus", "all", "--ipc=host"] if gpus else []),
    ]
    host.exec_root(*command, image, *arguments)


@pytest.fixture(scope="module")
def encrypted(fleet: Fleet) -> str:
    """The fleet once it speaks TLS alone; the authority's certificate."""
    server, worker1, worker2 = (fleet.host(name) for name in ("server", "worker1", "worker2"))
    token = server.exec_root("cat", f"{outside.DATA_DIR}/token").strip()
    images = {name: outside.image_of(fleet.host(name)) for name in fleet.hosts}
    authority = certificates.issue(server, [NAME, NAT_NAME])
    address = server.host.address
    for worker in (worker1, worker2):
        certificates.trust(worker, authority)
    name_hosts(worker1, {NAME: address})
    name_hosts(worker2, {NAT_NAME: SERVER_OUTSIDE})
    translate(worker2, SERVER_OUTSIDE, NAT_PORT, f"{address}:{PORT}")
    # v2 finds the interface of `--worker-ip` by the route to it, and the lab's hosts have no default route.
    worker2.exec_root("ip", "route", "add", f"{WORKER_OUTSIDE}/32", "dev", "eth0")
    translate(server, WORKER_OUTSIDE, WORKER_PORT, f"{worker2.host.address}:{WORKER_PORT}")

    since = time.time()
    server.exec_root("docker", "stop", "gpustack")
    was = fleet.data["users"][-1]["username"]
    server.sudo("python3", "-", f"{outside.DATA_DIR}/database.db", SAML_USER, was, stdin=MARK_USER)
    run_again(server, images["server"], False, SAML, ["--disable-worker", *SERVER])
    trusting = {"GPUSTACK_TOKEN": token, "SSL_CERT_FILE": f"{IN_CONTAINER}/{certificates.AUTHORITY}"}
    direct = ["--server-url", f"https://{NAME}:{PORT}", "--worker-ip", worker1.host.address]
    run_again(worker1, images["worker1"], True, trusting, direct)
    translated = ["--server-url", f"https://{NAT_NAME}:{NAT_PORT}", "--worker-ip", WORKER_OUTSIDE]
    run_again(worker2, images["worker2"], False, trusting, [*translated, "--worker-port", str(WORKER_PORT)])
    wait_ready(fleet, authority, since)
    return authority


def wait_ready(fleet: Fleet, authority: str, since: float) -> None:
    """Until both workers are READY at the port of the certificate; what is noted of them is from then."""

    def ready() -> list[dict[str, Any]] | None:
        found = secure(fleet, authority).items("/v1/workers")
        there = {worker["name"]: worker for worker in found if worker["state"] == "ready"}
        if set(there) != {"worker1", "worker2"} or there["worker2"]["ip"] != WORKER_OUTSIDE:
            return None
        fresh = all(legacy.heartbeat(each) > since for each in there.values())
        return found if fresh and all(_listens(fleet, each) for each in found) else None

    way_out = "look at the logs of the containers"
    found = wait_until("both workers to be READY by TLS", ready, legacy.READY_TIMEOUT, way_out)
    fleet.data["workers"] = [lifecycle.worker_facts(worker) for worker in found]


def _listens(fleet: Fleet, worker: dict[str, Any]) -> bool:
    return outside.listens(fleet.hosts[worker["name"]].address, worker["port"])


@pytest.mark.proves("installations", "tls", "2.2.3")
@pytest.mark.proves("installations", "nat", "2.2.3")
@pytest.mark.proves("installations", "sso", "2.2.3")
def test_the_fleet_goes_over(fleet: Fleet, encrypted: str) -> None:
    run = playbook.run(fleet, "upgrade.yml")
    assert run.code == 0, run.output[-6000:]
    for said in ("single sign-on by SAML", ACS_URL, "takes signed SAML responses only"):
        assert run.said(said), said
    assert run.report["results"]["server"]["switched"]["parity"]["equal"] is True

    new = outside.gpustack(fleet.host("server"))
    command = new["Config"]["Cmd"]
    assert command[command.index("--tls-port") + 1] == str(PORT)
    assert SAML.items() <= outside.environment_of(new).items()
    sources = dict(outside.psql(fleet.host("server"), "SELECT name, source FROM principals WHERE kind = 'USER'"))
    assert sources[SAML_USER] == "SAML"
    admin = secure(fleet, encrypted)
    found = outside.workers(admin)
    assert {name: (each["state"], each["id"], each["ip"]) for name, each in found.items()} == {
        each["name"]: ("ready", each["id"], each["ip"]) for each in fleet.data["workers"]
    }
    assert found["worker2"]["ip"] == WORKER_OUTSIDE


def test_a_second_run_changes_nothing(fleet: Fleet, encrypted: str) -> None:
    again = playbook.run(fleet, "upgrade.yml")
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}


@pytest.mark.proves("installations", "tls", "2.2.3")
@pytest.mark.proves("installations", "nat", "2.2.3")
@pytest.mark.proves("installations", "sso", "2.2.3")
def test_the_fleet_comes_back(fleet: Fleet, encrypted: str) -> None:
    before = {each["name"]: (each["id"], each["ip"]) for each in fleet.data["workers"]}
    since = time.time()
    run = playbook.run(fleet, "rollback.yml", **ACCEPTED)
    assert run.code == 0, run.output[-6000:]
    wait_ready(fleet, encrypted, since)
    assert {each["name"]: (each["id"], each["ip"]) for each in fleet.data["workers"]} == before
    for name in fleet.hosts:
        assert outside.is_legacy(fleet.host(name))
