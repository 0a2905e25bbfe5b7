# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet's workers and its server as hosts of an inventory, with their groups and variables. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _fleet_records

#: Of a fleet's record, as it lies in caches.
FORMAT = 1
SERVERS = "gpustack_servers"
WORKERS = "gpustack_workers"
#: The vendor of a host without a GPU, as in roles/gpu_runtime/vars/vendors.
CPU = "cpu"
#: What groups can be made by, with the beginnings of their names.
PREFIXES = {"gpu_vendor": "gpu_", "cluster": "cluster_", "label": "label_"}
#: Labels that GPUStack sets by itself and that have another value on every worker, or speak to the server alone
#: (gpustack/worker/worker_manager.py of 0.7.1 and 2.2.3).
_OWN_LABELS = ("worker-name", "gpustack.existence-check")
#: Names that mean something else to Ansible.
_RESERVED = ("all", "ungrouped", "localhost", "127.0.0.1", "::1", SERVERS, WORKERS)
_HOST_NAME = re.compile(r"\w[\w.@+-]*")


class InventoryError(Exception):
    """The fleet does not make an inventory; the message says why and what to do."""


@dataclass(frozen=True)
class Server:
    """The host of the server."""

    name: str
    address: str
    #: Every address and name under which the server's own worker may be known.
    known_as: Collection[str] = ()
    #: The name of the worker on this host where it was given.
    worker: str | None = None


@dataclass(frozen=True)
class Entry:
    """One host."""

    name: str
    groups: Sequence[str]
    variables: Mapping[str, Any] = field(default_factory=dict)


def worker(row: Mapping[str, Any], clusters: Mapping[Any, str]) -> dict[str, Any]:
    """A row of ``workers``, of SQLite or of either API, as far as an inventory wants it."""
    record = _fleet_records.worker_record(row)
    return {
        **{key: record[key] for key in ("id", "name", "uuid", "state", "heartbeat")},
        "hostname": record["hostname"] or "",
        # From 2.0 on a worker may be reached under another address than its own (--advertise-address).
        "address": row.get("advertise_address") or record["ip"] or "",
        "ip": record["ip"] or "",
        "gpus": [{"vendor": gpu["vendor"], "name": gpu["name"]} for gpu in record["gpus"]],
        "labels": _labels(row.get("labels")),
        "cluster": clusters.get(row.get("cluster_id")) or None,
    }


def entries(
    fleet: Mapping[str, Any],
    server: Server,
    hostnames: Sequence[str],
    group_by: Collection[str],
    safe: Callable[[str], str],
) -> list[Entry]:
    """The server, with its own worker where it has one, and every other worker as a host.

    ``hostnames`` are the keys of a worker that may name its host: the first one does that Ansible can take.
    ``group_by`` are keys of ``PREFIXES``. ``safe`` makes a name that a group may have.
    """
    own = _own_worker(fleet, server)
    others = [each for each in fleet["workers"] if each is not own]
    groups = {each["id"]: _groups(each, group_by, safe) for each in fleet["workers"]}
    taken = {name for names in groups.values() for name in names}
    found = [_server_entry(fleet, server, own, groups)]
    for each in others:
        name = _host_name(each, hostnames, taken)
        found.append(Entry(name, [WORKERS, *groups[each["id"]]], variables(each)))
    _refuse_doubles(found)
    return found


def variables(each: Mapping[str, Any]) -> dict[str, Any]:
    """The host variables of a worker."""
    vendors = vendors_of(each)
    facts: dict[str, Any] = {
        "gpustack_worker_name": each["name"],
        "gpustack_worker_uuid": each["uuid"],
        "gpustack_worker_hostname": each["hostname"],
        "gpustack_worker_address": each["address"],
        "gpustack_worker_state": each["state"],
        "gpustack_worker_heartbeat": each["heartbeat"],
        "gpustack_worker_gpu_vendor": vendors[0] if len(vendors) == 1 else None,
        "gpustack_worker_gpu_vendors": vendors,
        "gpustack_worker_gpu_count": len(each["gpus"]),
        "gpustack_worker_gpu_names": [gpu["name"] for gpu in each["gpus"]],
        "gpustack_worker_labels": dict(each["labels"]),
        "gpustack_worker_cluster": each["cluster"],
    }
    return {**facts, "ansible_host": each["address"]} if each["address"] else facts


