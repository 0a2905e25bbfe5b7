# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as hosts: who is the server, what hosts are called, which groups they are in."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from ansible.inventory.data import InventoryData
from ansible.inventory.group import to_safe_group_name
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _fleet_inventory
from ansible_collections.fleetops.gpustack.plugins.plugin_utils._fleet_inventory import (
    Entry,
    InventoryError,
    Server,
)

SAFE = functools.partial(to_safe_group_name, force=True, silent=True)
ALL = ("gpu_vendor", "cluster", "label")
SERVER = Server("server", "10.0.0.1", {"server", "10.0.0.1"})


def row(name: str, ip: str = "10.0.0.9", gpus: list[dict[str, Any]] | None = None, **columns: Any) -> dict[str, Any]:
    """A row of `workers` as an API gives it, READY if nothing else is said."""
    return {
        "id": sum(name.encode()) * 1000 + len(name),
        "name": name,
        "hostname": name,
        "ip": ip,
        "state": "ready",
        "status": {"gpu_devices": gpus or []},
        **columns,
    }


def hosts(
    *rows: dict[str, Any],
    server: Server = SERVER,
    hostnames: tuple[str, ...] = ("name", "address"),
    group_by: tuple[str, ...] = ALL,
    **fleet: Any,
) -> dict[str, Entry]:
    """The entries by name."""
    workers = [_fleet_inventory.worker(each, {7: "Default Cluster"}) for each in rows]
    found = _fleet_inventory.entries(
        {"release": "0.7.1", "workers": workers, **fleet}, server, hostnames, group_by, SAFE
    )
    return {entry.name: entry for entry in found}


def roles(found: dict[str, Entry]) -> dict[str, str]:
    return {name: entry.groups[0] for name, entry in found.items()}


def gpu(vendor: str, kind: str = "", name: str = "a GPU", index: int = 0) -> dict[str, Any]:
    return {"vendor": vendor, "type": kind, "name": name, "index": index}


# The server, and its own worker


def test_a_worker_at_the_servers_address_is_the_server_itself() -> None:
    found = hosts(row("own", "10.0.0.1", [gpu("NVIDIA")]), row("gpu1"))
    assert roles(found) == {"server": "gpustack_servers", "gpu1": "gpustack_workers"}
    assert list(found["server"].groups) == ["gpustack_servers", "gpu_nvidia"]
    assert found["server"].variables["gpustack_worker_name"] == "own"
    assert found["server"].variables["gpustack_server_release"] == "0.7.1"
    assert found["server"].variables["ansible_host"] == "10.0.0.1"


@pytest.mark.parametrize(
    "columns", [{"ip": "127.0.0.1"}, {"hostname": "server"}, {"advertise_address": "10.0.0.1"}, {"ip": "10.0.0.1"}]
)
def test_the_servers_own_worker_is_known_by(columns: dict[str, Any]) -> None:
    assert list(hosts({**row("own"), **columns}, row("gpu1"))) == ["server", "gpu1"]


def test_the_servers_own_worker_can_be_named_where_nothing_tells() -> None:
    named = Server("server", "10.0.0.1", {"10.0.0.1"}, worker="own")
    assert list(hosts(row("own", "172.17.0.2"), row("gpu1", "10.0.0.1"), server=named)) == ["server", "gpu1"]


def test_a_name_that_no_worker_has_is_refused() -> None:
    with pytest.raises(InventoryError, match=r"server_worker is gone, .* it knows gpu1, gpu2"):
        hosts(row("gpu2"), row("gpu1"), server=Server("server", "10.0.0.1", worker="gone"))


def test_two_workers_at_the_servers_address_are_refused() -> None:
    with pytest.raises(InventoryError, match=r"a, b have the address of the server, 10\.0\.0\.1; .*server_worker"):
        hosts(row("b", "10.0.0.1"), row("a", "10.0.0.1"))


