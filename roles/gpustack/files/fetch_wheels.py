# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: wheels for a target's Python and architecture, as one tar file.

    fetch_wheels.py TARGET.tar --wanted '{"python": "3.11", "platforms": [...], "packages": [...]}'
    fetch_wheels.py TARGET.tar --directory DIR

The first form asks the package index that the controller's pip is set up for, the second packs what is there.
The tar file appears under its name only when it is whole.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch or pack the wheels for a target.")
    parser.add_argument("tar", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--wanted", type=json.loads)
    source.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    arguments.tar.parent.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.directory:
            pack(arguments.directory, arguments.tar)
        else:
            with tempfile.TemporaryDirectory() as directory:
                download(arguments.wanted, directory)
                pack(Path(directory), arguments.tar)
    except (OSError, FetchError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


class FetchError(Exception):
    """No wheels; the message says why and what to do."""


def download(wanted: dict[str, Any], directory: str) -> None:
    """Let pip resolve for the target instead of for this machine."""
    target = f"Python {wanted['python']} on {wanted['machine']} ({wanted['libc'] or 'no glibc'})"
    way_out = f"give the target its own pip and index, or put wheels for {target} into gpustack_wheels_dir"
    if not wanted["platforms"]:
        raise FetchError(f"there are no standard wheels for {target}; {way_out}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", wanted["python"]]
    for platform in wanted["platforms"]:
        command += ["--platform", platform]
    command += ["--dest", directory, *wanted["packages"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise FetchError(f"the controller's pip could not download wheels for {target}: {reason}; {way_out}")


def pack(directory: Path, tar: Path) -> None:
    """All wheels of a directory into a tar file, in one order, so that the same wheels make the same file."""
    wheels = sorted(directory.glob("*.whl"))
    if not wheels:
        raise FetchError(f"{directory} holds no wheels (*.whl); see docs/air-gap.md for what belongs there")
    unfinished = tar.with_name(f"{tar.name}.{os.getpid()}")
    try:
        with tarfile.open(unfinished, "w") as archive:
            for wheel in wheels:
                archive.add(wheel, arcname=wheel.name, filter=anonymous)
        unfinished.replace(tar)
    finally:
        unfinished.unlink(missing_ok=True)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the controller's users and times."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o644
    return member


if __name__ == "__main__":
    sys.exit(main())