def vendors_of(each: Mapping[str, Any]) -> list[str]:
    """The vendors of a worker's GPUs; none where the server does not know them.

    A worker that is not READY may have told nothing yet, so only one that is READY is taken for one without a GPU.
    """
    if not each["gpus"]:
        return [CPU] if each["state"] == "ready" else []
    return sorted({gpu["vendor"] for gpu in each["gpus"]} - {"unknown"})


def is_loopback(address: str) -> bool:
    """Whether an address or a name stands for the very machine that looks at it."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def _labels(value: Any) -> dict[str, str]:
    """SQLite returns JSON as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _own_worker(fleet: Mapping[str, Any], server: Server) -> dict[str, Any] | None:
    """The worker on the server's host: the one that was named, else the one that is known to be there."""
    workers: list[dict[str, Any]] = fleet["workers"]
    if server.worker is not None:
        named = [each for each in workers if each["name"] == server.worker]
        if not named:
            raise InventoryError(
                f"server_worker is {server.worker}, and the server knows no worker of that name; it knows "
                + ", ".join(sorted(each["name"] for each in workers))
            )
        return named[0]
    found = _by_identity(fleet) or [each for each in workers if _is_there(each, server)]
    if len(found) > 1:
        raise InventoryError(
            "the workers {} have the address of the server, {}; a host has one worker: name the one on the server's "
            "host in server_worker, or give another server_address".format(
                ", ".join(sorted(each["name"] for each in found)), server.address
            )
        )
    return found[0] if found else None


def _by_identity(fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In a backup of the server the files of its own worker tell which one that is."""
    for key in ("uuid", "name"):
        own = fleet.get(f"own_{key}")
        found = [each for each in fleet["workers"] if own and each[key] == own]
        if found:
            return found
    return []


def _is_there(each: Mapping[str, Any], server: Server) -> bool:
    names = [each["address"], each["ip"], each["hostname"]]
    return any(name in server.known_as for name in names if name) or is_loopback(each["address"])


def _server_entry(
    fleet: Mapping[str, Any], server: Server, own: Mapping[str, Any] | None, groups: Mapping[Any, Sequence[str]]
) -> Entry:
    if not _usable(server.name, {name for names in groups.values() for name in names}):
        raise InventoryError(
            f"the host of the server would be called {server.name!r}, which Ansible cannot take as the name of a host; "
            "give another one in server_name"
        )
    facts = {**(variables(own) if own else {}), "gpustack_server_release": fleet["release"]}
    return Entry(server.name, [SERVERS, *(groups[own["id"]] if own else [])], {**facts, "ansible_host": server.address})


def _groups(each: Mapping[str, Any], group_by: Collection[str], safe: Callable[[str], str]) -> list[str]:
    """The groups of a worker besides its role."""
    values = {
        "gpu_vendor": vendors_of(each),
        "cluster": [each["cluster"]] if each["cluster"] else [],
        "label": [
            f"{key}_{text}" if text else key for key, text in sorted(each["labels"].items()) if key not in _OWN_LABELS
        ],
    }
    return [safe(prefix + value) for key, prefix in PREFIXES.items() if key in group_by for value in values[key]]


def _host_name(each: Mapping[str, Any], hostnames: Iterable[str], taken: Collection[str]) -> str:
    for key in hostnames:
        name = str(each[key])
        if _usable(name, taken):
            return name
    raise InventoryError(
        "Ansible cannot take the {} of worker {!r} as the name of a host ({}); add another choice to "
        "hostnames, or give the worker another name".format(
            " or ".join(hostnames), each["name"], ", ".join(repr(each[key]) for key in hostnames)
        )
    )


def _usable(name: str, taken: Collection[str]) -> bool:
    """Whether a name is one that patterns can name, and neither a group nor the controller."""
    if name in taken or name.lower() in _RESERVED:
        return False
    return bool(_HOST_NAME.fullmatch(name)) or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _refuse_doubles(found: Sequence[Entry]) -> None:
    server, *others = found
    seen: dict[str, Entry] = {}
    for entry in others:
        worker_name = entry.variables["gpustack_worker_name"]
        if entry.name == server.name:
            raise InventoryError(
                f"the server and worker {worker_name} would both be the host {entry.name}; where the worker is on the "
                "server's host, name it in server_worker, else give the server another server_name"
            )
        if entry.name in seen:
            raise InventoryError(
                "the workers {} and {} would both be the host {}; set hostnames to [name]".format(
                    seen[entry.name].variables["gpustack_worker_name"], worker_name, entry.name
                )
            )
        seen[entry.name] = entry
