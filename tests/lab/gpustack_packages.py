# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a GPUStack release: its wheels, their dependencies of the release day, stand-ins for its tools."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.errors import LabError

TOOLS = Path(__file__).parent / "images" / "gpustack" / "tools"
# Where Debian's Python 3.11 looks for packages and commands that are not Debian's.
PACKAGES = Path("usr/local/lib/python3.11/dist-packages")
SCRIPTS = Path("usr/local/bin")
# Not needed to run a server or a worker: test suites, headers, and Ray's Java side.
LEFT_OUT = ("*/tests", "*/*/tests", "*/*/*/tests", "pyarrow/include", "ray/jars", "ray/cpp", "ray/dashboard/client")


def install(release: str, day: str, root: Path) -> None:
    """Put a release, its dependencies as of that day and the stand-ins into a tree that becomes the image's root."""
    packages = root / PACKAGES
    command = [_uv(), "pip", "install", "--quiet", "--target", str(packages), "--exclude-newer", day]
    command += ["--python-version", "3.11", "--python-platform", f"{platform.machine()}-manylinux_2_36"]
    # Wheels only: nothing is compiled. cachetools is imported by 0.7 and by no dependency of it declared.
    command += ["--only-binary", ":all:", f"gpustack=={release}", "cachetools"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"uv could not install GPUStack {release} as of {day}: {done.stderr[-1500:]}")
    for pattern in LEFT_OUT:
        for path in packages.glob(pattern):
            shutil.rmtree(path)
    _move_scripts(packages / "bin", root / SCRIPTS)
    _install_tools(packages)
    _skip_pci_check(packages / "gpustack_runtime" / "detector" / "nvidia.py")


def _move_scripts(source: Path, target: Path) -> None:
    """Move the commands onto the PATH and point them at the image's Python instead of this machine's."""
    target.mkdir(parents=True)
    for script in source.iterdir():
        first, _newline, rest = script.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            (target / script.name).write_bytes(b"#!/usr/bin/python3\n" + rest)
            (target / script.name).chmod(0o755)
    shutil.rmtree(source)


def _install_tools(packages: Path) -> None:
    """Put the stand-ins where a worker keeps its downloads, under the names and versions that it looks for."""
    target = packages / "gpustack" / "third_party" / "bin"
    source = (packages / "gpustack" / "worker" / "tools_manager.py").read_text()
    versions = {
        "gguf-parser": _only(r'^BUILTIN_GGUF_PARSER_VERSION = "(.+)"', source),
        "fastfetch": _only(r'def download_fastfetch\(self\):\n +version = "(.+)"', source),
    }
    places = {name: name for name in versions}
    if "BUILTIN_LLAMA_BOX_VERSION" in source:
        version = _only(r'^BUILTIN_LLAMA_BOX_VERSION = "(.+)"', source)
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        for device in ("", "-cuda"):
            name = f"llama-box-{version}-linux-{architecture}{device}"
            versions[name] = version
            places[f"llama-box/{name}"] = "llama-box"
    for place, tool in places.items():
        (target / place).mkdir(parents=True)
        _install_program(TOOLS / tool, target / place / tool)
    (target / "versions.json").write_text(json.dumps(versions))


def _install_program(source: Path, target: Path) -> None:
    """Install a stand-in; those in Python are kept without the line that names the image's interpreter."""
    content = source.read_bytes()
    target.write_bytes(content if content.startswith(b"#!") else b"#!/usr/bin/python3 -I\n" + content)
    target.chmod(0o755)


def _skip_pci_check(detector: Path) -> None:
    """Give the detector of 2.0.0 what later ones have: it may look for GPUs that are no PCI devices."""
    if not detector.exists():
        return
    source = detector.read_text()
    if "GPUSTACK_RUNTIME_DETECT_NO_PCI_CHECK" not in source:
        source = source.replace(
            'if not pci_devs:\n            logger.debug("No NVIDIA', 'if False:\n            logger.debug("No NVIDIA'
        )
    source = re.sub(r'(vendor="0x10de"\)\n +if not pci_devs:\n +return )None', r"\1{}", source)
    detector.write_text(source)


def _only(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise LabError(f"this release's tools_manager.py names no version where the lab looks for it: {pattern}")
    return found[1]


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise LabError(
            "uv is missing, and without it GPUStack cannot be resolved as of its release day; `pip install uv`"
        )
    return found
