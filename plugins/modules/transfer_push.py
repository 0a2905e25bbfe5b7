# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: transfer_push
short_description: Bring files of a legacy data directory from the controller to a Linux host, and prove them there
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Brings files of a folder or archive on the controller to the places that
    M(fleetops.gpustack.transfer_backup) named, in blocks of 16 MiB. An archive is not unpacked on the way.
  - Every file has its name only when its hash was proven on the host. One that was cut off goes on where it stopped.
  - Nothing of what is sent is printed, whatever the verbosity.
options:
  source:
    description:
      - What M(fleetops.gpustack.transfer_info) returned on the controller, or M(fleetops.gpustack.transfer_fetch).
    type: dict
    required: true
  files:
    description:
      - The files to bring, as RV(fleetops.gpustack.transfer_backup#module:missing) has them.
    type: list
    elements: dict
    required: true
requirements:
  - C(cat), C(truncate), C(sync) and C(sha256sum) on the host.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - What is there already is told by M(fleetops.gpustack.transfer_backup); what is asked for is brought.
notes:
  - This is an action plugin, all of its work is done on the controller.
seealso:
  - module: fleetops.gpustack.transfer_backup
"""

EXAMPLES = r"""
- name: Bring what is missing
  fleetops.gpustack.transfer_push:
    source: "{{ looked.source }}"
    files: "{{ target.missing }}"
  become: true
  no_log: true
"""

RETURN = r"""
copied:
  description: How many files were, or in check mode would be, brought.
  returned: success
  type: int
  sample: 6
size:
  description: Bytes that were sent, less than the files where an earlier run had sent some.
  returned: success
  type: int
  sample: 421888
"""
