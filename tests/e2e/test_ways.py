# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection works from a clone of any name, from the artefact, and by its modules in somebody else's playbook."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import playbook
from tests.lab.fleet import Fleet

GALAXY = str(Path(sys.executable).parent / "ansible-galaxy")


def succeed(argv: list[str], folder: Path, **environment: str) -> str:
    """Run a command in a folder without any configuration of this checkout; return its output."""
    values = playbook.environment(**environment)
    values.pop("ANSIBLE_CONFIG")
    done = subprocess.run(
        argv, capture_output=True, text=True, cwd=folder, env=values, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def play(fleet: Fleet, name: str, folder: Path, **environment: str) -> str:
    """Run a playbook as `succeed` does; its output is kept for the search for secrets."""
    argv = [playbook.ansible_playbook(), *playbook.LOUD, "-i", str(fleet.inventory), name]
    output = succeed(argv, folder, **environment)
    playbook.log(fleet, name, output)
    return output


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path that holds the built and installed artefact."""
    folder = tmp_path_factory.mktemp("installed")
    succeed([GALAXY, "collection", "build", str(playbook.CHECKOUT), "--output-path", str(folder)], folder)
    artefact = next(folder.glob("fleetops-gpustack-*.tar.gz"))
    succeed([GALAXY, "collection", "install", str(artefact), "--offline", "--collections-path", str(folder)], folder)
    return folder


def test_from_a_clone_of_any_name(fleet: Fleet, tmp_path: Path) -> None:
    clone = tmp_path / "some other name"
    ignore = shutil.ignore_patterns(".git", ".lab", ".venv*", ".cache")
    shutil.copytree(playbook.CHECKOUT, clone, symlinks=True, ignore=ignore)
    assert "will be upgraded" in play(fleet, "playbooks/assess.yml", clone)


def test_installed_from_the_artefact(fleet: Fleet, installed: Path) -> None:
    assert "will be upgraded" in play(
        fleet, "fleetops.gpustack.assess", installed, ANSIBLE_COLLECTIONS_PATH=str(installed)
    )


SOMEBODY_ELSES = """
- name: Use a module by itself
  hosts: gpustack_servers
  gather_facts: false
  become: true
  tasks:
    - name: Look
      fleetops.gpustack.node_info:
      register: found
    - name: Use what was found
      ansible.builtin.assert:
        that: found.installations[0].release == '0.7.1'
"""


def test_modules_in_somebody_elses_playbook(fleet: Fleet, installed: Path, tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text(SOMEBODY_ELSES)
    play(fleet, "site.yml", tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed))
