#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: transfer_backup
short_description: Make a backup of what was transferred from macOS or Windows
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Makes a backup of this collection, on the Linux host that is to be the server, of the files that
    M(fleetops.gpustack.transfer_push) brought. The database is recovered, integrity-checked and counted once more, and
    has to have the rows of the source. The definition of a container is written beside it, of the image of the release
    that the database has, with the settings of the source, on the host's network and with C(--disable-worker).
  - The backup is restored as any other, by M(fleetops.gpustack.legacy_install) and
    M(fleetops.gpustack.database_restore).
  - In check mode it says what is still to come, and refuses what is in the way; call it so before
    M(fleetops.gpustack.transfer_push).
requirements:
  - Python 3.8 or newer with its C(sqlite3) module.
  - The Docker SDK for Python, or the private virtual environment that M(fleetops.gpustack.node) builds; not in check
    mode.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - The backup is named by the bytes of the source, so that the same source is the same backup.
options:
  state:
    description:
      - V(present) makes sure that the backup is there.
    type: str
    choices: [present]
    default: present
  source:
    description:
      - What M(fleetops.gpustack.transfer_info) returned.
    type: dict
    required: true
  data_dir:
    description:
      - The data directory on this host. It must not hold anything but C(cache), unless O(force) is set.
    type: path
    required: true
  backup_dir:
    description:
      - Directory for backups. It must belong to the user that runs the module and must not be writable by others.
    type: path
    default: /var/backups/gpustack
  container_name:
    description:
      - Name of the container.
    type: str
    default: gpustack
  image:
    description:
      - Reference of the legacy image. By default C(gpustack/gpustack:v<release>-cpu). It is pulled where the host lacks
        it.
    type: str
  arguments:
    description:
      - Arguments of C(gpustack start) that win over the settings of the source.
    type: list
    elements: str
    default: []
  environment:
    description:
      - Variables that win over the settings of the source.
    type: dict
    default: {}
  force:
    description:
      - Whether a data directory that is not empty is taken.
    type: bool
    default: false
  registry_username:
    description:
      - User for the registry that the image is pulled from.
    type: str
  registry_password:
    description:
      - Password for that registry. It goes to the Docker engine alone.
    type: str
  run_id:
    description:
      - A time such as V(20261124T031500Z), for the lock. By default the present time.
    type: str
  state_dir:
    description:
      - Directory in which this collection keeps its lock and its private virtual environment.
    type: path
    default: /var/lib/fleetops-gpustack
seealso:
  - module: fleetops.gpustack.transfer_info
  - module: fleetops.gpustack.transfer_push
  - module: fleetops.gpustack.database_restore
"""

EXAMPLES = r"""
- name: What is still to come, and what is in the way
  fleetops.gpustack.transfer_backup:
    source: "{{ looked.source }}"
    data_dir: /var/lib/gpustack
  become: true
  check_mode: true
  no_log: true
  register: target
"""

RETURN = r"""
backup:
  description: Directory of the backup.
  returned: success
  type: str
  sample: /var/backups/gpustack/transfer-0123456789abcdef
finished:
  description: Whether the backup is whole.
  returned: success
  type: bool
missing:
  description: Files that are still to come, each with its place and the bytes of it that are there (C(offset)).
  returned: success
  type: list
  elements: dict
image:
  description: Reference of the legacy image.
  returned: success
  type: str
  sample: gpustack/gpustack:v0.7.1-cpu
image_present:
  description: Whether the host has it.
  returned: success
  type: bool
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import _os_errors, _respawn, _transfer_receive
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DEFAULT_DOCKER_HOST,
    DockerReaderError,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import EngineError
from ansible_collections.fleetops.gpustack.plugins.module_utils._image import ImageError
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock, LockHeldError
from ansible_collections.fleetops.gpustack.plugins.module_utils._snapshot import SnapshotError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "source": {"type": "dict", "required": True},
            "data_dir": {"type": "path", "required": True},
            "backup_dir": {"type": "path", "default": "/var/backups/gpustack"},
            "container_name": {"type": "str", "default": "gpustack"},
            "image": {"type": "str"},
            "arguments": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "force": {"type": "bool", "default": False},
            "registry_username": {"type": "str"},
            "registry_password": {"type": "str", "no_log": True},
            "run_id": {"type": "str"},
            "state_dir": {"type": "path", "default": "/var/lib/fleetops-gpustack"},
            "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    params["run_id"] = params["run_id"] or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        found = _transfer_receive.look(params)
        if not found.finished and not module.check_mode:
            _respawn.ensure(["docker"], params["state_dir"])
            with HostLock(params["state_dir"], params["run_id"]):
                _transfer_receive.receive(params, found)
    except (
        _transfer_receive.ReceiveError,
        _respawn.MissingLibraryError,
        DockerReaderError,
        EngineError,
        ImageError,
        LockHeldError,
        SnapshotError,
        OSError,
    ) as error:
        module.fail_json(msg=_os_errors.explain(error))
    module.exit_json(
        changed=not found.finished,
        backup=found.backup,
        finished=found.finished,
        missing=found.missing,
        image=_transfer_receive.reference(params),
        image_present=found.image is not None,
    )


if __name__ == "__main__":
    main()
