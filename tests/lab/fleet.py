# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet that is up, as tests and demos see it: its hosts, its secrets, what was put into it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import access, hosts
from tests.lab.api import Client
from tests.lab.errors import LabError
from tests.lab.hosts import Host
from tests.lab.layout import Options, hosts_of

ROOT = Path(__file__).resolve().parents[2] / ".lab"


@dataclass(frozen=True)
class Result:
    """How a command on a host ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Reach:
    """One host, with the ways to run something on it."""

    host: Host
    folder: Path

    def run(self, command: str, *, check: bool = True, stdin: str | None = None, timeout: float = 300) -> Result:
        """Run a shell command over ssh as the sudo user, as a controller would."""
        argv = [*access.ssh_command(self.folder, self.host), command]
        done = subprocess.run(argv, capture_output=True, text=True, input=stdin or "", timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise LabError(f"`{command}` on {self.host.name} ended with {done.returncode}: {done.stderr.strip()}")
        return Result(done.returncode, done.stdout, done.stderr)

    def sudo(self, *command: str, check: bool = True, stdin: str | None = None) -> Result:
        """Run a command over ssh as root."""
        return self.run(f"sudo {shlex.join(command)}", check=check, stdin=stdin)

    def exec_root(self, *command: str, check: bool = True) -> str:
        """Run a command as root past ssh and sudo, by the engine on which the host itself runs; returns its output."""
        return hosts.execute(self.host, *command, check=check)

    def reboot(self) -> None:
        """Shut the host down, start it, and wait until it is up."""
        hosts.stop(self.host)
        hosts.start(self.host)
        hosts.wait_booted(self.host)


@dataclass(frozen=True)
class Fleet:
    """A fleet by the folder in which the lab keeps what belongs to it."""

    folder: Path
    data: dict[str, Any]

    @staticmethod
    def load(name: str) -> Fleet:
        """Read a fleet that `up` made."""
        path = ROOT / name / "fleet.json"
        if not path.exists():
            raise LabError(f"there is no fleet {name!r}; make it with `python -m tests.lab up --name {name}`")
        return Fleet(path.parent, json.loads(path.read_text()))

    @staticmethod
    def names() -> list[str]:
        """The names of the fleets that the lab has a folder of."""
        return sorted(path.parent.name for path in ROOT.glob("*/fleet.json"))

    @property
    def options(self) -> Options:
        """What the fleet was asked to be."""
        return Options.from_json(self.data["options"])

    @property
    def hosts(self) -> dict[str, Host]:
        """The hosts by name."""
        return hosts_of(self.options, self.data["subnet"])

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return self.folder / "inventory.yml"

    def host(self, name: str) -> Reach:
        """One host."""
        if name not in self.hosts:
            raise LabError(f"the fleet {self.data['name']} has no host {name!r}; it has {', '.join(self.hosts)}")
        return Reach(self.hosts[name], self.folder)

    def admin(self, port: int = 80) -> Client:
        """A session of the administrator at the server's port (legacy: the one that users call)."""
        client = Client(f"http://{self.hosts['server'].address}:{port}")
        return client.login(self.data["admin"]["username"], self.data["admin"]["password"])

    def save(self) -> None:
        """Write `fleet.json`; it holds passwords, so only its owner may read it."""
        path = self.folder / "fleet.json"
        fresh = path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.data, file, indent=2, ensure_ascii=False)
            file.write("\n")
        fresh.replace(path)
