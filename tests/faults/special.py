# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that are no fault points: the tests of this folder, as the command line runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def quick() -> list[str]:
    """The names of the tests that are quick enough for CI to take one of them."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-m", "quick", str(FOLDER)]
    listed = subprocess.run(argv, capture_output=True, text=True, cwd=FOLDER.parents[1], check=False).stdout
    return [line for line in listed.splitlines() if "::" in line]


def run(tests: list[str] | None = None) -> None:
    """Run these tests, or all; fail when one does."""
    argv = [sys.executable, "-m", "pytest", *(tests or [str(FOLDER)])]
    subprocess.run(argv, cwd=FOLDER.parents[1], stdin=subprocess.DEVNULL, check=True)
