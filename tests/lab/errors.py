# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that the command line turns into a message instead of a traceback."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab cannot do. The text names the thing, the cause and the way out."""
