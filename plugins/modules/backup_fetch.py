# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_fetch
short_description: Copy a backup from a host to the controller, and prove the copy there
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Copies a backup of M(fleetops.gpustack.database_backup), or of an upgrade, into a directory of the controller, so
    that it outlives the host.
  - Every file is held against the hash in the manifest after it arrived. The manifest is written last. Directories are
    C(0700) and files C(0600), from their first byte on.
  - Files are read in blocks of 4 MiB, so their size does not matter to the memory of either side. Nothing is laid down
    on the host. The price is speed, some 20 MB/s at best.
  - Nothing of what is read is printed, whatever the verbosity. Only C(ANSIBLE_DEBUG) shows it, as it shows every
    secret.
  - The recovered database (C(recovered/database.db)) is left out, M(fleetops.gpustack.database_restore) makes it again.
options:
  path:
    description:
      - Directory of the backup on the host.
    type: str
    required: true
  dest:
    description:
      - Directory on the controller, in which a directory of the backup's name is made. Give each host one of its own.
      - The copy must not be writable by others, and must not be a symbolic link.
    type: path
    required: true
  legacy_image:
    description:
      - Whether the archive of the container's image (some GB) is copied too, where
        O(fleetops.gpustack.node#module:backup_legacy_image) left one beside the backups. The copy lies beside that of
        the backup.
    type: bool
    default: false
requirements:
  - C(dd), C(sha256sum) and C(base64) on the host.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Files that are there with the right hash and mode are not copied again, also after an interruption.
notes:
  - This is an action plugin, all of its work is done on the controller.
seealso:
  - module: fleetops.gpustack.database_backup
  - module: fleetops.gpustack.database_restore
"""

EXAMPLES = r"""
- name: Keep a copy of the backup on the controller
  fleetops.gpustack.backup_fetch:
    path: /var/backups/gpustack/20261124T031500Z
    dest: "/srv/gpustack-backups/{{ inventory_hostname }}"
  become: true
"""

RETURN = r"""
dest:
  description: Directory of the copy on the controller.
  returned: success
  type: str
  sample: /srv/gpustack-backups/server/20261124T031500Z
files:
  description: The files of the copy, beside the manifest.
  returned: success
  type: list
  elements: str
  sample: [container.json, data/database.db, data/token]
copied:
  description: The files that were, or in check mode would be, copied, the archive of the image among them.
  returned: success
  type: list
  elements: str
  sample: [data/database.db, manifest.json]
size:
  description: Bytes that were copied.
  returned: success
  type: int
  sample: 421888
"""
