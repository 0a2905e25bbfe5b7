# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes that the modules of this collection document."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared documentation of attributes. A module names its own support where it differs."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/fleetops.gpustack.gpustack) in C(module_defaults) to set options of all modules at once.
    support: full
    membership:
      - fleetops.gpustack.gpustack
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: A second run in a row with the same arguments, outside check mode, indicates no change.
  platform:
    description: Target OS that can be operated against.
    platforms: linux
    support: full
"""

    # A module that reads only.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
    details:
      - This module does not modify state.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: N/A
    details:
      - This module does not modify state.
  idempotent:
    description: A second run in a row with the same arguments, outside check mode, indicates no change.
    support: full
    details:
      - This module does not modify state.
notes:
  - The module must run as root on the target; use C(become) when connecting as another user.
"""
