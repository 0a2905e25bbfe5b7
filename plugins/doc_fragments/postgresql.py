# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules that read the PostgreSQL embedded in an upgraded server."""

from __future__ import annotations


class ModuleDocFragment:
    """Where PostgreSQL is, and the library that speaks to it."""

    DOCUMENTATION = r"""
options:
  host:
    description:
      - Address of PostgreSQL, the container's own on a bridge network.
    type: str
    default: 127.0.0.1
  port:
    description:
      - Port of PostgreSQL.
    type: int
    default: 5432
  container:
    description:
      - Name of the server's container, from which the address and port of PostgreSQL are taken instead of O(host) and
        O(port). Finds them on a bridge network and with a moved port, too, and an external database by its URL.
    type: str
  docker_host:
    description:
      - The unix socket of the host's Docker engine. For O(container).
    type: str
    default: unix:///var/run/docker.sock
  state_dir:
    description:
      - Directory in which this collection keeps its private virtual environment, which is used when the target's
        Python lacks the library.
    type: path
    default: /var/lib/fleetops-gpustack
"""
