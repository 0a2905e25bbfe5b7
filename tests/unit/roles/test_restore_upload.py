# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks that bring a backup to a host, under a real Ansible: where secrets are not laid down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.tests.unit.roles import real_ansible

TASKS = Path(__file__).resolve().parents[3] / "roles/gpustack/tasks/restore_upload.yml"
OWN = {"kind": "directory", "uid": 0, "mode": "0755"}


def upload(root: Path, directory: dict[str, Any] | None) -> tuple[int, str]:
    """Copy a backup into `backups`, of which `node_info` said this; exit status and output."""
    source = root / "controller" / "one"
    source.mkdir(parents=True)
    (source / "manifest.json").write_text("{}")
    dest = str(root / "backups")
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {
            "ansible_python_interpreter": sys.executable,
            "gpustack_restore_source": str(source),
            "gpustack_own_backup_dir": dest,
            "gpustack_node_info": {
                "host": {"uid": 0},
                "directories": {"backup": directory and {"path": dest, **directory}},
            },
        },
        "tasks": [{"ansible.builtin.import_tasks": str(TASKS)}],
    }
    return real_ansible.run(root, [play], "localhost,")


@pytest.mark.parametrize("directory", [None, OWN])
def test_a_private_directory_takes_the_backup(tmp_path: Path, directory: dict[str, Any] | None) -> None:
    status, output = upload(tmp_path, directory)
    assert status == 0, output
    assert (tmp_path / "backups/one/manifest.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [{"kind": "link"}, {"uid": 1000}, {"mode": "0720"}, {"mode": "1703"}])
def test_nothing_is_laid_down_where_others_may_write(tmp_path: Path, change: dict[str, Any]) -> None:
    status, output = upload(tmp_path, {**OWN, **change})
    assert status != 0
    assert "choose another gpustack_backup_dir" in output
    assert not (tmp_path / "backups").exists()
