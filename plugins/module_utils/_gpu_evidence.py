# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw evidence about accelerators. What it means is judged on the controller, against the vendor data."""

from __future__ import annotations

import glob
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand, execute

#: Device nodes that the vendors' drivers make.
DEVICE_PATTERNS = (
    "nvidia[0-9]*",
    "nvidiactl",
    "nvidia-uvm",
    "nvidia-uvm-tools",
    "nvidia-modeset",
    "kfd",
    "mkfd",
    "dri/card*",
    "dri/renderD*",
    "davinci*",
    "devmm_svm",
    "hisi_hdc",
    "mtgpu*",
    "itrctl",
    "iluvatar*",
    "cambricon*",
    "mxcd",
    "mxnd",
    "mxgd",
    "alixpu",
    "alixpu_*",
    "dxg",
)
#: PCI classes of accelerators: display, co-processor, processing accelerator. The same vendors make network parts.
PCI_CLASSES = ("0x03", "0x0b40", "0x12")
MODULES = (
    "nvidia",
    "nvidia_uvm",
    "nouveau",
    "amdgpu",
    "hycu",
    "hydcu",
    "drv_davinci_intf_host",
    "mtgpu",
    "iluvatar",
    "cambricon_drv",
    "metax",
    "alixpu",
)
DIRECTORIES = (
    "/opt/rocm",
    "/opt/hyhal",
    "/opt/dtk",
    "/usr/local/Ascend/driver",
    "/usr/local/dcmi",
    "/usr/local/corex",
    "/usr/local/neuware",
    "/opt/mxdriver",
    "/opt/maca",
    "/opt/mxn100",
    "/usr/local/PPU_SDK",
)
#: Tool -> directories outside of PATH where its vendor puts it.
TOOLS = {
    "nvidia-smi": ("/usr/lib/wsl/lib",),
    "amd-smi": ("/opt/rocm/bin",),
    "rocm-smi": ("/opt/rocm/bin",),
    "hy-smi": ("/opt/hyhal/bin",),
    "npu-smi": ("/usr/local/sbin",),
    "mthreads-gmi": (),
    "ixsmi": ("/usr/local/corex/bin",),
    "cnmon": (),
    "mx-smi": ("/opt/mxdriver/bin", "/opt/maca/bin"),
    "ppu-smi": ("/usr/local/PPU_SDK/bin",),
}
TOOL_TIMEOUT = 20.0
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MIB = 1024 * 1024
_NVIDIA_FIELDS = ("index", "uuid", "name", "memory.total", "driver_version")
_CUDA_VERSION = re.compile(r"CUDA (?:UMD )?Version\s*:\s*(\d+\.\d+)")


def gpu(run: RunCommand, root: str = "/", path: str = STANDARD_PATH) -> dict[str, Any]:
    """The evidence ``gpu``. ``root`` is where /dev, /sys and /opt are looked for."""
    return {
        "devices": devices(root),
        "pci": pci_devices(root),
        "modules": modules(root),
        "tools": tools(run, root, path),
        "directories": [directory for directory in DIRECTORIES if os.path.isdir(below(root, directory))],
        "wsl": is_wsl(root),
    }


def below(root: str, path: str) -> str:
    """An absolute path inside of another root."""
    return os.path.join(root, path.lstrip("/"))


def devices(root: str) -> list[str]:
    """Device nodes of accelerators, by their usual absolute names."""
    directory = below(root, "/dev")
    found = {name for pattern in DEVICE_PATTERNS for name in glob.glob(os.path.join(directory, pattern))}
    return sorted("/dev/" + os.path.relpath(name, directory) for name in found if not os.path.isdir(name))


def pci_devices(root: str) -> list[dict[str, str]]:
    """PCI devices whose class is an accelerator's."""
    found = []
    for directory in sorted(glob.glob(below(root, "/sys/bus/pci/devices/*"))):
        device_class = read_word(directory, "class")
        if device_class.startswith(PCI_CLASSES):
            found.append(
                {
                    "address": os.path.basename(directory),
                    "vendor": read_word(directory, "vendor"),
                    "device": read_word(directory, "device"),
                    "class": device_class,
                }
            )
    return found


def read_word(directory: str, name: str) -> str:
    """One attribute of sysfs; empty when it cannot be read."""
    try:
        with open(os.path.join(directory, name), encoding="ascii", errors="replace") as attribute:
            return attribute.read(256).strip()
    except OSError:
        return ""


def modules(root: str) -> list[str]:
    """Loaded kernel modules of accelerators."""
    return [name for name in MODULES if os.path.isdir(below(root, "/sys/module/" + name))]


def is_wsl(root: str) -> bool:
    """Whether Linux runs inside of Windows."""
    return (
        os.path.exists(below(root, "/dev/dxg"))
        or "microsoft" in read_word(below(root, "/proc/sys/kernel"), "osrelease").lower()
    )


def tools(run: RunCommand, root: str, path: str) -> dict[str, dict[str, Any]]:
    """The vendors' tools that are installed; NVIDIA's is asked for its GPUs."""
    found: dict[str, dict[str, Any]] = {}
    for name, directories in TOOLS.items():
        search = [below(root, directory) for directory in path.split(":") + list(directories)]
        tool = shutil.which(name, path=":".join(search))
        if tool:
            found[name] = nvidia_smi(run, tool) if name == "nvidia-smi" else {"path": tool, "rc": None}
    return found


def nvidia_smi(run: RunCommand, tool: str) -> dict[str, Any]:
    """What nvidia-smi says: GPUs with their driver, and the newest CUDA version that the driver supports."""
    questions: tuple[list[str], ...] = (
        ["--query-gpu=" + ",".join(_NVIDIA_FIELDS), "--format=csv,noheader,nounits"],
        [],
    )
    with ThreadPoolExecutor(max_workers=len(questions)) as pool:
        (code, gpus, error), (_code, overview, _error) = pool.map(lambda asked: output(run, tool, asked), questions)
    version = _CUDA_VERSION.search(overview)
    return {
        "path": tool,
        "rc": code,
        "error": error,
        "gpus": parse_nvidia_gpus(gpus) if code == 0 else [],
        "cuda_version": version.group(1) if version else None,
    }


def output(run: RunCommand, tool: str, arguments: Sequence[str]) -> tuple[int | None, str, str | None]:
    """Exit status, output and error of a tool that gets a limited time."""
    done = execute(run, [tool, *arguments], TOOL_TIMEOUT)
    text = done.output + done.error
    return done.status, done.output, text.strip()[:200] if done.status != 0 else None


def parse_nvidia_gpus(text: str) -> list[dict[str, Any]]:
    """One record per line of the CSV that nvidia-smi prints; memory in bytes, null where the GPU does not tell it."""
    rows = [[value.strip() for value in line.split(",")] for line in text.splitlines() if line.count(",") >= 4]
    return [
        {
            "index": number(row[0]),
            "uuid": row[1],
            "name": ", ".join(row[2:-2]),
            "memory": mebibytes(row[-2]),
            "driver_version": row[-1],
        }
        for row in rows
    ]


def mebibytes(text: str) -> int | None:
    """A number of MiB in bytes."""
    count = number(text)
    return None if count is None else count * _MIB


def number(text: str) -> int | None:
    """A whole number, or None for ``[N/A]`` and the like."""
    return int(text) if text.isdigit() else None
