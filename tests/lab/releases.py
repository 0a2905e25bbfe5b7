# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where GPUStack's images come from: published ones where their registry answers, else built here."""

from __future__ import annotations

import subprocess
from functools import cache

from tests.lab import docker, gpustack_images
from tests.lab.progress import say, step

PROBE = "gpustack/gpustack:v2.2.3"
PROBE_TIMEOUT = 6.0


@cache
def published() -> bool:
    """Whether the registry with the published images answers; asked once per run."""
    try:
        found = docker.run("manifest", "inspect", PROBE, check=False, timeout=PROBE_TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        found = False
    say("published images: in reach, and used" if found else "published images: not in reach, so they are built here")
    return found


def ensure(release: str) -> list[str]:
    """Return the images of a release, pulled or built: one of a 2.x, the GPU and the CPU variant of a 0.x."""
    wanted = images(release)
    if published():
        for image in wanted:
            if not docker.image_exists(image):
                with step(f"pulling {image}"):
                    docker.run("pull", "--quiet", image)
    else:
        gpustack_images.ensure(release)
    return wanted


def images(release: str) -> list[str]:
    """The images of a release: of a 2.x one, of a 0.x that for GPUs and, from 0.4 on, that for none."""
    if not is_legacy(release):
        return [f"gpustack/gpustack:v{release}"]
    if release < "0.4":  # tags without a "v", one image for all
        return [f"gpustack/gpustack:{release}"]
    return [f"gpustack/gpustack:v{release}", f"gpustack/gpustack:v{release}-cpu"]


def is_legacy(release: str) -> bool:
    """Whether a release belongs to the 0.x line."""
    return release.startswith("0.")
