#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_info
short_description: Compare a snapshot of GPUStack 0.x with the PostgreSQL of the upgraded server, row by row
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Reads every row of the nine tables that C(gpustack migrate) copies, on both sides in the order of their keys, and
    compares them by the rules of the release, which renames, converts and drops some on purpose.
  - Checks the revision of the schema, and that no sequence is below the highest number in use.
  - Reads only, in one read-only transaction, and in bounded memory. Values are never returned. A difference names
    table, key and column.
  - Meant for the moment after an upgrade. A difference is also what people have added, changed or deleted in the new
    server since.
  - C(model_instances) and its links to files are only counted, because a running server deletes and makes them by
    itself.
options:
  snapshot:
    description:
      - A backup of M(fleetops.gpustack.database_backup) or M(fleetops.gpustack.node), which is held against its
        manifest first, or the recovered database file of one.
    type: path
    required: true
  release:
    description:
      - Release of the upgraded server, for example V(2.2.3).
    type: str
    required: true
  data_dir:
    description:
      - The data directory of the upgraded server on the host. The password of PostgreSQL is read there where an
        address other than loopback needs it.
    type: path
    required: true
requirements:
  - Python 3.8 or newer with its C(sqlite3) module.
  - psycopg 3.2 or newer, or PyMySQL 1.1 or newer where the rows are in an external MySQL.
    M(fleetops.gpustack.node) with O(fleetops.gpustack.node#module:state=prepared) brings it.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.attributes.info_module
  - fleetops.gpustack.postgresql
seealso:
  - module: fleetops.gpustack.fleet_info
  - module: fleetops.gpustack.database_backup
"""

EXAMPLES = r"""
- name: Compare the rows before and after
  fleetops.gpustack.migration_info:
    snapshot: /var/backups/gpustack/20261124T030000Z
    release: 2.2.3
    data_dir: /data/gpustack
  become: true
  register: migration

- name: Insist that nothing was lost
  ansible.builtin.assert:
    that: migration.equal
    fail_msg: "{{ migration.problems | join('; ') }}"
"""

RETURN = r"""
equal:
  description: Whether rows, schema head and sequences are what they must be.
  returned: always
  type: bool
problems:
  description: What is not equal, a line each.
  returned: always
  type: list
  elements: str
warnings_found:
  description: What is worth knowing and no difference.
  returned: always
  type: list
  elements: str
changes:
  description:
    - What people did on the upgraded server since, as far as the legacy release knows such things. Going back gives
      it up.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: V(user), V(API key), V(model), V(worker) or V(usage).
      type: str
    change:
      description: V(added), V(changed) or V(deleted). V(other) for those beyond the first twenty of a table.
      type: str
    count:
      description: How many. Of usage, the highest of the counters in C(names).
      type: int
    names:
      description: Their names, with the changed column. Of usage, what was counted.
      type: list
      elements: str
  sample: [{kind: user, change: added, count: 1, names: [jörg]}]
parity:
  description: The comparison.
  returned: always
  type: dict
  contains:
    release:
      description: The release whose rules were used.
      type: str
    seconds:
      description: How long the comparison took.
      type: float
    schema_head:
      description: Alembic revisions, C(source) of the snapshot, C(expected) of the release (V(null) when unknown)
        and C(found).
      type: dict
    tables:
      description: The tables. The users of 0.x are in two tables from 2.2.0 on, and are compared with each.
      type: list
      elements: dict
      contains:
        table:
          description: Table of the snapshot.
          type: str
        target:
          description: Table of PostgreSQL.
          type: str
        equal:
          description: Whether there is no difference.
          type: bool
        before:
          description: Rows in the snapshot.
          type: int
        after:
          description: Rows in PostgreSQL.
          type: int
        identical:
          description: Rows that are the same.
          type: int
        transformed:
          description: Rows that are what the release makes of them.
          type: int
        dropped:
          description: Rows that the release deletes on purpose.
          type: int
        added:
          description: Rows that the new server made.
          type: int
        reasons:
          description: Why rows were C(dropped) and C(added), with their numbers.
          type: dict
        counted_only:
          description: Whether rows were counted and not compared.
          type: bool
        differences:
          description: The first twenty differences, each with C(key), C(column) and C(problem).
          type: list
          elements: dict
        difference_count:
          description: Number of differences.
          type: int
    sequences:
      description: Where PostgreSQL takes the next number of each table from.
      type: list
      elements: dict
      contains:
        table:
          description: Table.
          type: str
        column:
          description: Column that the sequence numbers.
          type: str
        sequence:
          description: Name of the sequence.
          type: str
        last_value:
          description: The last number that it gave.
          type: int
        highest:
          description: The highest number in use.
          type: int
        equal:
          description: Whether the sequence is not below the highest number in use.
          type: bool
"""

import contextlib
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _changes_since,
    _database_address,
    _os_errors,
    _parity,
    _raised_snapshot,
    _releases,
    _respawn,
    _server_database,
    _snapshot,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DEFAULT_DOCKER_HOST,
    DockerReaderError,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._server_database_error import ServerDatabaseError


def recovered_database(snapshot: str) -> str:
    """The database file of a snapshot; a backup is held against its manifest first."""
    if not os.path.isdir(snapshot):
        return snapshot
    return _raised_snapshot.database_to_compare(snapshot, _snapshot.verify_manifest(snapshot))


def compared(params: dict[str, Any]) -> dict[str, Any]:
    """What the module returns."""
    database = recovered_database(params["snapshot"])
    with contextlib.closing(_server_database.connect_by_params(params)) as connection:
        report = _parity.compare(database, connection, params["release"])
        changes = _changes_since.changes(database, connection, params["release"], report)
    return {
        "changed": False,
        "equal": report["equal"],
        "problems": _parity.problems(report),
        "warnings_found": report["warnings"],
        "changes": changes,
        "parity": report,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "snapshot": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "data_dir": {"type": "path", "required": True},
            "host": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 5432},
            "container": {"type": "str"},
            "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
            "state_dir": {"type": "path", "default": "/var/lib/fleetops-gpustack"},
        },
        supports_check_mode=True,
    )
    try:
        _respawn.ensure([_server_database.library_by_params(module.params)], module.params["state_dir"])
        result = compared(module.params)
    except (
        _parity.ParityError,
        DockerReaderError,
        SwitchError,
        ServerDatabaseError,
        _releases.UnknownReleaseError,
        _database_address.AddressError,
        _respawn.MissingLibraryError,
        _snapshot.SnapshotError,
        OSError,
    ) as error:
        cause = _os_errors.explain(error)
        module.fail_json(msg="The snapshot {} was not compared: {}".format(module.params["snapshot"], cause))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
