# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the bootstrap script of pip that ansible-test would download: the same pip, from the package index.

ansible-test runs it in a virtual environment without pip, under a name that says the version: get_pip_24_2.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Install the pip that the name of this file asks for."""
    version = Path(__file__).stem[len("get_pip_") :].replace("_", ".")
    subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"pip=={version}"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
