# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build an image by running its `build.sh` in a container and committing the result.

What the build needs of this machine (certificate authorities, apt settings, proxies) is mounted or set for that one
container, so that nothing of it stays in the image. The classic `docker build` has no such mounts.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab import docker, machine
from tests.lab.errors import LabError
from tests.lab.progress import step

IMAGES = Path(__file__).parent / "images"
LOGS = Path("/var/lib/gpustack-lab/logs")
MOUNT = "/run/lab-build"


def content_hash(folder: Path, *more: str) -> str:
    """A short hash of every file's name, mode and content under a folder, and of further strings."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"{path.relative_to(folder)} {executable} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    for text in more:
        digest.update(f"\n{text}".encode())
    return digest.hexdigest()[:12]


def build(tag: str, base: str, context: Path, changes: Sequence[str], args: Iterable[str] = ()) -> str:
    """Run `context/build.sh args` in a container of `base`, commit it as `tag`, return the tag."""
    log = LOGS / f"build-{tag.replace('/', '_').replace(':', '_')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with step(f"building {tag} (log: {log})"), tempfile.TemporaryDirectory() as scratch:
        settings = Path(scratch) / "apt.conf"
        settings.write_text(machine.apt_settings())
        container = docker.out("create", *_mounts(context, settings), base, f"{MOUNT}/context/build.sh", *args)
        try:
            with log.open("wb") as sink:
                command = [docker.client(), "start", "--attach", container]
                code = subprocess.run(command, stdout=sink, stderr=sink, check=False).returncode
            if code != 0:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                raise LabError(f"{tag} could not be built (exit {code}, log {log}); the last lines say:\n{tail}")
            docker.run("commit", *(f"--change={change}" for change in changes), container, tag)
        finally:
            docker.run("rm", "--force", container)
    return tag


def _mounts(context: Path, settings: Path) -> list[str]:
    options = ["--network=host", "--tmpfs=/run", "--volume", f"{context}:{MOUNT}/context:ro"]
    options += ["--volume", f"{settings}:{MOUNT}/apt.conf:ro", f"--env=APT_CONFIG={MOUNT}/apt.conf"]
    bundle = machine.ca_bundle()
    if bundle:
        options += ["--volume", f"{bundle}:{MOUNT}/ca.crt:ro"]
        options += [f"--env={name}={MOUNT}/ca.crt" for name in machine.CA_VARIABLES]
    return options + [f"--env={name}={value}" for name, value in machine.proxy_variables().items()]
