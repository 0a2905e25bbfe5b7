# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin under the real ansible-inventory, against a local server that gives the recorded answers of real ones.

The end-to-end test of the same name (tests/e2e) asks the real servers themselves.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import legacy_database
import pytest
import yaml
from recorded_server import KEY, RELEASES, recorded, recording, serving

from ansible_collections.fleetops.gpustack.plugins.inventory.gpustack import InventoryModule
from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot

CHECKOUT = Path(__file__).resolve().parents[4]
PLUGIN = "fleetops.gpustack.gpustack"
OWN = "inference1"
WORKERS = {"gpu1": "192.0.2.21", "npu1": "192.0.2.22", "192.0.2.23": "192.0.2.23"}


def own_address(release: str) -> str:
    """Where the recorded server's own worker was."""
    prefix = "/v1/workers?" if release.startswith("0.") else "/v2/workers?sort_by=name&"
    items = recording(release)["admin"][f"{prefix}page=1&perPage=100"]["body"]["items"]
    return str(next(item["ip"] for item in items if item["name"] == OWN))


def write(folder: Path, name: str = "gpustack.yml", **options: Any) -> Path:
    """A file of the plugin."""
    path = folder / name
    path.write_text(yaml.safe_dump({"plugin": PLUGIN, **options}, sort_keys=False))
    return path