@pytest.mark.parametrize("own", [{"own_uuid": "u-1"}, {"own_uuid": "other", "own_name": "own"}])
def test_a_backup_tells_its_servers_own_worker(own: dict[str, str]) -> None:
    assert list(hosts(row("own", worker_uuid="u-1"), row("gpu1"), **own)) == ["server", "gpu1"]


def test_a_backup_of_a_server_without_a_worker_has_no_such_worker() -> None:
    assert list(hosts(row("a", worker_uuid=""), row("gpu1"), own_uuid="", own_name="")) == ["server", "a", "gpu1"]


def test_a_server_whose_name_is_no_name_of_a_host_is_refused() -> None:
    with pytest.raises(InventoryError, match=r"'gpu_nvidia'.*server_name"):
        hosts(row("a", gpus=[gpu("NVIDIA")]), server=Server("gpu_nvidia", "10.0.0.1"))


# What hosts are called


def test_a_worker_can_be_called_by_its_host_name_or_its_address() -> None:
    worker = row("w", "10.0.0.9", hostname="h.example.com")
    assert list(hosts(worker, hostnames=("hostname",))) == ["server", "h.example.com"]
    assert list(hosts({**worker, "advertise_address": "203.0.113.7"}, hostnames=("address",))) == [
        "server",
        "203.0.113.7",
    ]
    assert list(hosts({**worker, "ip": "fd00::9"}, hostnames=("address",))) == ["server", "fd00::9"]


@pytest.mark.parametrize(
    "name", ["a b", "a,b", "a:b", "a[0:9]", "!a", "", "all", "ungrouped", "localhost", "gpustack_servers", "gpu_cpu"]
)
def test_a_name_that_ansible_cannot_take_gives_way_to_the_address(name: str) -> None:
    found = hosts(row(name))
    assert list(found) == ["server", "10.0.0.9"]
    assert found["10.0.0.9"].variables["gpustack_worker_name"] == name


def test_a_name_that_ansible_cannot_take_is_refused_where_nothing_else_is_left() -> None:
    with pytest.raises(InventoryError, match=r"cannot take the name of worker 'a b'.*hostnames"):
        hosts(row("a b"), hostnames=("name",))


def test_two_workers_of_one_name_are_refused() -> None:
    with pytest.raises(InventoryError, match=r"workers a and b would both be the host same.*hostnames to \[name\]"):
        hosts(row("a", hostname="same"), row("b", hostname="same"), hostnames=("hostname",))


def test_a_worker_with_the_servers_name_elsewhere_is_refused() -> None:
    with pytest.raises(InventoryError, match=r"the server and worker server .*server_worker.*server_name"):
        hosts(row("server", hostname="other"))


# Groups and variables


@pytest.mark.parametrize(
    ("device", "group"),
    [
        (gpu("NVIDIA", "cuda"), "gpu_nvidia"),
        (gpu("Huawei", "npu"), "gpu_ascend"),
        (gpu("ascend", "cann"), "gpu_ascend"),
        (gpu("Moore Threads", "musa"), "gpu_mthreads"),
        (gpu("", "dcu"), "gpu_hygon"),
    ],
)
def test_a_worker_is_in_the_group_of_its_vendor(device: dict[str, Any], group: str) -> None:
    assert list(hosts(row("a", gpus=[device]))["a"].groups) == ["gpustack_workers", group]


def test_a_worker_with_gpus_of_two_vendors_is_in_both_groups_and_has_no_one_vendor() -> None:
    found = hosts(row("a", gpus=[gpu("NVIDIA", index=0), gpu("AMD", index=1)]))["a"]
    assert {"gpu_nvidia", "gpu_amd"} <= set(found.groups)
    assert found.variables["gpustack_worker_gpu_vendor"] is None
    assert found.variables["gpustack_worker_gpu_vendors"] == ["amd", "nvidia"]


