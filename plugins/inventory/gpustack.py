# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: gpustack
short_description: The hosts of a GPUStack fleet, as its server or a backup of it knows them
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Asks a GPUStack server for its workers, and yields each of them as a host, and the server too, in the groups that
    the playbooks of this collection use. So a fleet can be upgraded that nobody wrote down.
  - Finds out by itself whether the server is a GPUStack 0.x or a 2.x, so the same file goes on working after the
    upgrade. From 2.2 on it needs a new API key then (O(api_key)).
  - Reads a backup of a 0.x server on the controller instead where the server is gone (O(backup)). The backup is held
    against its manifest, and only a passing copy of its database is opened.
  - The name of the file must be C(gpustack.yml) or C(gpustack.yaml), or end in C(.gpustack.yml) or C(.gpustack.yaml).
  - What Ansible needs to log in, such as C(ansible_user), GPUStack does not know. Give it in C(group_vars), on the
    command line, or in O(compose).
  - "Groups: C(gpustack_servers) has the server, and C(gpustack_workers) has the workers. A server that is a worker
    too is one host, in C(gpustack_servers) only. O(group_by) names the others."
notes:
  - Ansible only warns when an inventory cannot be read, and goes on without its hosts. Set C(any_unparsed_is_failed)
    in the section C(inventory) of C(ansible.cfg), or the environment variable
    E(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED), to have it stop instead. This collection's own C(ansible.cfg) does.
  - The API key appears in no variable, message or cache. Give it in E(GPUSTACK_API_KEY), or encrypted by
    C(ansible-vault encrypt_string). A file in which it stands in clear is one that Ansible itself may quote, when
    another inventory plugin tries to read it.
  - "The variables of a worker are: C(ansible_host) and C(gpustack_worker_address) (its address, the advertised one
    where it has one), C(gpustack_worker_name), C(gpustack_worker_hostname), C(gpustack_worker_uuid) (empty
    from a 2.x server, whose API does not tell it), C(gpustack_worker_state) (in lower case),
    C(gpustack_worker_heartbeat) (the last one, in seconds since the epoch, or null), C(gpustack_worker_gpu_vendor) (in
    the names that P(fleetops.gpustack.gpu_runtime#role) has; V(cpu) for one that is READY without GPUs;
    null where the server does not know it, or it has GPUs of several vendors), C(gpustack_worker_gpu_vendors) (all of
    them), C(gpustack_worker_gpu_count), C(gpustack_worker_gpu_names), C(gpustack_worker_labels), and
    C(gpustack_worker_cluster) (null from 0.x, which has no clusters). The server has C(gpustack_server_release), and
    these where it is a worker."
requirements:
  - An API key of an administrator, for O(server_url).
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [fleetops.gpustack.gpustack]
  server_url:
    description:
      - URL of the server, as its users and workers call it.
      - Either this or O(backup) is needed. In the file they exclude each other.
    type: str
    env:
      - name: GPUSTACK_SERVER_URL
  api_key:
    description:
      - API key of an administrator.
      - From 2.2 on a key shows only what belongs to its owner. One that was created before the upgrade still logs in
        and shows no workers, so create a new one afterwards, as an administrator for all organizations and not limited
        to inference.
      - An upgrade to 2.2 or newer that was cut off after its server is continued with such a new key, with
        O(backup) in place of O(server_url), or with the cached inventory of before.
    type: str
    env:
      - name: GPUSTACK_API_KEY
  backup:
    description:
      - Directory of a backup of a 0.x server on the controller, the one that holds C(manifest.json).
      - A directory with several of them, as M(fleetops.gpustack.backup_fetch) makes one per host. The newest is taken.
    type: path
  validate_certs:
    description:
      - Whether the certificate of the server is checked.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates of the authorities that are trusted besides.
    type: path
  timeout:
    description:
      - For how many seconds to wait for the server, each time.
    type: int
    default: 30
  use_proxy:
    description:
      - Whether a proxy of the environment is used (C(http_proxy), C(https_proxy), C(no_proxy)).
    type: bool
    default: true
  hostnames:
    description:
      - What of a worker becomes the name of its host. The first is taken that Ansible can take as one.
      - V(name) is the worker's name in GPUStack, V(hostname) what its host calls itself, V(address) its IP address, or
        the address that it advertises where it has one.
    type: list
    elements: str
    choices: [name, hostname, address]
    default: [name, address]
  server_name:
    description:
      - Name of the server's host in the inventory.
      - By default the host in O(server_url). For O(backup), the name of the directory in which the backup lies, which
        M(fleetops.gpustack.backup_fetch) is told to name after the host.
    type: str
  server_address:
    description:
      - Address of the server's host, for ssh.
      - By default the host in O(server_url). For O(backup), the name of the server's host.
      - Needed where O(server_url) is a load balancer, a proxy, or a tunnel that ends on the controller.
    type: str
  server_worker:
    description:
      - Name of the worker on the server's host, where it has one.
      - By default the worker whose address or host name is that of the server. For O(backup), the one that the saved
        files of the server name.
    type: str
  group_by:
    description:
      - What hosts are grouped by, besides their role.
      - V(gpu_vendor) makes groups such as C(gpu_nvidia), C(gpu_ascend) and C(gpu_cpu).
      - V(cluster) makes groups such as C(cluster_Default_Cluster). GPUStack 0.x has no clusters.
      - V(label) makes groups such as C(label_os_linux).
      - Characters that the name of a group may not have become C(_).
      - Use O(keyed_groups) for other names.
    type: list
    elements: str
    choices: [gpu_vendor, cluster, label]
    default: [gpu_vendor, cluster, label]
seealso:
  - module: fleetops.gpustack.backup_fetch
  - module: fleetops.gpustack.fleet_info
"""

EXAMPLES = r"""
# gpustack.yml, with the key in the environment variable GPUSTACK_API_KEY
plugin: fleetops.gpustack.gpustack
server_url: https://gpustack.example.com
compose:
  ansible_user: "'operator'"

# ansible-inventory -i gpustack.yml --graph
# ansible-playbook -i gpustack.yml fleetops.gpustack.upgrade

---
# gpustack.yml of a server behind a load balancer, with a certificate of the company's own authority
plugin: fleetops.gpustack.gpustack
server_url: https://ai.example.com
ca_path: /etc/ssl/certs/example-root.pem
server_name: ai1
server_address: 10.20.0.11
# Groups such as state_not_ready, to leave workers out that are gone: --limit 'all:!state_not_ready'
keyed_groups:
  - key: gpustack_worker_state
    prefix: state
# Ask once an hour.
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/gpustack-inventory

---
# restored.gpustack.yml, when the disk of the server is gone
plugin: fleetops.gpustack.gpustack
backup: /srv/gpustack-backups/server.example.com
"""

import os
import socket
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleParserError
from ansible.inventory.group import to_safe_group_name
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.fleetops.gpustack.plugins.plugin_utils import (
    _fleet_inventory,
    _gpustack_api,
    _gpustack_backup,
)

FILE_NAMES = ("gpustack.yml", "gpustack.yaml")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Reads the fleet, or its cached record, and hands it to Ansible."""

    NAME = "fleetops.gpustack.gpustack"

    @staticmethod
    def _sanitize_group_name(name: str) -> str:
        """Labels and clusters have names that groups may not have; Ansible's own default would leave them so."""
        safe: str = to_safe_group_name(name, force=True, silent=True)
        return safe

    def verify_file(self, path: str) -> bool:
        """Whether the file may be ours, by its name."""
        name = os.path.basename(path)
        ours = name in FILE_NAMES or name.endswith(tuple(f".{each}" for each in FILE_NAMES))
        return ours and super().verify_file(path)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory; every error names the file."""
        super().parse(inventory, loader, path, cache)
        config = self._read_config_data(path)
        try:
            self._refuse_misread(config)
            fleet = self._fleet(path, cache)
            entries = _fleet_inventory.entries(
                fleet,
                self._server(fleet),
                self.get_option("hostnames"),
                self.get_option("group_by"),
                self._sanitize_group_name,
            )
        except (
            _fleet_inventory.InventoryError,
            _gpustack_api.ApiError,
            _gpustack_backup.BackupError,
        ) as error:
            raise AnsibleParserError(f"{path}: {error}.") from None
        self.display.vv(f"{path}: GPUStack {fleet['release']} with {len(fleet['workers'])} workers")
        for entry in entries:
            self._add(entry)

    def _refuse_misread(self, config: Any) -> None:
        """Options that Ansible would pass over in silence, and those that contradict each other."""
        unknown = sorted(set(config) - set(self._options))
        if unknown:
            raise _fleet_inventory.InventoryError(
                f"there is no option {', '.join(map(str, unknown))}; check the spelling"
            )
        if "backup" in config and "server_url" in config:
            raise _fleet_inventory.InventoryError("backup and server_url exclude each other; take one of them out")
        if not self.get_option("backup") and not self.get_option("server_url"):
            raise _fleet_inventory.InventoryError("there is no server_url and no backup; give one of them")
        ca_path = self.get_option("ca_path")
        if ca_path and not os.access(ca_path, os.R_OK):
            raise _fleet_inventory.InventoryError(f"ca_path {ca_path} cannot be read; name a readable file")

    def _fleet(self, path: str, cache: bool) -> dict[str, Any]:
        """The fleet, from the cache where that is wanted and holds it."""
        if not self.get_option("cache"):
            return self._read()
        key = self.get_cache_key(path)
        # The key is of the file's path: the file may name another server by now, or this be another release of ours.
        source = [_fleet_inventory.FORMAT, self.get_option("backup") or self.get_option("server_url")]
        kept = self._cache.get(key) if cache else None
        if not kept or kept.get("source") != source:
            kept = {"source": source, "fleet": self._read()}
            self._cache[key] = kept
        fleet: dict[str, Any] = kept["fleet"]
        return fleet

    def _read(self) -> dict[str, Any]:
        if self.get_option("backup"):
            return _gpustack_backup.read_fleet(_gpustack_backup.find(self.get_option("backup")))
        access = _gpustack_api.Access(
            _gpustack_api.checked_url(self.get_option("server_url")),
            _gpustack_api.checked_key(self.get_option("api_key")),
            self.get_option("timeout"),
            self.get_option("validate_certs"),
            self.get_option("ca_path"),
            self.get_option("use_proxy"),
        )
        return _gpustack_api.read_fleet(access)

    def _server(self, fleet: dict[str, Any]) -> _fleet_inventory.Server:
        """The host of the server, as far as the options and the source tell."""
        # The API's reader does not know it: a URL is no part of what a fleet is.
        host = fleet["host"] if "host" in fleet else str(urlsplit(self.get_option("server_url").strip()).hostname)
        name = self.get_option("server_name") or host
        address = self.get_option("server_address") or (name if "host" in fleet else host)
        if not self.get_option("server_address") and _fleet_inventory.is_loopback(address):
            raise _fleet_inventory.InventoryError(
                f"the server's address would be {address}, which is the controller's own; give the address of the "
                "server's host in server_address, and a server_name"
            )
        return _fleet_inventory.Server(name, address, _addresses(address), self.get_option("server_worker"))

    def _add(self, entry: _fleet_inventory.Entry) -> None:
        for group in entry.groups:
            self.inventory.add_group(group)
            self.inventory.add_host(entry.name, group=group)
        for name, value in entry.variables.items():
            self.inventory.set_variable(entry.name, name, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), entry.variables, entry.name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), entry.variables, entry.name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), entry.variables, entry.name, strict)


def _addresses(host: str) -> set[str]:
    """A host's name and the addresses that it has; the name alone where nobody knows it."""
    try:
        return {host, *(str(found[4][0]) for found in socket.getaddrinfo(host, None))}
    except OSError:
        return {host}
