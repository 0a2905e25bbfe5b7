# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and legacy containers of every vendor, as evidence. Stand-ins: there is no such hardware to record them from.

Names of nodes, tools and paths are those of gpustack-runtime v0.2.3 (`gpustack_runtime/detector`, `deployer/cdi`); the
legacy containers are those of GPUStack's `docs/installation` at v0.7.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Mapping

import yaml

PREFIX = "gpu_runtime_vendor_"
FILES = Path(__file__).parents[4] / "roles" / "gpu_runtime" / "vars" / "vendors"
VENDORS: dict[str, Any] = {
    name.replace(PREFIX, ""): data
    for path in sorted(FILES.glob("*.yml"))
    for name, data in yaml.safe_load(path.read_text(encoding="utf-8")).items()
}
ENGINE = {"runtimes": ["amd", "ascend", "iluvatar", "mthreads", "nvidia", "runc"]}
DISPLAY, CONTROLLER_3D, COPROCESSOR, ACCELERATOR, NETWORK = "0x030000", "0x030200", "0x0b4000", "0x120000", "0x020000"


def gpu(
    devices: Iterable[str] = (),
    tools: Mapping[str, Any] | None = None,
    pci: Iterable[tuple[str, str]] = (),
    paths: Iterable[str] = (),
    versions: Mapping[str, str] | None = None,
    wsl: bool = False,
) -> dict[str, Any]:
    """Evidence of a host; a PCI device is its vendor and its class."""
    return {
        "devices": sorted(devices),
        "pci": [
            {"address": f"0000:0{number}:00.0", "vendor": vendor, "device": "0x0001", "class": device_class}
            for number, (vendor, device_class) in enumerate(pci, 1)
        ],
        "modules": [],
        "tools": dict(tools or {}),
        "paths": list(paths),
        "versions": dict(versions or {}),
        "wsl": wsl,
    }


def answers(name: str, code: int | None = 0) -> dict[str, Any]:
    """A tool that was asked."""
    return {name: {"path": f"/usr/bin/{name}", "rc": code, "error": None if code == 0 else "no device"}}


def nvidia_smi(
    cuda: str | None = "12.8", driver: str | None = "570.86.15", code: int = 0, mig: Iterable[int] = ()
) -> dict[str, Any]:
    """What nvidia-smi tells beyond that."""
    found = answers("nvidia-smi", code)
    found["nvidia-smi"].update(cuda_version=cuda, gpus=[{"driver_version": driver}], mig=list(mig))
    return found


def container(image: str = "gpustack/gpustack:v0.7.1", **more: Any) -> dict[str, Any]:
    """A legacy container, as far as it speaks for a vendor."""
    return {"image": image, "runtime": "runc", "devices": [], "device_requests": [], "environment": {}, **more}


def devices(*names: str) -> list[dict[str, str]]:
    """What `docker run --device` leaves in a definition."""
    return [{"PathOnHost": name, "PathInContainer": name, "CgroupPermissions": "rwm"} for name in names]


def requested(count: int = -1, ids: Iterable[str] = ()) -> list[dict[str, Any]]:
    """What `docker run --gpus` leaves there."""
    listed = list(ids)
    return [{"Driver": "", "Count": 0 if listed else count, "DeviceIDs": listed or None, "Capabilities": [["gpu"]]}]


NVIDIA_NODES = ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"]
ASCEND_NODES = ["/dev/davinci0", "/dev/davinci1", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"]

#: A complete host of each vendor.
HOSTS: dict[str, dict[str, Any]] = {
    "amd": gpu(
        ["/dev/kfd", "/dev/dri/card0", "/dev/dri/renderD128"],
        answers("amd-smi"),
        [("0x1002", ACCELERATOR)],
        ["/opt/rocm"],
        {"rocm_version": "7.0.1"},
    ),
    "ascend": gpu(ASCEND_NODES, answers("npu-smi"), [("0x19e5", ACCELERATOR)], ["/usr/local/dcmi"]),
    "cambricon": gpu(
        ["/dev/cambricon_dev0"],
        answers("cnmon"),
        [("0xcabc", COPROCESSOR)],
        ["/usr/local/neuware", "/usr/bin/cnmon"],
    ),
    "cpu": gpu(),
    "hygon": gpu(
        ["/dev/kfd", "/dev/mkfd", "/dev/dri/card0"],
        answers("hy-smi"),
        [("0x1d94", COPROCESSOR)],
        ["/opt/hyhal", "/opt/dtk"],
    ),
    "iluvatar": gpu(
        ["/dev/itrctl", "/dev/iluvatar0"], answers("ixsmi"), [("0x1e3e", CONTROLLER_3D)], ["/usr/local/corex"]
    ),
    "metax": gpu(
        ["/dev/mxcd", "/dev/mxgd", "/dev/dri/card0"],
        answers("mx-smi"),
        [("0x9999", CONTROLLER_3D)],
        ["/opt/mxdriver", "/opt/maca"],
    ),
    "mthreads": gpu(["/dev/mtgpu.0", "/dev/dri/card0"], answers("mthreads-gmi"), [("0x1ed5", DISPLAY)]),
    "nvidia": gpu(NVIDIA_NODES, nvidia_smi(), [("0x10de", CONTROLLER_3D)]),
    "thead": gpu(
        ["/dev/alixpu", "/dev/alixpu_ctl", "/dev/alixpu_ppu0"],
        answers("ppu-smi"),
        [("0x1ded", ACCELERATOR)],
        ["/usr/local/PPU_SDK", "/var/run/cdi"],
    ),
}

#: The documented legacy container of each vendor that had one.
CONTAINERS: dict[str, dict[str, Any]] = {
    "amd": container("gpustack/gpustack:v0.7.1-rocm", devices=devices("/dev/kfd", "/dev/dri")),
    "ascend": container(
        "gpustack/gpustack:v0.7.1-npu",
        devices=devices("/dev/davinci0", "/dev/davinci1", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"),
    ),
    "cpu": container("gpustack/gpustack:v0.7.1-cpu"),
    "hygon": container("gpustack/gpustack:v0.7.1-dcu", devices=devices("/dev/kfd", "/dev/mkfd", "/dev/dri")),
    "iluvatar": container("gpustack/gpustack:v0.7.1-corex", privileged=True),
    "mthreads": container("gpustack/gpustack:v0.7.1-musa", runtime="mthreads"),
    "nvidia": container(device_requests=requested()),
}
