# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image under every other image of the lab: a minimal Debian 12 by debootstrap, so that no registry is needed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab import docker, machine
from tests.lab.errors import LabError
from tests.lab.progress import step

BASE = "gpustack-lab/base:bookworm"
# What debootstrap leaves behind and no image needs.
LEFT_OUT = ("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*_*", "./usr/share/doc/*", "./usr/share/man/*")


def ensure_base() -> str:
    """Return the base image's name, building the image where the engine does not hold it."""
    if not docker.image_exists(BASE):
        with step(f"building {BASE} by debootstrap"), tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
            root = Path(scratch, "root")
            _debootstrap(root)
            _import(root)
    return BASE


def _debootstrap(root: Path) -> None:
    if not shutil.which("debootstrap"):
        raise LabError(f"{BASE} cannot be built: debootstrap is missing on this machine; `apt-get install debootstrap`")
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]
    mirror = machine.debian_mirror()
    if mirror and mirror[1]:
        command.append(f"--keyring={mirror[1]}")
    command += ["bookworm", str(root), *([mirror[0]] if mirror else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"debootstrap ended with {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")


def _import(root: Path) -> None:
    excludes = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    with subprocess.Popen(["tar", "-C", str(root), *excludes, "-c", "."], stdout=subprocess.PIPE) as tar:
        command = [docker.client(), "import", "-", BASE]
        done = subprocess.run(command, stdin=tar.stdout, capture_output=True, text=True, check=False)
    if tar.returncode != 0 or done.returncode != 0:
        raise LabError(f"{BASE} could not be imported (tar {tar.returncode}, docker {done.returncode}): {done.stderr}")
