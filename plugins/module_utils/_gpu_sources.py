# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host is looked at for evidence of accelerators: what the shipped vendors need, and what others add. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence


@dataclass(frozen=True)
class Sources:
    """Places of the host."""

    #: Whole regular expressions for device nodes; their directory is literal.
    device_nodes: tuple[str, ...]
    #: Files and directories of vendor software.
    paths: tuple[str, ...]
    #: Tool -> arguments with which it asks the driver and ends with 0 when that answers.
    tools: Mapping[str, Sequence[str]]
    #: Where vendors put tools outside of PATH.
    tool_directories: tuple[str, ...]
    #: What has a version -> the file that begins with it.
    version_files: Mapping[str, str]


#: What the vendor files of the role gpu_runtime look for (a unit holds it against them), and what else tells a reader
#: something about the host.
SHIPPED = Sources(
    device_nodes=(
        "/dev/nvidia[0-9]+",
        "/dev/nvidiactl",
        "/dev/nvidia-uvm",
        "/dev/nvidia-uvm-tools",
        "/dev/nvidia-modeset",
        "/dev/kfd",
        "/dev/mkfd",
        "/dev/dri/card[0-9]+",
        "/dev/dri/renderD[0-9]+",
        "/dev/davinci[0-9]+",
        "/dev/davinci_manager",
        "/dev/davinci_manager_docker",
        "/dev/devmm_svm",
        "/dev/hisi_hdc",
        "/dev/mtgpu.*",
        "/dev/itrctl",
        "/dev/iluvatar[0-9]+",
        "/dev/cambricon.*",
        "/dev/mxcd",
        "/dev/mxnd",
        "/dev/mxgd",
        "/dev/alixpu",
        "/dev/alixpu_ctl",
        "/dev/alixpu_ppu[0-9]+",
        "/dev/dxg",
    ),
    paths=(
        "/opt/rocm",
        "/opt/hyhal",
        "/opt/dtk",
        "/opt/dtk/.hyhal",
        "/usr/local/dcmi",
        "/usr/local/Ascend/driver",
        "/usr/local/corex",
        "/usr/local/neuware",
        "/usr/bin/cnmon",
        "/usr/bin/ixsmi",
        "/lib/modules",
        "/opt/mxdriver",
        "/opt/maca",
        "/opt/mxn100",
        "/usr/local/PPU_SDK",
        "/var/run/cdi",
    ),
    tools={
        "nvidia-smi": (),
        "amd-smi": ("static",),
        "rocm-smi": (),
        "hy-smi": (),
        "npu-smi": ("info",),
        "mthreads-gmi": (),
        "ixsmi": (),
        "cnmon": ("info",),
        "mx-smi": (),
        "ppu-smi": (),
    },
    tool_directories=(
        "/usr/lib/wsl/lib",
        "/opt/rocm/bin",
        "/opt/hyhal/bin",
        "/usr/local/corex/bin",
        "/opt/mxdriver/bin",
        "/opt/maca/bin",
        "/usr/local/PPU_SDK/bin",
    ),
    version_files={
        "rocm_version": "/opt/rocm/.info/version",
        "ascend_driver_version": "/usr/local/Ascend/driver/version.info",
        "dtk_version": "/opt/dtk/.info/version",
    },
)


def with_more(more: Mapping[str, Any] | None) -> Sources:
    """The shipped places and further ones, as the filter ``gpu_sources`` lists them from vendor files."""
    given = more or {}
    return Sources(
        device_nodes=_union(SHIPPED.device_nodes, given.get("device_nodes")),
        paths=_union(SHIPPED.paths, given.get("paths")),
        tools={**SHIPPED.tools, **(given.get("tools") or {})},
        tool_directories=_union(SHIPPED.tool_directories, given.get("tool_directories")),
        version_files={**SHIPPED.version_files, **(given.get("version_files") or {})},
    )


def of_vendors(vendors: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Every place that the judgement by these vendor data looks at."""
    found: dict[str, Any] = {
        "device_nodes": [],
        "paths": [],
        "tools": {},
        "tool_directories": [],
        "version_files": {},
    }
    for data in vendors.values():
        evidence = data.get("evidence") or {}
        for name in ("device_nodes", "requires_device_nodes", "unless_device_nodes"):
            found["device_nodes"] += evidence.get(name) or []
        devices = data.get("visible_devices") or {}
        found["device_nodes"] += [devices["node"]] if devices.get("node") else []
        found["paths"] += evidence.get("requires_paths") or []
        for entry in data.get("flags") or []:
            found["paths"] += [volume.split(":", 1)[0] for volume in entry.get("volumes") or []]
            found["paths"] += entry.get("when_paths") or []
        found["tools"].update(evidence.get("tools") or {})
        found["tool_directories"] += evidence.get("tool_directories") or []
        found["version_files"].update((data.get("driver") or {}).get("version_files") or {})
    for name in ("device_nodes", "paths", "tool_directories"):
        found[name] = sorted(set(found[name]))
    return found


def _union(shipped: Sequence[str], more: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*shipped, *(more or ())]))
