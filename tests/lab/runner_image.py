# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for v2's runner images, under their published names.

The published ones have some 10 GB each and come from Docker Hub. This one holds a program called `vllm` that answers at
the port it is given, so that a real v2 worker starts it through the engine and calls its instance RUNNING.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.lab import builder, docker
from tests.lab.gpustack_images import RUNTIME

CONTEXT = builder.IMAGES / "runner"
#: A container without a command of its own waits: so do those that hold a model's network and watch its health.
CHANGES = ('CMD ["sleep", "infinity"]',)


def ensure() -> str:
    """The stand-in, built where it is not there."""
    tag = f"gpustack-lab/runner-standin:{builder.content_hash(CONTEXT, *CHANGES)}"
    return tag if docker.image_exists(tag) else builder.build(tag, RUNTIME, CONTEXT, CHANGES)


@contextmanager
def named(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The stand-in under these names in this machine's engine, for as long as the context lasts."""
    image = ensure()
    for name in names:
        docker.run("tag", image, name)
    try:
        yield names
    finally:
        docker.run("image", "rm", *names)
