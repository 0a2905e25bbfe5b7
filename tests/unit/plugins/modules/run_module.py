# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module as a process of its own, as Ansible does on a target."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.common.parameters import PASS_VARS

CHECKOUT = Path(__file__).resolve().parents[4]
# Newer releases of ansible-core return the arguments on request only.
SETTINGS = {"_ansible_inject_invocation": True} if "inject_invocation" in PASS_VARS else {}


def run_module(module: str, directory: Path, check_mode: bool = False, **parameters: Any) -> dict[str, Any]:
    """The result of one call; ``directory`` is for the package that the checkout is found by."""
    package = directory / "path" / "ansible_collections" / "fleetops"
    package.mkdir(parents=True, exist_ok=True)
    if not (package / "gpustack").exists():
        (package / "gpustack").symlink_to(CHECKOUT)
    done = subprocess.run(
        [sys.executable, "-B", "-m", f"ansible_collections.fleetops.gpustack.plugins.modules.{module}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**parameters, **SETTINGS, "_ansible_check_mode": check_mode}}),
        env=dict(os.environ, PYTHONPATH=str(directory / "path")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip(), done.stderr
    return dict(json.loads(done.stdout))
