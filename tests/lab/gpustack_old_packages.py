# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a GPUStack release before 0.7: they look for their tools under other names and in other places.

Apart from `gpustack_packages`, whose content is part of what the images of all newer releases are built from.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.lab import gpustack_packages
from tests.lab.errors import LabError

PLATFORM = "x86_64-manylinux_2_36"
#: A tool, and how `tools_manager.py` of 0.3 to 0.6 names the version that it wants of it.
VERSIONS = {
    "llama-box": r'(?:BUILTIN_LLAMA_BOX_VERSION|def download_llama_box\(self\):\n +version) = "(.+)"',
    "gguf-parser": r'(?:BUILTIN_GGUF_PARSER_VERSION|def download_gguf_parser\(self\):\n +version) = "(.+)"',
    "fastfetch": r'def download_fastfetch\(self\):\n +version = "(.+)"',
}


def install(release: str, day: str, root: Path) -> None:
    """Put a release, its dependencies as of that day and the stand-ins into a tree that becomes the image's root."""
    packages = root / gpustack_packages.PACKAGES
    command = [gpustack_packages._uv(), "pip", "install", "--quiet", "--target", str(packages), "--exclude-newer", day]
    command += ["--python-version", "3.11", "--python-platform", PLATFORM, "--only-binary", ":all:"]
    done = subprocess.run([*command, f"gpustack=={release}"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"uv could not install GPUStack {release} as of {day}: {done.stderr[-1500:]}")
    for pattern in gpustack_packages.LEFT_OUT:
        for path in packages.glob(pattern):
            shutil.rmtree(path)
    gpustack_packages._move_scripts(packages / "bin", root / gpustack_packages.SCRIPTS)
    _install_tools(packages / "gpustack")


def _install_tools(package: Path) -> None:
    """Put the stand-ins where a worker of these releases keeps its downloads, with the versions that it looks for."""
    target = package / "third_party" / "bin"
    manager = package / "worker" / "tools_manager.py"
    if not manager.exists():
        return  # up to 0.2 the wheel carries the tools
    source, versions = manager.read_text(), {}
    for tool, pattern in VERSIONS.items():
        found = re.search(pattern, source)
        if found is None:
            continue  # not every release has each of them
        versions[tool] = found[1]
        (target / tool).mkdir(parents=True, exist_ok=True)
        gpustack_packages._install_program(gpustack_packages.TOOLS / tool, target / tool / tool)
    (target / "versions.json").write_text(json.dumps(versions))
