# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is lost in the middle of its own play, under a real Ansible: that ends its play, but not the run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.fleetops.gpustack.tests.unit.roles import real_ansible

TASKS = Path(__file__).resolve().parents[3] / "roles/gpustack/tasks"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Nothing listens there.
LOST = {"ansible_host": "127.0.0.1", "ansible_port": 9}
PLAN = {
    "gpustack_plan": {"server": "server"},
    "gpustack_hosts_to_switch": ["server", "worker"],
    "gpustack_rollback_plan": {"server": "server"},
}


def insists(name: str) -> dict[str, Any]:
    """The first task of a file of the role, by which a worker insists on its server."""
    task: dict[str, Any] = yaml.safe_load((TASKS / name).read_text(encoding="utf-8"))[0]
    assert "Insist" in task["name"]
    return task


def run(root: Path, server: dict[str, Any], register: str, insist: dict[str, Any]) -> tuple[int, str]:
    """One task on the server as the playbooks do it, then the worker's play; exit status and output."""
    plays = [
        {
            "hosts": "server",
            "gather_facts": False,
            "any_errors_fatal": True,
            "tasks": [{"ansible.builtin.command": "true", "register": register}],
        },
        {"hosts": "worker", "gather_facts": False, "vars": PLAN, "tasks": [insist, {"ansible.builtin.debug": {}}]},
    ]
    (root / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"server": server, "worker": LOCAL}}}))
    return real_ansible.run(root, plays, "hosts.yml")


@pytest.mark.parametrize(
    ("file", "register", "says"),
    [
        ("worker.yml", "gpustack_switched", "No worker was touched: server server still has to be upgraded"),
        ("rollback.yml", "gpustack_restored", "worker was not taken back: the connection to server server was lost"),
    ],
)
def test_no_worker_is_touched_after_its_server_was_lost(tmp_path: Path, file: str, register: str, says: str) -> None:
    status, output = run(tmp_path, LOST, register, insists(file))
    assert status != 0
    assert "UNREACHABLE" in output
    assert says in output
    assert "Run the same command again once it can be reached." in output
    assert "Hello world!" not in output


@pytest.mark.parametrize(
    ("file", "register"), [("worker.yml", "gpustack_switched"), ("rollback.yml", "gpustack_restored")]
)
def test_workers_follow_a_server_that_answered(tmp_path: Path, file: str, register: str) -> None:
    status, output = run(tmp_path, LOCAL, register, insists(file))
    assert status == 0, output
    assert "Hello world!" in output
