# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes `ansible_collections.fleetops.gpustack` importable from this checkout, whatever the folder is called.

Nothing of ansible-core is needed for that: the pure helpers are tested on the oldest Python of a target too.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

from hypothesis import settings

CHECKOUT = Path(__file__).resolve().parents[2]


def provide_package(name: str, path: list[str]) -> None:
    """Register a package that has no file of its own; one that the test runner already provides is kept."""
    if name in sys.modules:
        return
    package = types.ModuleType(name)
    package.__path__ = path
    sys.modules[name] = package


provide_package("ansible_collections", [])
provide_package("ansible_collections.fleetops", [])
provide_package("ansible_collections.fleetops.gpustack", [str(CHECKOUT)])

# No unit test speaks of speed, so none fails on a machine that is busy.
settings.register_profile("fleetops", deadline=None)
settings.load_profile("fleetops")
