# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The docker command line, as the lab uses it: run, check, read."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.lab.errors import LabError

DEBIAN_CLIENT = "/usr/bin/docker"


def client() -> str:
    """Debian's own client where it exists: another one earlier on PATH may speak to something else."""
    return DEBIAN_CLIENT if os.access(DEBIAN_CLIENT, os.X_OK) else "docker"


def run(
    *args: str,
    check: bool = True,
    stdin: bytes | None = None,
    timeout: float | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one docker command and return it with its output as text."""
    try:
        done = subprocess.run(
            [client(), *args],
            capture_output=True,
            input=stdin,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except FileNotFoundError as exc:
        raise LabError("no docker client on this machine; run `python -m tests.lab engine start`") from exc
    text = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and text.returncode != 0:
        raise LabError(f"`docker {' '.join(args[:4])} ...` ended with {text.returncode}: {text.stderr.strip()}")
    return text


def out(*args: str, timeout: float | None = None) -> str:
    """The stripped standard output of a docker command that must succeed."""
    return run(*args, timeout=timeout).stdout.strip()


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """`docker <kind> inspect` of one object, or None when there is no such object."""
    done = run(kind, "inspect", name, check=False)
    if done.returncode != 0:
        return None
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def image_exists(reference: str) -> bool:
    """Whether the engine holds this image."""
    return inspect("image", reference) is not None


def answers(timeout: float = 10) -> bool:
    """Whether an engine answers at DOCKER_HOST or at the default socket."""
    try:
        return run("version", "--format", "{{.Server.Version}}", check=False, timeout=timeout).returncode == 0
    except (LabError, subprocess.TimeoutExpired):
        return False


def read_file(image: str, path: str) -> bytes:
    """The content of one file of an image."""
    container = out("create", image)
    try:
        done = subprocess.run([client(), "cp", f"{container}:{path}", "-"], capture_output=True, check=False)
    finally:
        run("rm", container)
    if done.returncode != 0:
        raise LabError(f"the image {image} holds no {path}: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        content = archive.extractfile(archive.getmembers()[0])
        return content.read() if content else b""


def build(tag: str, context: Path, *, args: dict[str, str] | None = None, log: Path | None = None) -> None:
    """Build an image with the classic builder, which needs no plug-in and takes the host's network."""
    command = [client(), "build", "--network", "host", "--tag", tag]
    for key, value in sorted((args or {}).items()):
        command += ["--build-arg", f"{key}={value}"]
    done = subprocess.run(
        [*command, str(context)],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if log:
        log.write_text(done.stdout)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise LabError(f"the image {tag} could not be built (exit {done.returncode}); the last lines say:\n{tail}")
