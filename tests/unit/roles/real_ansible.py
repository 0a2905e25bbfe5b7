# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs plays that hold tasks of the role, under the Ansible of the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(root: Path, plays: list[dict[str, Any]], inventory: str) -> tuple[int, str]:
    """Exit status, and the output without its line breaks."""
    (root / "plays.yml").write_text(json.dumps(plays))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", inventory, "plays.yml"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=str(root),
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(root / "tmp")},
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())
