#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_backup
short_description: Save the database of a GPUStack 0.x server, and prove the copy by restoring it once
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Saves the SQLite database of a GPUStack 0.x server together with the files of its data directory that cannot be
    made again (C(token), C(jwt_secret_key), C(initial_admin_password), C(worker_name), C(worker_uuid)).
  - The database of a stopped server is copied byte for byte, C(database.db) with its C(-wal) and C(-journal), and
    never opened. The database of a running server is copied through the backup API of SQLite, in one read
    transaction.
  - A copy of the copy is then opened, recovered, checked (integrity and foreign keys) and counted. The manifest with
    all hashes is written last. A directory without it is no backup.
  - Directories of a backup are C(0700) and its files C(0600). Secrets are neither returned nor logged.
options:
  state:
    description:
      - V(present) makes sure that the backup O(name) exists and is intact.
    type: str
    choices: [present]
    default: present
  data_dir:
    description:
      - The data directory of the server on the host, which holds C(database.db).
    type: path
    required: true
  dest:
    description:
      - Directory for backups. It is made if need be. It must belong to the user that runs the module, must not be
        writable by others, and must not be a symbolic link.
    type: path
    default: /var/backups/gpustack
  name:
    description:
      - Name of the backup, a directory below O(dest).
      - Every new name is a new backup. An intact backup of this name is kept as it is, however much the database has
        changed since.
    type: str
    required: true
  running:
    description:
      - Whether a server uses the database now. This decides how it is copied.
      - With V(false), a file that changes while it is copied fails the module.
    type: bool
    required: true
  container:
    description:
      - Id or name of the server's container, or id of its systemd unit as M(fleetops.gpustack.node_info)
        reports it. Its definition is saved too, as C(container.json), so that M(fleetops.gpustack.legacy_install) can
        make a container anew on a host that has nothing but the backup.
      - The definition holds the secrets of the container's arguments and environment. It stays in the backup.
    type: str
  docker_host:
    description:
      - The unix socket of the host's Docker engine. For O(container).
    type: str
    default: unix:///var/run/docker.sock
notes:
  - Backups are never deleted by this module.
  - A rollback journal that an unclean stop left behind is part of the copy, and the copy is whole. An upgrade from
    such a database is refused all the same, because C(gpustack migrate) ignores the journal. Start and stop the old
    release once.
requirements:
  - Python 3.8 or newer with its C(sqlite3) module.
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
      - An intact backup of the same O(name) is not made again. The module does not look at whether the database has
        changed since.
seealso:
  - module: fleetops.gpustack.backup_fetch
  - module: fleetops.gpustack.database_restore
  - module: fleetops.gpustack.migration_info
  - module: fleetops.gpustack.node
"""

EXAMPLES = r"""
- name: Save the database of a running server
  fleetops.gpustack.database_backup:
    data_dir: /data/gpustack
    name: before-maintenance
    container: gpustack
    running: true
  become: true
  register: backup

- name: Say what is in it
  ansible.builtin.debug:
    msg: "{{ backup.path }} holds {{ backup.database.counts.models }} models"
"""

RETURN = r"""
path:
  description: Directory of the backup.
  returned: always
  type: str
  sample: /var/backups/gpustack/before-maintenance
created:
  description: When the backup was made, in UTC.
  returned: when the backup exists
  type: str
  sample: "2026-11-24T03:00:33Z"
running:
  description: Whether a server used the database when the backup was made.
  returned: when the backup exists
  type: bool
hot_journal:
  description: Whether an unclean stop left a rollback journal beside the original.
  returned: always
  type: bool
files:
  description: The files of the data directory, those that were absent included.
  returned: when the backup exists
  type: list
  elements: dict
  contains:
    name:
      description: Name in the data directory.
      type: str
    absent:
      description: Whether the original was not there.
      type: bool
    size:
      description: Bytes of the copy.
      type: int
    sha256:
      description: SHA-256 of the copy. V(null) for secrets.
      type: str
    mode:
      description: Mode of the original, in octal.
      type: str
      sample: "0644"
    uid:
      description: Owner of the original.
      type: int
    gid:
      description: Group of the original.
      type: int
    attributes:
      description: POSIX ACL and SELinux label of the original by the kernel's names, in base64, where it has them.
      type: dict
