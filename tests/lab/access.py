# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a controller reaches the hosts of a fleet: keys, known hosts, the ssh command, the Ansible inventory."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.lab.hosts import Access, Host

USER = "operator"


def keys(folder: Path) -> Access:
    """Make the fleet's two key pairs (the operator's, and one that all its hosts show), and read them."""
    for name in ("id_ed25519", "host_key"):
        if not (folder / name).exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "gpustack-lab", "-f", str(folder / name)]
            subprocess.run(command, check=True)
    return Access(
        authorized_key=(folder / "id_ed25519.pub").read_text(),
        host_key=(folder / "host_key").read_text(),
        host_key_public=(folder / "host_key.pub").read_text(),
    )


def known_hosts(hosts: Mapping[str, Host], access: Access) -> str:
    """The known_hosts file of a fleet."""
    key = " ".join(access.host_key_public.split()[:2])
    return "".join(f"{host.address} {key}\n" for host in hosts.values())


def ssh_options(folder: Path) -> list[str]:
    """The options that make ssh look at the fleet's own known_hosts only."""
    return [
        "-o", f"UserKnownHostsFile={folder}/known_hosts",
        "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "StrictHostKeyChecking=yes",
    ]  # fmt: skip


def ssh_command(folder: Path, host: Host) -> list[str]:
    """The ssh command line up to the remote command."""
    options = ["-o", "BatchMode=yes", "-i", str(folder / "id_ed25519"), *ssh_options(folder)]
    return ["ssh", *options, f"{USER}@{host.address}"]


def inventory(folder: Path, hosts: Mapping[str, Host]) -> str:
    """The fleet as an Ansible inventory."""
    lines = ["---", "all:", "  vars:", f"    ansible_user: {USER}", "    ansible_become: true"]
    lines += [
        f"    ansible_ssh_private_key_file: {folder}/id_ed25519",
        "    ansible_python_interpreter: /usr/bin/python3",
    ]
    lines += [f"    ansible_ssh_common_args: {' '.join(ssh_options(folder))}", "  children:"]
    groups = {"gpustack_servers": ["server"], "gpustack_workers": [name for name in hosts if name != "server"]}
    for group, names in groups.items():
        lines += [f"    {group}:", "      hosts:" + ("" if names else " {}")]
        for name in names:
            lines += [f"        {name}:", f"          ansible_host: {hosts[name].address}"]
    return "\n".join(lines) + "\n"
