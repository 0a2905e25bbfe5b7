# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks as an operator would, and searches everything that they print for secrets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.fleet import Fleet

CHECKOUT = Path(__file__).resolve().parents[2]
PLAYBOOKS = CHECKOUT / "playbooks"

# Every run prints as much as Ansible can, so that a secret which shows anywhere shows here.
LOUD = ("-vvvv", "--diff")

#: The task that calls a host of whose preparation something is left.
PREPARE = "Prepare | Image, its version, and a trial of the GPU flags"

#: What the messages of `node` name as the way back of one host.
GO_BACK = """
- name: Go back
  hosts: gpustack_servers
  gather_facts: false
  become: true
  tasks:
    - name: Go back
      fleetops.gpustack.node:
        state: legacy
"""

_RECAP = re.compile(r"^(\S+)\s+:\s+ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)

_RESULT = re.compile(r"^(?:ok|changed|fatal): \[([^\s\]]+)", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """How a playbook ended."""

    code: int
    output: str
    report: dict[str, Any]

    def recap(self, column: str) -> dict[str, int]:
        """A column of the play recap by host: ok, changed, unreachable or failed."""
        index = ("ok", "changed", "unreachable", "failed").index(column) + 2
        return {match[1]: int(match[index]) for match in _RECAP.finditer(self.output)}

    def hosts_of(self, task: str) -> set[str]:
        """The hosts on which a task was carried out."""
        parts = re.split(r"^(?:PLAY|TASK) ", self.output, flags=re.MULTILINE)
        ran = (part for part in parts if f" : {task}]" in part.partition("\n")[0])
        return {match for part in ran for match in _RESULT.findall(part)}

    def said(self, text: str) -> bool:
        """Whether the run printed a text, however Ansible wrapped it."""
        return text in self.output or text in re.sub(r"\s+", " ", self.output)


def ansible_playbook() -> str:
    """The ansible-playbook beside the interpreter that runs the tests."""
    return str(Path(sys.executable).parent / "ansible-playbook")


def environment(**extra: str) -> dict[str, str]:
    """The environment of a controller: the project's configuration, plain output."""
    values = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_"))}
    return {**values, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", **extra}


def plain_command(
    fleet: Fleet, playbook: str | Path, *arguments: str, report: Path | None = None, **variables: Any
) -> list[str]:
    """The command line of a run; variables are given as extra variables."""
    if report is not None:
        variables["gpustack_report_file"] = str(report)
    extra = ["--extra-vars", json.dumps(variables)] if variables else []
    return [ansible_playbook(), "--inventory", str(fleet.inventory), str(playbook), *extra, *arguments]


def command(
    fleet: Fleet, playbook: str | Path, *arguments: str, report: Path | None = None, **variables: Any
) -> list[str]:
    """The same, as loud as Ansible can be."""
    return plain_command(fleet, playbook, *LOUD, *arguments, report=report, **variables)


def run(fleet: Fleet, playbook: str, *arguments: str, playbooks: Path = PLAYBOOKS, **variables: Any) -> Run:
    """Run a playbook of the checkout to its end."""
    report = fleet.folder / "report.json"
    report.unlink(missing_ok=True)
    argv = command(fleet, playbooks / playbook, *arguments, report=report, **variables)
    done = subprocess.run(
        argv, capture_output=True, text=True, env=environment(), cwd=CHECKOUT, stdin=subprocess.DEVNULL, check=False
    )
    output = done.stdout + done.stderr
    log(fleet, playbook, output)
    return Run(done.returncode, output, json.loads(report.read_text()) if report.exists() else {})


def failing(host: str, point: str = "ready:before:raise") -> dict[str, Any]:
    """The variables of a run in which a fault hits one host; where none is named, at its readiness gate."""
    value = f"{{{{ {{'FLEETOPS_GPUSTACK_FAULT': '{point}'}} if inventory_hostname == '{host}' else {{}} }}}}"
    return {"gpustack_module_environment": value}


def go_back(fleet: Fleet, folder: Path) -> Run:
    """Take the server back by a playbook of somebody's own, in a folder of its own that finds this collection."""
    (folder / "go_back.yml").write_text(GO_BACK)
    (folder / "collections").symlink_to(PLAYBOOKS / "collections")
    return run(fleet, "go_back.yml", playbooks=folder)


def log(fleet: Fleet, name: str, output: str) -> Path:
    """Keep an output, for a person to read and for the search for secrets."""
    folder = fleet.folder / "output"
    folder.mkdir(exist_ok=True)
    path = folder / f"{len(list(folder.iterdir())):03d}-{name.replace('/', '_')}.log"
    path.write_text(output)
    return path
