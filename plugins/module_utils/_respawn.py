# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module under a Python that has its libraries: this one, or the private virtual environment's."""

from __future__ import annotations

import importlib
import os
from typing import Iterable

from ansible.module_utils.common.respawn import has_respawned, respawn_module

from ansible_collections.fleetops.gpustack.plugins.module_utils import _libraries

_REQUIREMENTS = {requirement.module: requirement for requirement in _libraries.ALL}


class MissingLibraryError(Exception):
    """No Python on this host has the library; the message says what to do."""


def ensure(module_names: Iterable[str], state_dir: str) -> None:
    """Return when all libraries import here in an accepted version; else run the module in the private environment.

    The module's process ends in the second case. Call it before anything was done.
    """
    lacking = [name for name in module_names if not _REQUIREMENTS[name].accepts(_version(name))]
    if not lacking:
        return
    interpreter = _libraries.environment_python(state_dir)
    if has_respawned() or not os.path.exists(interpreter):
        wanted = ", ".join(_REQUIREMENTS[name].specifier for name in lacking)
        raise MissingLibraryError(
            f"This module needs {wanted}, which neither the target's Python nor "
            f"{_libraries.environment_path(state_dir)} has. Prepare the host first (fleetops.gpustack.node with "
            "state=prepared builds that environment), or install the library."
        )
    respawn_module(interpreter)


def _version(name: str) -> str | None:
    """The version of a library that really imports, None otherwise."""
    try:
        return _libraries.version_of(importlib.import_module(name))
    except Exception:  # a broken binary library raises whatever it likes while it is imported
        return None
