# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw evidence about accelerators. What it means is judged on the controller, against the vendor data."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_sources
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand, execute

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
TOOL_TIMEOUT = 20.0
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MIB = 1024 * 1024
_NVIDIA_FIELDS = ("index", "uuid", "name", "memory.total", "driver_version")
_CUDA_VERSION = re.compile(r"CUDA (?:UMD )?Version\s*:\s*(\d+\.\d+)")
_VERSION = re.compile(r"\d+(?:\.\d+)+")


def gpu(
    run: RunCommand, sources: Mapping[str, Any] | None = None, root: str = "/", path: str = STANDARD_PATH
) -> dict[str, Any]:
    """The evidence ``gpu``. ``sources`` are further places to look at; ``root`` is where /dev, /sys and /opt are."""
    places = _gpu_sources.with_more(sources)
    return {
        "devices": devices(root, places.device_nodes),
        "pci": pci_devices(root),
        "modules": modules(root),
        "tools": tools(run, places, root, path),
        "paths": [path for path in places.paths if os.path.exists(below(root, path))],
        "versions": versions(root, places.version_files),
        "wsl": is_wsl(root),
    }


def below(root: str, path: str) -> str:
    """An absolute path inside of another root."""
    return os.path.join(root, path.lstrip("/"))


def devices(root: str, patterns: Sequence[str]) -> list[str]:
    """Device nodes of accelerators, by their usual absolute names. The directory of a pattern is literal."""
    found: set[str] = set()
    for directory in {os.path.dirname(pattern) for pattern in patterns}:
        with contextlib.suppress(OSError), os.scandir(below(root, directory)) as entries:
            found.update(os.path.join(directory, entry.name) for entry in entries if not entry.is_dir())
    return sorted(name for name in found if any(re.fullmatch(pattern, name) for pattern in patterns))


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


def versions(root: str, files: Mapping[str, str]) -> dict[str, str]:
    """The first version number in each file that is there, by the name of what has that version."""
    found = {}
    for name, path in files.items():
        directory, base = os.path.split(below(root, path))
        version = _VERSION.search(read_word(directory, base))
        if version:
            found[name] = version.group(0)
    return found


def tools(
    run: RunCommand, places: _gpu_sources.Sources, root: str = "/", path: str = STANDARD_PATH
) -> dict[str, dict[str, Any]]:
    """The vendors' tools that are installed, and what they answer; they are asked side by side."""
    directories = [*path.split(":"), *places.tool_directories]
    search = ":".join(below(root, directory) for directory in directories)
    found = {name: shutil.which(name, path=search) for name in places.tools}
    installed = {name: tool for name, tool in found.items() if tool}
    with ThreadPoolExecutor(max_workers=len(installed) or 1) as pool:
        answers = {name: pool.submit(_ask, run, name, tool, places.tools[name]) for name, tool in installed.items()}
        return {name: answer.result() for name, answer in answers.items()}


def _ask(run: RunCommand, name: str, tool: str, arguments: Sequence[str]) -> dict[str, Any]:
    if name == "nvidia-smi":
        return nvidia_smi(run, tool)
    code, _output, error = output(run, tool, arguments)
    return {"path": tool, "rc": code, "error": error}


def nvidia_smi(run: RunCommand, tool: str) -> dict[str, Any]:
    """What nvidia-smi says: GPUs with driver and MIG mode, and the newest CUDA version that the driver supports."""
    questions: tuple[list[str], ...] = (
        ["--query-gpu=" + ",".join(_NVIDIA_FIELDS), "--format=csv,noheader,nounits"],
        # By itself, because a driver that does not know the field refuses the whole question.
        ["--query-gpu=index,mig.mode.current", "--format=csv,noheader,nounits"],
        [],
    )
    with ThreadPoolExecutor(max_workers=len(questions)) as pool:
        answers = pool.map(lambda asked: output(run, tool, asked), questions)
        (code, gpus, error), (mig_code, mig, _mig_error), (_code, overview, _error) = answers
    version = _CUDA_VERSION.search(overview)
    return {
        "path": tool,
        "rc": code,
        "error": error,
        "gpus": parse_nvidia_gpus(gpus) if code == 0 else [],
        "mig": parse_mig(mig) if mig_code == 0 else [],
        "cuda_version": version.group(1) if version else None,
    }


def parse_mig(text: str) -> list[int]:
    """Indexes of the GPUs that are divided into MIG devices."""
    rows = [[value.strip() for value in line.split(",")] for line in text.splitlines() if line.count(",") == 1]
    return [int(index) for index, mode in rows if index.isdigit() and mode == "Enabled"]


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
