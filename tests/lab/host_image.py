# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a host: Debian 12 under systemd, with sshd, a sudo user, python3 and its own Docker engine."""

from __future__ import annotations

from tests.lab import base_image, builder, docker

CONTEXT = builder.IMAGES / "host"
# systemd ends on this signal, and knows by `container` that it runs in one.
CHANGES = ('CMD ["/lib/systemd/systemd"]', "STOPSIGNAL SIGRTMIN+3", "ENV container=docker", "EXPOSE 22")


def name() -> str:
    """The image's name, with the hash of what it is made of."""
    return f"gpustack-lab/host:{builder.content_hash(CONTEXT, *CHANGES)}"


def ensure() -> str:
    """Return the host image's name, after building it if it is not there."""
    tag = name()
    if not docker.image_exists(tag):
        builder.build(tag, base_image.ensure_base(), CONTEXT, CHANGES)
    return tag
