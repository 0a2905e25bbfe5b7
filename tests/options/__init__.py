# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `gpustack start`, release by release: recorded, documented, and asked of the real programs."""

from __future__ import annotations

import sys
from pathlib import Path

# The options are those of the collection's code, which Python finds where playbooks find it.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "playbooks/collections"))
