# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why an external database cannot be upgraded in place."""

from __future__ import annotations

from typing import NamedTuple


class Obstacle(NamedTuple):
    """Why not, and the way out."""

    code: str
    cause: str
    way_out: str
