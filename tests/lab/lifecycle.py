# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets come up, go back to how they were, and go away."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lab import (
    access,
    docker,
    engine,
    fill,
    history,
    host_image,
    hosts,
    legacy,
    lock,
    registry,
    releases,
    seed,
    volumes,
)
from tests.lab.api import Client
from tests.lab.errors import LabError
from tests.lab.fleet import ROOT, Fleet
from tests.lab.hosts import Host
from tests.lab.layout import Options, free_subnet, registry_address
from tests.lab.progress import say, step

LABEL = "gpustack-lab.fleet"


def up(options: Options) -> Fleet:
    """Make a fleet, or find it made; a half-made one is removed and made again."""
    engine.ensure()
    if (ROOT / options.name / "fleet.json").exists():
        fleet = Fleet.load(options.name)
        if fleet.options != options:
            raise LabError(
                f"the fleet {options.name} is there, but with other options; `down --name {options.name}` removes it"
            )
        if fleet.data["complete"] and _alive(fleet):
            say(f"the fleet {options.name} is there and up; nothing to do (`reset --name {options.name}` renews it)")
            return fleet
        say(f"the fleet {options.name} is there but not whole; it is made again")
    down(options.name)
    return _make(options)


def down(name: str) -> None:
    """Remove exactly what the lab made for a fleet: its containers, volumes, network and folder."""
    engine.ensure()
    containers, kept = _labelled(name, "ps", "--all"), _labelled(name, "volume", "ls")
    networks = _labelled(name, "network", "ls")
    if containers or kept or networks:
        with step(f"removing the fleet {name}"):
            if containers:
                docker.run("rm", "--force", *containers)
            if kept:
                docker.run("volume", "rm", *kept)
            if networks:
                registry.leave(hosts.network(name))
                docker.run("network", "rm", *networks)
    shutil.rmtree(ROOT / name, ignore_errors=True)


def reset(name: str) -> Fleet:
    """Bring a fleet back to what it was when `up` had made it."""
    engine.ensure()
    fleet = Fleet.load(name)
    if not fleet.options.snapshot or not fleet.data["complete"]:
        raise LabError(f"the fleet {name} has no snapshot to go back to; make it anew with `down` and `up`")
    with step(f"taking the hosts of the fleet {name} back to their snapshot"):
        docker.run("rm", "--force", *(host.container for host in fleet.hosts.values()))
        volumes.clone((snapshot, volume) for volume, snapshot in _volumes_and_snapshots(fleet))
    since = time.time()
    with step("booting them"):
        _boot(fleet)
    with step("waiting for the legacy server and its workers"):
        wait_serving(fleet, since)
        _write_late(fleet)
    return fleet


def _make(options: Options) -> Fleet:
    folder = ROOT / options.name
    folder.mkdir(parents=True, mode=0o700)
    with lock.held():
        source, data = _prepare(options)
    fleet = Fleet(folder, data)
    fleet.data["hosts"] = {name: host.facts() for name, host in fleet.hosts.items()}
    fleet.save()
    with step(f"making {len(fleet.hosts)} hosts"):
        for host in fleet.hosts.values():
            hosts.create_volumes(host)
        volumes.clone((source, host.volumes["/var/lib/docker"]) for host in fleet.hosts.values())
        _boot(fleet)
    _write_access(fleet)
    if not options.hosts_only:
        _install_legacy(fleet)
    if options.snapshot:
        _snapshot(fleet)
    _write_late(fleet)
    fleet.data["complete"] = True
    fleet.save()
    say(f"the fleet {options.name} is up; inventory: {fleet.inventory}")
    return fleet


def _prepare(options: Options) -> tuple[str, dict[str, Any]]:
    """Have images, a seed, a network and the registry ready; return the seed and what `fleet.json` begins with."""
    host_image.ensure()
    legacy_images = releases.ensure(options.legacy)
    target_images = [image for target in options.targets for image in releases.ensure(target)]
    preload = options.seed == "all"
    source = seed.ensure(sorted({*legacy_images, *(target_images if preload else [])}))
    subnet = _network(options)
    pulled_from = None
    if not preload:
        pulled_from = registry.ensure(hosts.network(options.name), registry_address(subnet), target_images)
    data = {"name": options.name, "complete": False, "options": options.as_json(), "subnet": subnet}
    return source, {**data, "mirror": pulled_from}


def _network(options: Options) -> str:
    """Make the fleet's bridge network and return its subnet.

    Built images need nothing from outside, so their fleets' traffic stays on the bridge. A legacy worker of a published
    image fetches its tools, and may.
    """
    names = docker.out("network", "ls", "--quiet").split()
    networks = json.loads(docker.out("network", "inspect", *names))
    taken = [entry["Subnet"] for network in networks for entry in network["IPAM"]["Config"] or []]
    subnet = free_subnet(taken)
    inward = [] if releases.published() else ["--internal"]
    name = hosts.network(options.name)
    docker.run("network", "create", *inward, f"--subnet={subnet}", f"--label={LABEL}={options.name}", name)
    return subnet


