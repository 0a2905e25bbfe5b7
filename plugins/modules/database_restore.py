#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_restore
short_description: Put a backup of a GPUStack 0.x server or worker back into its data directory
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Restores a backup that M(fleetops.gpustack.database_backup) or an upgrade made, database and identity files
    (C(token), C(jwt_secret_key), C(worker_name) and the like), with the bytes, modes and owners that the manifest
    says.
  - Every file of the backup is held against its hash first. The database is then restored once in a scratch place
    beside the backup, recovered, checked and counted, before the data directory is touched.
  - Nothing is overwritten. Another database or other identity files in the data directory, and the files of a 2.x
    release, are refused, or with O(force) set aside there under a dated name.
  - A directory that is in use is refused.
  - The container is not looked after here. M(fleetops.gpustack.legacy_install) makes it anew.
requirements:
  - Python 3.8 or newer with its C(sqlite3) module.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
attributes:
  check_mode:
    support: full
    details:
      - Verifies the backup and refuses what the real run would refuse, but does not restore it for a try.
  diff_mode:
    support: full
    details:
      - Names the files with sizes, modes and owners. Contents and hashes are not shown, they may be secrets.
  idempotent:
    support: full
    details:
      - A note in the data directory, C(.gpustack-restored.json), says which backup was restored there. A server that
        has run on it since has changed its files, and they stay as they are unless O(force) is set.
options:
  state:
    description:
      - V(present) makes sure that the backup is in the data directory.
    type: str
    choices: [present]
    default: present
  backup:
    description:
      - Directory of the backup on the host, which holds C(manifest.json). It must belong to the user that runs the
        module, must not be writable by others, and must not be a symbolic link.
    type: path
    required: true
  data_dir:
    description:
      - The data directory on the host. It is made if need be. By default the one that the backup was made of.
    type: path
  force:
    description:
      - Whether what is in the way is set aside as C(<data_dir>/.gpustack-replaced-<run_id>). It is never deleted.
      - The files are restored again, too, where this backup was restored before and a server has run on it since.
    type: bool
    default: false
  run_id:
    description:
      - A time such as V(20261124T031500Z) for the name of what is set aside. By default the present time.
    type: str
  state_dir:
    description:
      - Directory in which this collection keeps journal and lock.
    type: path
    default: /var/lib/fleetops-gpustack
  docker_host:
    description:
      - The unix socket of the host's Docker engine, which is asked for running containers that use the directory. A
        host without an engine has none.
    type: str
    default: unix:///var/run/docker.sock
notes:
  - Needs free space for one more copy of the database beside the backup, while it is tried there.
seealso:
  - module: fleetops.gpustack.database_backup
  - module: fleetops.gpustack.backup_fetch
  - module: fleetops.gpustack.legacy_install
"""

EXAMPLES = r"""
- name: Look whether a backup is good, and whether anything is in its way
  fleetops.gpustack.database_restore:
    backup: /var/backups/gpustack/20261124T031500Z
  become: true
  check_mode: true

- name: Put it back where it was made of
  fleetops.gpustack.database_restore:
    backup: /var/backups/gpustack/20261124T031500Z
  become: true
  register: restored

- name: Put it into another directory, and set aside what is there
  fleetops.gpustack.database_restore:
    backup: /var/backups/gpustack/20261124T031500Z
    data_dir: /data/gpustack
    force: true
  become: true
"""

RETURN = r"""
backup:
  description: Directory of the backup.
  returned: success
  type: str
  sample: /var/backups/gpustack/20261124T031500Z
data_dir:
  description: The data directory.
  returned: success
  type: str
  sample: /data/gpustack
restored:
  description: The files that were, or in check mode would be, put back.
  returned: success
  type: list
  elements: str
  sample: [database.db, jwt_secret_key, token]
restored_at:
  description: When this backup was restored there before, in UTC. Null when it was not.
  returned: success
  type: str
  sample: "2026-11-24T03:15:00.000Z"
aside:
  description: Where that which was in the way lies now. Null when nothing was.
  returned: success
  type: str
  sample: /data/gpustack/.gpustack-replaced-20261124T031500Z
counts:
  description: Rows per table of the backup. Null for the backup of a worker.
  returned: success
  type: dict
  sample: {users: 4, models: 3}
schema_head:
  description: Alembic revision of the schema of the backup. Null for the backup of a worker.
  returned: success
  type: str
  sample: d19176de3b74
legacy_container:
  description: Name of the container whose definition lies beside it. Null when the backup has none.
  returned: success
  type: str
  sample: gpustack
"""

import re
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import _from_backup, _os_errors
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DEFAULT_DOCKER_HOST,
    DockerReaderError,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import LockHeldError
from ansible_collections.fleetops.gpustack.plugins.module_utils._snapshot import SnapshotError

RUN_ID = re.compile(r"\d{8}T\d{6}Z")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "backup": {"type": "path", "required": True},
            "data_dir": {"type": "path"},
            "force": {"type": "bool", "default": False},
            "run_id": {"type": "str"},
            "state_dir": {"type": "path", "default": "/var/lib/fleetops-gpustack"},
            "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    params["run_id"] = params["run_id"] or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    if not RUN_ID.fullmatch(params["run_id"]):
        module.fail_json(msg=f"run_id {params['run_id']!r} is no time such as 20261124T031500Z.")
    try:
        result = _from_backup.run(params, module.check_mode, module.debug)
    except (_from_backup.RestoreError, SnapshotError, DockerReaderError, LockHeldError, OSError) as error:
        module.fail_json(msg=f"{params['backup']} was not restored: {_os_errors.explain(error)}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
