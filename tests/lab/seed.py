# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds: volumes with an inner engine's data directory and a set of images in it, from which hosts are copied."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence

from tests.lab import docker, host_image, hosts, volumes
from tests.lab.errors import LabError
from tests.lab.progress import step

LABEL = "gpustack-lab.seed"
# Lies beside the engine's own files, and says that loading came to its end.
MARKER = "gpustack-lab-complete"


def ensure(images: Sequence[str]) -> str:
    """Return the volume with exactly these images, after filling it if there is none."""
    name = _name(images)
    if not _complete(name):
        docker.run("volume", "rm", "--force", name)
        volumes.create(name, {LABEL: ",".join(images)})
        with step(f"loading {', '.join(images) or 'nothing'} into a seed for hosts"):
            _fill(name, images)
        _remove_superseded(name, images)
    return name


def _name(images: Sequence[str]) -> str:
    identities = [f"{image} {docker.out('image', 'inspect', '--format', '{{.Id}}', image)}" for image in images]
    text = "\n".join([host_image.name(), *sorted(identities)])
    return f"gpustack-lab-seed-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _remove_superseded(name: str, images: Sequence[str]) -> None:
    """Remove the seeds that held earlier builds of the same images; hosts copied from them keep their own links."""
    label = f"label={LABEL}={','.join(images)}"
    found = docker.out("volume", "ls", "--quiet", "--filter", label).split()
    for other in found:
        if other != name:
            docker.run("volume", "rm", other)


def purge() -> None:
    """Remove every seed."""
    for name in docker.out("volume", "ls", "--quiet", "--filter", f"label={LABEL}").split():
        docker.run("volume", "rm", name)


def _complete(name: str) -> bool:
    if not volumes.exists(name):
        return False
    return volumes.shell('[ -e "/volumes/$1/_data/$2" ] && echo yes || echo no', name, MARKER) == "yes"


def _fill(name: str, images: Sequence[str]) -> None:
    """Let the engine of a passing host load the images, then write the marker."""
    passing = hosts.Host(fleet="seed", name=name.rsplit("-", 1)[-1], address="")
    docker.run("rm", "--force", passing.container)
    options = ["--privileged", "--cgroupns=private", "--tmpfs=/run", "--tmpfs=/run/lock", "--network=none"]
    options += [f"--name={passing.container}", "--stop-timeout=60", "--volume", f"{name}:/var/lib/docker"]
    docker.run("run", "--detach", *options, host_image.ensure())
    try:
        hosts.execute(passing, "sh", "-c", "until docker version >/dev/null 2>&1; do sleep 0.2; done")
        if images:
            load(passing, images)
        hosts.stop(passing)
    finally:
        docker.run("rm", "--force", passing.container)
    # Every engine makes an identity of its own.
    volumes.shell('cd "/volumes/$1/_data" && rm -f engine-id && touch "$2" && sync', name, MARKER)


def load(host: hosts.Host, images: Sequence[str]) -> None:
    """Bring images of this machine's engine to a host's."""
    with subprocess.Popen([docker.client(), "save", *images], stdout=subprocess.PIPE) as save:
        load = subprocess.run(
            [docker.client(), "exec", "-i", host.container, "docker", "load", "--quiet"],
            stdin=save.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if save.returncode != 0 or load.returncode != 0:
        raise LabError(f"the images {', '.join(images)} could not be loaded into a host: {load.stderr.strip()}")