def run(program: str, *arguments: str | Path, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A program of Ansible as a controller has it; the API key must not be in what it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "GPUSTACK_"))}
    environment |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), **variables}
    done = subprocess.run(
        [sys.executable, str(Path(sys.executable).with_name(program)), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=CHECKOUT,
        input=text,
        check=False,
    )
    assert KEY not in done.stdout + done.stderr
    return done


def inventory(*sources: Path, key: str | None = KEY, arguments: tuple[str, ...] = (), **variables: str) -> Any:
    """What `ansible-inventory --list` makes of sources, as loud as it can be."""
    command = [word for source in sources for word in ("-i", str(source))]
    if key is not None:
        variables["GPUSTACK_API_KEY"] = key
    done = run("ansible-inventory", *command, "--playbook-dir", "playbooks", "--list", "-vvvv", *arguments, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout[done.stdout.index("\n{\n") :], object_hook=plain)


def plain(value: dict[str, Any]) -> Any:
    """Ansible marks texts that it will not evaluate as templates."""
    return value.get("__ansible_unsafe", value)


def failure(*sources: Path, key: str | None = KEY) -> str:
    """What a run prints that has to fail because nothing of the sources can be read, its line breaks taken out."""
    command = [word for source in sources for word in ("-i", str(source))]
    variables = {} if key is None else {"GPUSTACK_API_KEY": key}
    # Else Ansible stops at the first.
    variables["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = str(len(sources) == 1)
    done = run("ansible-inventory", *command, "--playbook-dir", "playbooks", "--list", "-vvvv", **variables)
    assert (done.returncode != 0) == (len(sources) == 1)
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


def members(found: Any) -> dict[str, set[str]]:
    """The hosts of every group."""
    return {name: set(group["hosts"]) for name, group in found.items() if "hosts" in group}


@pytest.mark.parametrize("release", RELEASES)
def test_a_server_of_any_release_yields_its_fleet(release: str, tmp_path: Path) -> None:
    with serving(recorded(release)) as seen:
        address = own_address(release)
        source = write(tmp_path, server_url=seen.url, server_name="ai", server_address=address)
        found = inventory(source)

    groups, variables = members(found), found["_meta"]["hostvars"]
    assert groups["gpustack_servers"] == {"ai"}
    assert groups["gpustack_workers"] == set(WORKERS)
    assert groups["gpu_nvidia"] == {"gpu1"}
    assert groups["gpu_ascend"] == {"npu1"}
    assert groups["label_rack_A_7"] == {"gpu1"}
    assert groups["label_example_com_zone_eu_1"] == {"gpu1"}
    assert groups["label_spot"] == {"192.0.2.23"}
    assert groups["label_os_linux"] == {"ai", *WORKERS}
    everybody = {"ai", *WORKERS}
    assert groups.get("cluster_Default_Cluster", set()) == (set() if release.startswith("0.") else everybody)
    assert {name: host["ansible_host"] for name, host in variables.items()} == {"ai": address, **WORKERS}
    assert variables["ai"]["gpustack_server_release"] == release
    assert variables["ai"]["gpustack_worker_name"] == OWN
    assert variables["192.0.2.23"]["gpustack_worker_name"] == "büro pc"
    assert {key: variables["gpu1"][f"gpustack_worker_{key}"] for key in ("gpu_vendor", "gpu_count", "gpu_names")} == {
        "gpu_vendor": "nvidia",
        "gpu_count": 2,
        "gpu_names": ["NVIDIA A100-SXM4-80GB"] * 2,
    }
    assert variables["gpu1"]["gpustack_worker_heartbeat"] > 1.7e9
    # What a worker says of itself is not evaluated.
    assert "{{ 6 * 7 }}" in str(variables["npu1"]["gpustack_worker_labels"])
    assert not any("42" in name for name in groups)


def test_constructed_variables_and_groups(tmp_path: Path) -> None:
    with serving(recorded("0.7.1")) as seen:
        source = write(
            tmp_path,
            server_url=seen.url,
            server_name="ai",
            server_address="192.0.2.1",
            server_worker=OWN,
            hostnames=["address"],
            group_by=["gpu_vendor"],
            strict=True,
            compose={"ansible_user": "'operator'", "copied": "gpustack_worker_labels"},
            groups={"big": "gpustack_worker_gpu_count | default(0) > 1"},
            keyed_groups=[{"key": "gpustack_worker_state", "prefix": "state"}],
        )
        found = inventory(source)
    groups, variables = members(found), found["_meta"]["hostvars"]
    assert groups["gpustack_servers"] == {"ai"}
    assert groups["big"] == {"192.0.2.21", "192.0.2.22"}
    assert groups["state_ready"] >= {"192.0.2.21", "192.0.2.22"}
    assert not any(name.startswith(("label_", "cluster_")) for name in groups)
    assert {host["ansible_user"] for host in variables.values()} == {"operator"}
    assert "{{ 6 * 7 }}" in str(variables["192.0.2.22"]["copied"])


def test_a_cached_fleet_is_not_asked_for_again_and_holds_no_key(tmp_path: Path) -> None:
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    with serving(recorded("2.2.3")) as seen, serving(recorded("0.7.1")) as other:
        source = write(tmp_path, server_url=seen.url, server_name="ai", server_address="192.0.2.1", **cache)
        first = inventory(source)
        asked = len(seen.requests)
        assert asked
        assert inventory(source) == first
        assert len(seen.requests) == asked
        kept = [path.read_text() for path in (tmp_path / "cache").iterdir()]
        assert kept
        assert not any(KEY in text for text in kept)

        assert inventory(source, arguments=("--flush-cache",)) == first
        assert len(seen.requests) == 2 * asked

        write(tmp_path, server_url=other.url, server_name="ai", server_address="192.0.2.1", **cache)
        assert inventory(source)["_meta"]["hostvars"]["ai"]["gpustack_server_release"] == "0.7.1"


def test_the_key_may_be_encrypted_in_the_file(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("planted-vault-password")
    vault = ["--vault-password-file", str(password)]
    encrypted = run("ansible-vault", "encrypt_string", "--stdin-name", "api_key", *vault, text=KEY)
    with serving(recorded("0.7.1")) as seen:
        source = write(tmp_path, server_url=seen.url, server_name="ai", server_address="192.0.2.1")
        source.write_text(source.read_text() + encrypted.stdout)
        found = inventory(source, key=None, arguments=tuple(vault))
    assert "gpu1" in found["_meta"]["hostvars"]


def backup_of(folder: Path) -> Path:
    """A backup of a server with its own worker, as `backup_fetch` lays it down."""
    data, backup = folder / "data", folder / "backups/ai.example.com/20261124T031500Z"
    data.mkdir()
    connection = legacy_database.make(data / "database.db")
    for number, name in enumerate((OWN, "gpu1"), 1):
        columns = {"hostname": name, "ip": f"192.0.2.{number}", "state": "READY", "worker_uuid": f"uuid-{name}"}
        legacy_database.insert(connection, "workers", id=number, name=name, labels="{}", status="{}", **columns)
    connection.close()
    (data / "worker_uuid").write_text(f"uuid-{OWN}\n")
    _snapshot.save(str(data), str(backup), running=False)
    shutil.rmtree(data)
    return backup


def test_a_backup_yields_its_fleet_without_a_key(tmp_path: Path) -> None:
    backup = backup_of(tmp_path)
    # A server's URL in the environment speaks of other files.
    variables = {"GPUSTACK_SERVER_URL": "http://127.0.0.1:1"}
    found = inventory(write(tmp_path, backup=str(backup.parent)), key=None, **variables)
    assert members(found)["gpustack_servers"] == {"ai.example.com"}
    assert members(found)["gpustack_workers"] == {"gpu1"}
    server = found["_meta"]["hostvars"]["ai.example.com"]
    assert (server["ansible_host"], server["gpustack_worker_name"]) == ("ai.example.com", OWN)
    assert server["gpustack_server_release"] == "0.7.1"


def test_the_playbooks_of_a_clone_find_the_plugin_and_its_hosts(tmp_path: Path) -> None:
    with serving(recorded("0.7.1")) as seen:
        source = write(tmp_path, server_name="ai", server_address="192.0.2.1", server_worker=OWN)
        variables = {"GPUSTACK_API_KEY": KEY, "GPUSTACK_SERVER_URL": seen.url}
        done = run("ansible-playbook", "-i", source, "playbooks/upgrade.yml", "--list-hosts", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    switch = done.stdout.partition("Switch the workers")[2].partition("play #")[0]
    assert set(re.findall(r"^      (\S+)$", switch, re.MULTILINE)) == set(WORKERS)


def test_a_server_that_does_not_answer_stops_the_run(tmp_path: Path) -> None:
    source = write(tmp_path, server_url="http://127.0.0.1:1")
    said = failure(source)
    assert f"{source}: http://127.0.0.1:1 cannot be reached (Connection refused); check server_url" in said
    assert f"Completely failed to parse inventory source {source}" in said


def test_a_key_in_clear_is_not_quoted_when_the_file_cannot_be_used(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    sources = [
        write(tmp_path, "first.gpustack.yml", server_url=url, api_key=KEY),
        write(tmp_path, "type.gpustack.yml", server_url=url, api_key=KEY, timeout="soon"),
        write(tmp_path, "choice.gpustack.yml", server_url=url, api_key=KEY, hostnames=["nick"]),
        write(tmp_path, "unknown.gpustack.yml", server_url=url, api_key=KEY, apikey=KEY),
        write(tmp_path, "line.gpustack.yml", server_url=url, api_key=f"{KEY}\n{KEY}"),
    ]
    with serving(recorded("0.7.1")) as seen:
        compose = {"strict": True, "compose": {"ansible_user": "no_such_variable + 1"}, "api_key": KEY}
        sources.append(
            write(tmp_path, "compose.gpustack.yml", server_url=seen.url, server_address="192.0.2.1", **compose)
        )
        said = failure(*sources, key=None)
    for source in sources:
        assert f"Unable to parse {source}" in said


def test_what_cannot_work_is_refused_with_the_way_out(tmp_path: Path) -> None:
    expected = {
        "typo": ({"servr_url": "http://a"}, "there is no option servr_url; check the spelling."),
        "both": ({"server_url": "http://a", "backup": "/b"}, "backup and server_url exclude each other; take one"),
        "none": ({}, "there is no server_url and no backup; give one of them."),
        "ca": ({"server_url": "http://a", "ca_path": "/no/ca.pem"}, "ca_path /no/ca.pem cannot be read; name a"),
        "backup": ({"backup": str(tmp_path / "gone")}, f"{tmp_path}/gone is not there; name the directory of a"),
        "url": ({"server_url": "ai"}, "server_url is not the URL of a server; write it as https://"),
    }
    sources = {name: write(tmp_path, f"{name}.gpustack.yml", **options) for name, (options, _said) in expected.items()}
    with serving(recorded("0.7.1")) as seen:
        sources["own"] = write(tmp_path, "own.gpustack.yml", server_url=seen.url)
        expected["own"] = (
            {},
            "the server's address would be 127.0.0.1, which is the controller's own; give the address",
        )
        said = failure(*sources.values())
    for name, (_options, text) in expected.items():
        assert f"{sources[name]}: {text}" in said


def test_no_key_is_an_error_that_says_where_to_get_one(tmp_path: Path) -> None:
    source = write(tmp_path, server_url="http://127.0.0.1:1")
    assert f"{source}: there is no API key; create one as an administrator" in failure(source, key=None)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("gpustack.yml", True),
        ("gpustack.yaml", True),
        ("berlin.gpustack.yml", True),
        ("berlin.gpustack.yaml", True),
        ("mygpustack.yml", False),
        ("gpustack.json", False),
        ("hosts.yml", False),
    ],
)
def test_a_file_is_known_by_its_name(name: str, ours: bool, tmp_path: Path) -> None:
    assert InventoryModule().verify_file(str(write(tmp_path, name))) == ours
    assert not InventoryModule().verify_file(str(tmp_path / "gone" / name))