database:
  description: What the recovered copy holds.
  returned: when the backup exists
  type: dict
  contains:
    integrity:
      description: Result of SQLite's integrity check. A backup only counts with V(ok).
      type: str
    foreign_key_violations:
      description: Rows that refer to a row that is not there.
      type: int
    schema_head:
      description: Alembic revision of the schema.
      type: str
      sample: d19176de3b74
    counts:
      description: Rows per table.
      type: dict
    size:
      description: Bytes of the recovered database.
      type: int
"""

import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import _os_errors, _snapshot, _unit_install
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import write_atomically
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DEFAULT_DOCKER_HOST,
    DockerReader,
    DockerReaderError,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import name_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: A hash of a secret is a secret where the secret is short.
_SECRETS = ("token", "jwt_secret_key", "initial_admin_password")


def existing(path: str, data_dir: str) -> dict[str, Any] | None:
    """The manifest of an intact backup, None when none was finished there."""
    if not os.path.lexists(os.path.join(path, _snapshot.MANIFEST)):
        return None
    manifest = _snapshot.verify_manifest(path)
    if manifest.get("data_dir") != data_dir:
        raise _snapshot.SnapshotError(
            "{} is a backup of {}, not of {}; choose another name.".format(path, manifest.get("data_dir"), data_dir)
        )
    return manifest


def public(manifest: dict[str, Any]) -> dict[str, Any]:
    """What may be returned of a manifest."""
    files = [dict(record, sha256=None) if record["name"] in _SECRETS else record for record in manifest["files"]]
    return {
        "created": manifest["created"],
        "running": manifest["running"],
        "files": files,
        "database": manifest["database"],
    }


def definition_of(container: str | None, docker_host: str, run: RunCommand) -> dict[str, Any] | None:
    """The record of the server's container, or of its unit, None when none was named."""
    if container is None:
        return None
    record = _unit_install.look(DockerReader(docker_host).inspect, run)(container)
    if record is None:
        raise _snapshot.SnapshotError(f"there is no container {container} on this host; name the server's container.")
    return record


def save(data_dir: str, path: str, running: bool, definition: dict[str, Any] | None) -> dict[str, Any]:
    """Save definition, files and database; the manifest, which comes last, has the hashes of all."""
    extra: dict[str, Any] = {}
    if definition is not None:
        _snapshot.begin(path)
        write_atomically(os.path.join(path, _snapshot.DEFINITION), definition)
        policy = dict(definition["HostConfig"]["RestartPolicy"])
        extra["legacy"] = {"id": definition["Id"], "name": name_of(definition), "restart_policy": policy}
    return _snapshot.save(data_dir, path, running, extra)


def backup(
    data_dir: str, path: str, running: bool, definition: dict[str, Any] | None, check_mode: bool
) -> dict[str, Any]:
    """Have an intact backup at a path; says what the module returns."""
    database = os.path.join(data_dir, _snapshot.DATABASE)
    result: dict[str, Any] = {
        "changed": True,
        "path": path,
        "hot_journal": not running and _snapshot.hot_journal(database),
    }
    manifest = existing(path, data_dir)
    if manifest is not None:
        result["changed"] = False
    elif not os.path.exists(database):
        raise _snapshot.SnapshotError(f"{database} is not there; name the data directory of a GPUStack 0.x server.")
    elif not check_mode:
        manifest = save(data_dir, path, running, definition)
    return result if manifest is None else dict(result, **public(manifest))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "data_dir": {"type": "path", "required": True},
            "dest": {"type": "path", "default": "/var/backups/gpustack"},
            "name": {"type": "str", "required": True},
            "running": {"type": "bool", "required": True},
            "container": {"type": "str"},
            "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not _NAME.fullmatch(params["name"]):
        module.fail_json(
            msg="'{}' cannot be the name of a backup; use letters, digits, '.', '_' and '-'.".format(params["name"])
        )
    path = os.path.join(params["dest"], params["name"])
    try:
        _snapshot.require_private(params["dest"])
        definition = definition_of(params["container"], params["docker_host"], module.run_command)
        result = backup(os.path.abspath(params["data_dir"]), path, params["running"], definition, module.check_mode)
    except (_snapshot.SnapshotError, DockerReaderError, OSError) as error:
        module.fail_json(msg=f"No backup {path} was made: {_os_errors.explain(error)}", path=path)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
