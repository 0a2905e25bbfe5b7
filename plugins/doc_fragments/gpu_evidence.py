# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of the modules that look for accelerators."""

from __future__ import annotations


class ModuleDocFragment:
    """Where they look."""

    DOCUMENTATION = r"""
options:
  gpu_sources:
    description:
      - Further places to look for evidence of accelerators, as the filter P(fleetops.gpustack.gpu_sources#filter) lists
        them from vendor files. What the shipped vendors need is always looked at.
    type: dict
    default: {}
"""
