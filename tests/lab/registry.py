# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry on the bridge, from which hosts pull the target's image under its published name."""

from __future__ import annotations

from collections.abc import Sequence

from tests.lab import docker


def ensure(network: str, images: Sequence[str]) -> str:
    raise NotImplementedError


def leave(network: str) -> None:
    return
