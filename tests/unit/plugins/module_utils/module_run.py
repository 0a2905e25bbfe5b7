# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `run_command` of a real module, for what is handed one."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils import basic


def run_command(args: list[str], **options: object) -> tuple[int, str, str]:
    """As a module without arguments runs a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": {}}).encode())
        # Newer releases of ansible-core ask how the arguments were serialized.
        patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        module = basic.AnsibleModule(argument_spec={})
    status, output, error = module.run_command(args, **options)
    return int(status), str(output), str(error)
