# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet that nobody wrote down: its server names the hosts, before the upgrade and after it, and so does its backup.

Ansible gets the inventory plugin's file, and beside it the variables of ssh, of which GPUStack knows nothing.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import outside, playbook, secrets
from tests.lab.fleet import Fleet

PLUGIN = "fleetops.gpustack.gpustack"
BACKUPS = "backups"
#: What every source must say alike of a host.
LASTING = {"ansible_host", "gpustack_worker_name", "gpustack_worker_gpu_vendor", "gpustack_worker_gpu_count"}


@pytest.fixture(scope="module")
def folder(fleet: Fleet) -> Path:
    """The plugin's file for the fleet's server, and the variables of ssh."""
    folder = fleet.folder / "unwritten"
    (folder / "group_vars").mkdir(parents=True, exist_ok=True)
    login = yaml.safe_load(fleet.inventory.read_text())["all"]["vars"]
    (folder / "group_vars/all.yml").write_text(yaml.safe_dump(login))
    (folder / "gpustack.yml").write_text(yaml.safe_dump({"plugin": PLUGIN, "server_url": fleet.data["server_url"]}))
    return folder


def ansible(key: str, fleet: Fleet, program: str, source: Path, *arguments: str) -> tuple[int, str, str]:
    """How a program of Ansible ended and what it printed, with the fleet's hosts from one source alone."""
    done = subprocess.run(
        [str(Path(playbook.ansible_playbook()).with_name(program)), "--inventory", str(source), *arguments],
        capture_output=True,
        text=True,
        env=playbook.environment(GPUSTACK_API_KEY=key),
        cwd=playbook.CHECKOUT,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    playbook.log(fleet, program, done.stdout + done.stderr)
    return done.returncode, done.stdout, done.stderr


def ask(key: str, fleet: Fleet, source: Path) -> tuple[int, str, str]:
    """Have Ansible print the inventory that it makes of a source."""
    arguments = ["--list", "--playbook-dir", str(playbook.PLAYBOOKS), *playbook.LOUD[:1]]
    return ansible(key, fleet, "ansible-inventory", source, *arguments)


def listed(key: str, fleet: Fleet, source: Path) -> dict[str, Any]:
    """The inventory that Ansible makes of a source."""
    code, output, errors = ask(key, fleet, source)
    assert code == 0, output[-4000:] + errors[-4000:]
    # Ansible marks texts that it will not evaluate as templates.
    found: dict[str, Any] = json.loads(
        output[output.index("\n{\n") :], object_hook=lambda value: value.get("__ansible_unsafe", value)
    )
    return found


def upgrade(key: str, fleet: Fleet, source: Path, **variables: Any) -> playbook.Run:
    extra = ["--extra-vars", json.dumps(variables)] if variables else []
    arguments = [str(playbook.PLAYBOOKS / "upgrade.yml"), *playbook.LOUD, *extra]
    code, output, errors = ansible(key, fleet, "ansible-playbook", source, *arguments)
    assert code == 0, output[-4000:] + errors[-4000:]
    return playbook.Run(code, output, {})


def new_key(fleet: Fleet) -> str:
    """A key that an administrator creates on the v2 server for all organizations; hidden as those of before."""
    body = {"name": "inventory", "description": "", "expires_in": 0}
    key = str(fleet.admin().call("POST", "/v2/api-keys", body)["value"])
    secrets.plant({"API key of v2": key})
    return key


def lasting(inventory: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The hosts with what lasts."""
    return {
        host: {key: value for key, value in variables.items() if key in LASTING}
        for host, variables in inventory["_meta"]["hostvars"].items()
    }


def members(inventory: dict[str, Any], group: str) -> set[str]:
    return set(inventory.get(group, {}).get("hosts", []))


def server_of(fleet: Fleet) -> str:
    """By its URL, all that anybody knows of it, the server is called by its address."""
    return fleet.hosts["server"].address


def names(fleet: Fleet) -> dict[str, str]:
    """The name of each host's worker by the host's address."""
    return {worker["ip"]: worker["name"] for worker in fleet.data["workers"]}


def assert_fleet(fleet: Fleet, inventory: dict[str, Any]) -> None:
    """Every host of the lab is there, under its address, in the groups of its role and its GPUs."""
    server, workers = server_of(fleet), names(fleet)
    assert members(inventory, "gpustack_servers") == {server}
    assert members(inventory, "gpustack_workers") == set(workers.values())
    addresses = {name: host["ansible_host"] for name, host in lasting(inventory).items()}
    assert addresses == {server: server, **{name: address for address, name in workers.items()}}
    with_gpus = {workers[host.address] for host in fleet.hosts.values() if host.gpus}
    assert members(inventory, "gpu_nvidia") == with_gpus
    assert members(inventory, "gpu_cpu") == set(workers.values()) - with_gpus


def test_a_legacy_server_an_upgrade_with_its_answer_alone_and_the_v2_server(fleet: Fleet, folder: Path) -> None:
    source, backups, key = folder / "gpustack.yml", folder / BACKUPS, fleet.data["api_key"]

    before = listed(key, fleet, source)
    assert_fleet(fleet, before)
    variables = before["_meta"]["hostvars"]
    assert variables[server_of(fleet)]["gpustack_server_release"] == "0.7.1"
    uuids = {
        host["gpustack_worker_name"]: host["gpustack_worker_uuid"]
        for host in variables.values()
        if host.get("gpustack_worker_name")
    }
    assert uuids == {worker["name"]: worker["worker_uuid"] for worker in fleet.data["workers"]}

    upgrade(key, fleet, source, gpustack_backup_fetch_dir=str(backups))
    outside.assert_upgraded(fleet, "2.2.3")

    # A 2.2 server shows no workers to a key of before.
    code, output, errors = ask(key, fleet, source)
    assert code != 0
    assert "lists no workers to this API key; from 2.2 on, keys from before the upgrade" in output + errors

    key = new_key(fleet)
    after = listed(key, fleet, source)
    assert_fleet(fleet, after)
    assert lasting(after) == lasting(before)
    assert after["_meta"]["hostvars"][server_of(fleet)]["gpustack_server_release"] == "2.2.3"
    assert members(after, "cluster_Default_Cluster") == set(names(fleet).values())

    again = upgrade(key, fleet, source)
    assert set(again.recap("changed")) == {server_of(fleet), *names(fleet).values()}
    assert set(again.recap("changed").values()) == {0}


def test_the_backup_that_the_upgrade_left_names_the_same_fleet(fleet: Fleet, folder: Path) -> None:
    kept = folder / BACKUPS / server_of(fleet)
    source = folder / "restored.gpustack.yml"
    source.write_text(yaml.safe_dump({"plugin": PLUGIN, "backup": str(kept)}))
    files = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}

    found = listed("", fleet, source)

    assert_fleet(fleet, found)
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == files
