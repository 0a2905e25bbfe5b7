# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images by debootstrap, so that no registry is needed: a minimal Debian 12 under every other image of the lab.

MySQL is in Debian's unstable suite alone, and wants that suite's C library; its image has no other under it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab import docker, machine
from tests.lab.errors import LabError
from tests.lab.progress import step

BASE = "gpustack-lab/base:bookworm"
MYSQL = "gpustack-lab/mysql:sid"
# What debootstrap leaves behind and no image needs.
LEFT_OUT = ("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*_*", "./usr/share/doc/*", "./usr/share/man/*")


def ensure_base() -> str:
    """Return the base image's name, building the image where the engine does not hold it."""
    return _ensure(BASE, "bookworm", "ca-certificates")


def ensure_mysql() -> str:
    """Return the name of the image with MySQL's server and programs, building it where the engine does not hold it."""
    return _ensure(MYSQL, "sid", "mysql-server-core,mysql-client-core")


def _ensure(image: str, suite: str, packages: str) -> str:
    if not docker.image_exists(image):
        with step(f"building {image} by debootstrap"), tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
            root = Path(scratch, "root")
            _debootstrap(root, image, suite, packages)
            _import(root, image)
    return image


def _debootstrap(root: Path, image: str, suite: str, packages: str) -> None:
    if not shutil.which("debootstrap"):
        raise LabError(
            f"{image} cannot be built: debootstrap is missing on this machine; `apt-get install debootstrap`"
        )
    command = ["debootstrap", "--variant=minbase", f"--include={packages}"]
    mirror = machine.debian_mirror()
    if mirror and mirror[1]:
        command.append(f"--keyring={mirror[1]}")
    command += [suite, str(root), *([mirror[0]] if mirror else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"debootstrap ended with {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")


def _import(root: Path, image: str) -> None:
    excludes = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    with subprocess.Popen(["tar", "-C", str(root), *excludes, "-c", "."], stdout=subprocess.PIPE) as tar:
        command = [docker.client(), "import", "-", image]
        done = subprocess.run(command, stdin=tar.stdout, capture_output=True, text=True, check=False)
    if tar.returncode != 0 or done.returncode != 0:
        raise LabError(f"{image} could not be imported (tar {tar.returncode}, docker {done.returncode}): {done.stderr}")
