# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End-to-end tests: the playbooks on a real fleet, and the collection against the real programs."""

from __future__ import annotations

import sys
from pathlib import Path

# What the translation says is taken from the collection's code, which Python finds where playbooks find it.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "playbooks/collections"))
