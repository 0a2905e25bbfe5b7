# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NVIDIA GPUs that a host shows: a table, and stand-ins for the driver's tools and the container toolkit.

The table is the one source: `nvidia-smi`, the management library and the container runtime of the host all read it.
"""

from __future__ import annotations

import csv
import io
import uuid
from functools import cache

from tests.lab import docker, gpustack_images
from tests.lab.builder import IMAGES

CONTEXT = IMAGES / "host-gpu"
HOME = "opt/nvidia-standin"
RUNTIME = f"/{HOME}/nvidia-container-runtime"
# One driver that every supported release of GPUStack takes, with a GPU of a data centre.
MODEL, MEMORY_MIB, DRIVER = "NVIDIA L40S", 46068, "570.133.20"

HostFile = tuple[str, str | bytes, int]


def table(count: int, seed: str) -> str:
    """The GPUs of a host, one CSV line each: index, uuid, name, memory in MiB, driver version.

    The uuids follow from the seed, so that a host shows the same GPUs after it was made anew.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for index in range(count):
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"{seed}:{index}")
        writer.writerow([index, f"GPU-{identity}", MODEL, MEMORY_MIB, DRIVER])
    return buffer.getvalue()


def device_nodes(count: int) -> str:
    """The tmpfiles.d entries by which a host makes its device nodes at boot."""
    control = (CONTEXT / "tmpfiles.conf").read_text()
    return control + "".join(f"c /dev/nvidia{index} 0666 root root - 195:{index}\n" for index in range(count))


def host_files(count: int, seed: str) -> list[HostFile]:
    """Everything that makes a host one with NVIDIA GPUs, as (path, content, mode)."""
    files: list[HostFile] = [
        ("etc/gpustack-lab/gpus.csv", table(count, seed), 0o644),
        ("etc/tmpfiles.d/nvidia-standin.conf", device_nodes(count), 0o644),
        *toolkit_files(),
    ]
    smi, library = _driver_files()
    files += [
        (f"{HOME}/nvidia-smi", smi, 0o755),
        ("usr/bin/nvidia-smi", smi, 0o755),
        (f"{HOME}/libnvidia-ml.so.1", library, 0o755),
        ("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", library, 0o755),
    ]
    return files


def toolkit_files() -> list[HostFile]:
    """The container toolkit: its programs are kept without the line that names the host's interpreter."""
    programs: list[HostFile] = [
        (f"{HOME}/{name}", b"#!/usr/bin/python3\n" + (CONTEXT / name).read_bytes(), 0o755)
        for name in ("nvidia-container-runtime", "nvidia-container-runtime-hook")
    ]
    # Docker looks for the hook on its own PATH; the real toolkit installs it there too.
    hook = f'#!/bin/sh\nexec /{HOME}/nvidia-container-runtime-hook "$@"\n'
    module = (f"{HOME}/injection.py", (CONTEXT / "injection.py").read_bytes(), 0o644)
    return [module, *programs, ("usr/local/bin/nvidia-container-runtime-hook", hook, 0o755)]


@cache
def _driver_files() -> tuple[bytes, bytes]:
    """The stand-ins for `nvidia-smi` and the management library, out of the image that holds them."""
    image = gpustack_images.ensure_nvidia_standin()
    return docker.read_file(image, "/nvidia/nvidia-smi"), docker.read_file(image, "/nvidia/libnvidia-ml.so.1")
