# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: transfer_fetch
short_description: Copy a legacy data directory from a POSIX host to the controller, and prove the copy there
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Copies what M(fleetops.gpustack.transfer_info) found on a host, such as a Mac, into a directory of the controller,
    from where M(fleetops.gpustack.transfer_push) takes it. An archive is copied as a whole.
  - Every file is held against its hash after it arrived. One that was cut off goes on where it stopped. Directories are
    C(0700) and files C(0600), from their first byte on.
  - Nothing of what is read is printed, whatever the verbosity.
options:
  source:
    description:
      - What M(fleetops.gpustack.transfer_info) returned on that host, for an archive with
        O(fleetops.gpustack.transfer_info#module:whole).
    type: dict
    required: true
  files:
    description:
      - The files to copy, as RV(fleetops.gpustack.transfer_backup#module:missing) has them. An archive is copied whole.
    type: list
    elements: dict
    required: true
  dest:
    description:
      - Directory on the controller. It must not be writable by others, and must not be a symbolic link.
    type: path
    required: true
requirements:
  - C(dd) and C(base64) on the host.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: posix
notes:
  - This is an action plugin, all of its work is done on the controller.
seealso:
  - module: fleetops.gpustack.transfer_info
  - module: fleetops.gpustack.transfer_push
"""

EXAMPLES = r"""
- name: Bring it to the controller
  fleetops.gpustack.transfer_fetch:
    source: "{{ looked.source }}"
    files: "{{ target.missing }}"
    dest: /srv/transfer
  delegate_to: mac.example.com
  no_log: true
  register: fetched
"""

RETURN = r"""
source:
  description: O(source) of these files alone, with their paths on the controller.
  returned: success
  type: dict
copied:
  description: How many files were, or in check mode would be, copied.
  returned: success
  type: int
  sample: 6
size:
  description: Bytes that were copied.
  returned: success
  type: int
  sample: 421888
"""
