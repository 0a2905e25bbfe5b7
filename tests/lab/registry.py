# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on the bridge, from which hosts pull images under their published names.

Their engines know it as the mirror of the public registry. One registry serves all fleets; each reaches it at an
address of its own bridge. This machine pushes to it by a port on loopback, where Docker takes plain HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.lab import base_image, builder, docker
from tests.lab.progress import step

NAME = "gpustack-lab-registry"
PORT = 5000
CONTEXT = builder.IMAGES / "registry"
CHANGES = ('CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]',)


def ensure(network: str, address: str, images: Sequence[str]) -> str:
    """Let the registry hold these images and be at this address of a network; return its URL there."""
    if not _running():
        docker.run("rm", "--force", NAME)
        options = ["--detach", f"--name={NAME}", f"--publish=127.0.0.1::{PORT}", "--label=gpustack-lab.part=registry"]
        docker.run("run", *options, f"--volume={NAME}:/var/lib/docker-registry", _image())
    if network not in _networks():
        docker.run("network", "connect", f"--ip={address}", network, NAME)
    for image in images:
        _push(image)
    return f"http://{address}:{PORT}"


def leave(network: str) -> None:
    """Take the registry off a network; remove it with its images when that was the last fleet."""
    if network not in _networks():
        return
    docker.run("network", "disconnect", "--force", network, NAME)
    if _networks() == {"bridge"}:
        docker.run("rm", "--force", NAME)
        docker.run("volume", "rm", NAME)


def _image() -> str:
    tag = f"gpustack-lab/registry:{builder.content_hash(CONTEXT, *CHANGES)}"
    return tag if docker.image_exists(tag) else builder.build(tag, base_image.ensure_base(), CONTEXT, CHANGES)


def _push(image: str) -> None:
    port = docker.out("port", NAME, str(PORT)).rsplit(":", 1)[1]
    local = f"127.0.0.1:{port}/{image}"
    with step(f"pushing {image} to the lab's registry"):
        docker.run("tag", image, local)
        try:
            docker.run("push", "--quiet", local)
        finally:
            docker.run("image", "rm", local)


def _running() -> bool:
    container = docker.inspect("container", NAME)
    return container is not None and bool(container["State"]["Running"])


def _networks() -> set[str]:
    container = docker.inspect("container", NAME)
    return set(container["NetworkSettings"]["Networks"]) if container else set()