def _boot(fleet: Fleet) -> None:
    """Make the containers of all hosts, start them together, and wait for each."""
    keys = access.keys(fleet.folder)
    everyone = fleet.hosts.values()
    peers = {host.name: host.address for host in everyone}
    for host in everyone:
        hosts.create(host, keys, peers, fleet.data["mirror"])
    for host in everyone:
        hosts.start(host)
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(hosts.wait_booted, everyone))


def _write_access(fleet: Fleet) -> None:
    keys = access.keys(fleet.folder)
    (fleet.folder / "known_hosts").write_text(access.known_hosts(fleet.hosts, keys))
    fleet.inventory.write_text(access.inventory(fleet.folder, fleet.hosts))


def _install_legacy(fleet: Fleet) -> None:
    options, server = fleet.options, fleet.hosts["server"]
    workers = [host for host in fleet.hosts.values() if host.name != "server"]
    since = time.time()
    with step(f"starting the GPUStack {options.legacy} server"):
        legacy.start_server(options, server)
    token = legacy.read_secret(options, server, "token")
    for worker in workers:
        legacy.start_worker(options, worker, server, token)
    fleet.data["server_url"] = f"http://{server.address}"
    fleet.data["admin"] = take_over_admin(legacy.read_secret(options, server, "initial_admin_password"), server)
    fleet.save()
    with step("waiting for every worker to be READY"):
        found = legacy.wait_ready(fleet.admin(), _worker_names(fleet), since)
    fleet.data["workers"] = [worker_facts(worker) for worker in found]
    if options.fill:
        with step("filling the fleet over its own API"):
            fleet.data.update(fill.run(fleet))
            fleet.data["late_user"] = fill.late_user()
        fleet.save()


def take_over_admin(initial: str, server: Host) -> dict[str, str]:
    """Change the generated password, as the server asks at the first login."""
    password = f"Lab-{secrets.token_hex(8)}!A1"
    client = Client(f"http://{server.address}").login("admin", initial)
    client.call("POST", "/auth/update-password", {"current_password": initial, "new_password": password})
    return {"username": "admin", "password": password}


def _worker_names(fleet: Fleet) -> set[str]:
    """The names under which the workers register: their host names."""
    names = {name for name in fleet.hosts if name != "server"}
    return names | {"server"} if fleet.options.embedded_worker else names


def worker_facts(worker: dict[str, Any]) -> dict[str, Any]:
    """What is noted of a worker, as the legacy server's API shows it."""
    devices = (worker.get("status") or {}).get("gpu_devices") or []
    facts = {key: worker.get(key) for key in ("id", "name", "hostname", "ip", "port", "worker_uuid", "labels")}
    return {**facts, "gpus": [_gpu_facts(device) for device in devices]}


def _gpu_facts(device: dict[str, Any]) -> dict[str, Any]:
    facts = {key: device.get(key) for key in ("index", "name", "uuid", "vendor", "type")}
    return {**facts, "memory": (device.get("memory") or {}).get("total")}


def _snapshot(fleet: Fleet) -> None:
    """Shut the hosts down cleanly, copy their volumes, start them again."""
    with step("keeping a snapshot for `reset`"):
        everyone = fleet.hosts.values()
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(hosts.stop, everyone))
        for _volume, snapshot in _volumes_and_snapshots(fleet):
            volumes.create(snapshot, {LABEL: fleet.data["name"]})
        volumes.clone(_volumes_and_snapshots(fleet))
        since = time.time()
        for host in everyone:
            hosts.start(host)
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(hosts.wait_booted, everyone))
        wait_serving(fleet, since)


def wait_serving(fleet: Fleet, since: float) -> None:
    """Return once the legacy server answers and every worker is READY by a heartbeat after `since`."""
    if fleet.options.hosts_only:
        return
    legacy.wait_serving(fleet.hosts["server"])
    legacy.wait_ready(fleet.admin(), _worker_names(fleet), since)


def _volumes_and_snapshots(fleet: Fleet) -> list[tuple[str, str]]:
    return [(volume, host.snapshots[path]) for host in fleet.hosts.values() for path, volume in host.volumes.items()]


def _write_late(fleet: Fleet) -> None:
    """Commit something after the server's last start, which had moved all that was older out of the write-ahead log."""
    if "late_user" in fleet.data:
        fill.create_user(fleet.admin(), fleet.data["late_user"])
        fleet.data["rows"] = history.count_rows(fleet.options, fleet.hosts["server"])
        fleet.save()


def _labelled(name: str, *listing: str) -> list[str]:
    """What one of docker's listings has of a fleet."""
    return docker.out(*listing, "--quiet", "--filter", f"label={LABEL}={name}").split()


def _alive(fleet: Fleet) -> bool:
    containers = (docker.inspect("container", host.container) for host in fleet.hosts.values())
    return all(container is not None and container["State"]["Running"] for container in containers)
