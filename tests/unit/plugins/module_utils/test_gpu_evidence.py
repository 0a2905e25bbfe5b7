# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence about accelerators, from made-up roots and from tools that really run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_evidence, _gpu_sources
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.module_run import run_command

GPUS = """\
0, GPU-1, NVIDIA H100 80GB HBM3, 81559, 570.133.20
1, GPU-2, NVIDIA GB10, [N/A], 580.95.05
"""
SMI = """\
#!/bin/sh
case "$1" in
--query-gpu=index,mig.mode.current) printf '0, [N/A]\\n1, Enabled\\n2, Disabled\\n' ;;
--query-gpu=*) printf '0, GPU-1, NVIDIA L40S, 46068, 570.133.20\\n' ;;
"") echo '| NVIDIA-SMI 570.133.20   Driver Version: 570.133.20   CUDA Version: 12.8 |' ;;
esac
"""


def write(root: Path, path: str, text: str = "") -> Path:
    """A file below a root."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def tool(directory: Path, name: str, text: str) -> str:
    """An executable."""
    file = write(directory, name, text)
    file.chmod(0o755)
    return str(file)


def pci(root: Path, address: str, vendor: str, device_class: str) -> None:
    """A PCI device in sysfs."""
    for name, value in (("vendor", vendor), ("class", device_class), ("device", "0x0001")):
        write(root, f"sys/bus/pci/devices/{address}/{name}", value + "\n")


def test_a_host_without_accelerators(tmp_path: Path) -> None:
    found = _gpu_evidence.gpu(run_command, root=str(tmp_path), path=str(tmp_path))
    assert found == {"devices": [], "pci": [], "modules": [], "tools": {}, "paths": [], "versions": {}, "wsl": False}


def test_device_nodes_of_several_vendors(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidiactl", "kfd", "mkfd", "dri/renderD128", "davinci_manager", "null", "nvidia-caps/x"):
        write(tmp_path, "dev/" + name)
    assert _gpu_evidence.devices(str(tmp_path), _gpu_sources.SHIPPED.device_nodes) == [
        "/dev/davinci_manager",
        "/dev/dri/renderD128",
        "/dev/kfd",
        "/dev/mkfd",
        "/dev/nvidia0",
        "/dev/nvidiactl",
    ]


def test_accelerators_and_not_network_parts_of_the_same_vendors(tmp_path: Path) -> None:
    pci(tmp_path, "0000:01:00.0", "0x10de", "0x030200")
    pci(tmp_path, "0000:02:00.0", "0x19e5", "0x120000")
    pci(tmp_path, "0000:03:00.0", "0x10de", "0x020700")
    pci(tmp_path, "0000:04:00.0", "0xcabc", "0x0b4000")
    assert [(each["address"], each["vendor"]) for each in _gpu_evidence.pci_devices(str(tmp_path))] == [
        ("0000:01:00.0", "0x10de"),
        ("0000:02:00.0", "0x19e5"),
        ("0000:04:00.0", "0xcabc"),
    ]


def test_modules_paths_versions_and_wsl(tmp_path: Path) -> None:
    write(tmp_path, "sys/module/nvidia/version", "570")
    write(tmp_path, "usr/bin/cnmon")
    write(tmp_path, "opt/rocm/.info/version", "6.4.1-91\n")
    write(tmp_path, "usr/local/Ascend/driver/version.info", "Version=25.2.0\nversion_dir=8.1\n")
    write(tmp_path, "opt/dtk/.info/version", "unknown")
    write(tmp_path, "proc/sys/kernel/osrelease", "5.15.153.1-Microsoft-standard-WSL2\n")
    found = _gpu_evidence.gpu(run_command, root=str(tmp_path), path=str(tmp_path))
    assert (found["modules"], found["wsl"]) == (["nvidia"], True)
    assert found["paths"] == ["/opt/rocm", "/opt/dtk", "/usr/local/Ascend/driver", "/usr/bin/cnmon"]
    assert found["versions"] == {"rocm_version": "6.4.1", "ascend_driver_version": "25.2.0"}


def test_nvidia_smi_tells_gpus_driver_and_cuda(tmp_path: Path) -> None:
    path = tool(tmp_path, "usr/bin/nvidia-smi", SMI)
    found = _gpu_evidence.gpu(run_command, root=str(tmp_path), path="/usr/bin")["tools"]
    assert found["nvidia-smi"] == {
        "path": path,
        "rc": 0,
        "error": None,
        "gpus": [
            {
                "index": 0,
                "uuid": "GPU-1",
                "name": "NVIDIA L40S",
                "memory": 46068 * 1024 * 1024,
                "driver_version": "570.133.20",
            }
        ],
        "mig": [1],
        "cuda_version": "12.8",
    }


def test_a_driver_that_does_not_answer_is_told(tmp_path: Path) -> None:
    path = tool(tmp_path, "nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed: no driver'; exit 9\n")
    found = _gpu_evidence.nvidia_smi(run_command, path)
    assert (found["rc"], found["gpus"]) == (9, [])
    assert "no driver" in found["error"]


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpu_evidence, "TOOL_TIMEOUT", 0.1)
    path = tool(tmp_path, "nvidia-smi", "#!/bin/sh\nexec sleep 30\n")
    found = _gpu_evidence.nvidia_smi(run_command, path)
    assert (found["rc"], found["error"]) == (None, "no answer within 0.1 s")


def test_a_tool_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    path = tool(tmp_path, "nvidia-smi", "#!/no/such/interpreter\n")
    assert "No such file" in _gpu_evidence.nvidia_smi(run_command, path)["error"]


def test_a_driver_that_does_not_know_mig(tmp_path: Path) -> None:
    path = tool(tmp_path, "nvidia-smi", "#!/bin/sh\ncase $1 in *mig*) echo bad field; exit 2 ;; esac\n")
    assert _gpu_evidence.nvidia_smi(run_command, path)["mig"] == []


def test_other_vendors_tools_are_asked(tmp_path: Path) -> None:
    good = tool(tmp_path, "usr/local/sbin/npu-smi", '#!/bin/sh\n[ "$*" = info ]\n')
    bad = tool(tmp_path, "opt/hyhal/bin/hy-smi", "#!/bin/sh\necho no device >&2; exit 1\n")
    assert _gpu_evidence.tools(run_command, _gpu_sources.SHIPPED, str(tmp_path)) == {
        "npu-smi": {"path": good, "rc": 0, "error": None},
        "hy-smi": {"path": bad, "rc": 1, "error": "no device"},
    }


def test_what_an_operators_vendor_file_looks_for(tmp_path: Path) -> None:
    for name in ("dev/exa/3", "dev/exa/control", "opt/exa/version"):
        write(tmp_path, name, "5.1\n")
    tool(tmp_path, "opt/exa/bin/exa-smi", "#!/bin/sh\n")
    more = {
        "device_nodes": ["/dev/exa/[0-9]+"],
        "paths": ["/opt/exa"],
        "tools": {"exa-smi": []},
        "tool_directories": ["/opt/exa/bin"],
        "version_files": {"exa_version": "/opt/exa/version"},
    }
    found = _gpu_evidence.gpu(run_command, more, str(tmp_path), "/usr/bin")
    assert (found["devices"], found["paths"], found["versions"]) == (
        ["/dev/exa/3"],
        ["/opt/exa"],
        {"exa_version": "5.1"},
    )
    assert found["tools"]["exa-smi"]["rc"] == 0


def test_memory_that_a_gpu_does_not_tell() -> None:
    found = _gpu_evidence.parse_nvidia_gpus(GPUS)
    assert [(gpu["name"], gpu["memory"]) for gpu in found] == [
        ("NVIDIA H100 80GB HBM3", 81559 * 1024 * 1024),
        ("NVIDIA GB10", None),
    ]