def test_only_a_worker_that_is_ready_is_taken_for_one_without_a_gpu() -> None:
    found = hosts(row("a"), row("b", state="not_ready"), row("c", gpus=[gpu("")]))
    assert [list(found[name].groups) for name in "abc"] == [
        ["gpustack_workers", "gpu_cpu"],
        ["gpustack_workers"],
        ["gpustack_workers"],
    ]
    assert [found[name].variables["gpustack_worker_gpu_vendor"] for name in "abc"] == ["cpu", None, None]
    assert found["c"].variables["gpustack_worker_gpu_count"] == 1


def test_labels_and_clusters_are_groups_but_for_the_labels_that_are_gpustacks_own() -> None:
    labels = {"os": "linux", "rack": "A 7", "spot": "", "worker-name": "a", "gpustack.existence-check": "true"}
    found = hosts(row("a", labels=labels, cluster_id=7))["a"]
    assert set(found.groups) - {"gpustack_workers", "gpu_cpu"} == {
        "cluster_Default_Cluster",
        "label_os_linux",
        "label_rack_A_7",
        "label_spot",
    }
    assert found.variables["gpustack_worker_labels"] == labels
    assert found.variables["gpustack_worker_cluster"] == "Default Cluster"


def test_every_kind_of_group_can_be_switched_off() -> None:
    worker = row("a", gpus=[gpu("NVIDIA")], labels={"os": "linux"}, cluster_id=7)
    assert list(hosts(worker, group_by=())["a"].groups) == ["gpustack_workers"]
    assert list(hosts(worker, group_by=("label",))["a"].groups) == ["gpustack_workers", "label_os_linux"]


def test_a_row_of_sqlite_says_the_same_as_that_of_the_api() -> None:
    api = row("a", gpus=[gpu("NVIDIA", "cuda")], labels={"os": "linux"}, heartbeat_time="2026-11-30T11:21:41Z")
    sqlite = {
        **api,
        "state": "READY",
        "status": '{"gpu_devices": [{"vendor": "NVIDIA", "type": "cuda", "name": "a GPU", "index": 0}]}',
        "labels": '{"os": "linux"}',
        "heartbeat_time": "2026-11-30 11:21:41.000000",
    }
    assert hosts(sqlite)["a"] == hosts(api)["a"]
    assert hosts(api)["a"].variables["gpustack_worker_heartbeat"] == 1796037701.0


def test_a_worker_without_an_address_has_none() -> None:
    assert "ansible_host" not in hosts(row("a", ip=""))["a"].variables


TEXT = st.text(max_size=12)
WORKER = st.fixed_dictionaries(
    {
        "name": TEXT,
        "hostname": st.none() | TEXT,
        "labels": st.none() | TEXT | st.dictionaries(TEXT, TEXT, max_size=3),
        "cluster_id": st.sampled_from([None, 7, 8]),
        "state": st.sampled_from(["ready", "READY", "not_ready", None]),
        "status": st.none()
        | st.fixed_dictionaries({"gpu_devices": st.lists(st.builds(gpu, TEXT, TEXT, TEXT), max_size=2)}),
    }
)


@given(st.lists(WORKER, max_size=5, unique_by=lambda each: each["name"]), TEXT)
def test_whatever_workers_are_called_ansible_takes_the_inventory(rows: list[dict[str, Any]], cluster: str) -> None:
    workers = [
        _fleet_inventory.worker({"id": number, "ip": f"192.0.2.{number}", **each}, {7: cluster})
        for number, each in enumerate(rows, 10)
    ]
    fleet = {"release": "2.2.3", "workers": workers}
    entries = _fleet_inventory.entries(fleet, SERVER, ("name", "address"), ALL, SAFE)
    inventory = InventoryData()
    for entry in entries:
        for group in entry.groups:
            inventory.add_group(group)
            inventory.add_host(entry.name, group=group)
    inventory.reconcile_inventory()
    has_worker = "gpustack_worker_name" in entries[0].variables
    assert len(inventory.hosts) == len(rows) + (0 if has_worker else 1)
    assert not set(inventory.hosts) & set(inventory.groups)
    assert all(SAFE(group) == group for group in inventory.groups)
    assert {host.name for host in inventory.groups["gpustack_servers"].hosts} == {"server"}
