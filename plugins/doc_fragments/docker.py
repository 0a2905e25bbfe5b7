# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of the modules that speak to a host's Docker engine."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the engine is."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - The unix socket of the host's Docker engine.
    type: str
    default: unix:///var/run/docker.sock
"""
