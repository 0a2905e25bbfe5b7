#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: transfer_info
short_description: Read what a GPUStack 0.7 server of macOS or Windows left, and prove it
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Reads a legacy data directory, or a tar or zip archive of one, and says what of it goes to a Linux server, what
    stays behind, and what the server was started with.
  - Every file that goes is hashed. The database is copied to a private directory, with its write-ahead log and rollback
    journal, recovered, integrity-checked and counted there. The source itself is only read.
  - Refused are a server that still runs, files that change while they are read, a write-ahead log that ends in the
    middle of a transaction, archives with members that lead out of them, links and other special files in place of
    files that go, releases before 0.7, workers, and external databases.
  - Runs where the source is, on the controller or on any POSIX host.
requirements:
  - Python 3.8 or newer with its C(sqlite3) module.
  - C(lsof) on hosts without C(/proc).
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.attributes.info_module
attributes:
  platform:
    platforms: posix
options:
  path:
    description:
      - The data directory, or a folder that holds one, or a tar, C(tar.gz), C(tar.bz2), C(tar.xz) or zip archive.
    type: path
    required: true
  settings:
    description:
      - Further settings files on the same machine, C(ai.gpustack.plist), C(gpustack.env), C(config.yaml). Those within
        O(path) are found, and on a Mac those of its own installation.
    type: list
    elements: path
    default: []
  arguments:
    description:
      - Arguments of C(gpustack start) that win over the settings files.
    type: list
    elements: str
    default: []
  environment:
    description:
      - Variables that win over those of the settings files.
    type: dict
    default: {}
  cache:
    description:
      - Whether the downloaded models are listed and hashed.
    type: bool
    default: false
  whole:
    description:
      - Whether an archive itself is hashed, because it will be copied as a whole.
    type: bool
    default: false
notes:
  - Which processes have the files open, only root sees of all of them.
  - The result has hashes of files that hold secrets. Call it with C(no_log) where the output is kept.
seealso:
  - module: fleetops.gpustack.transfer_fetch
  - module: fleetops.gpustack.transfer_push
  - module: fleetops.gpustack.transfer_backup
"""

EXAMPLES = r"""
- name: Look at an archive on the controller
  fleetops.gpustack.transfer_info:
    path: /srv/mac/gpustack.tar.gz
  delegate_to: localhost
  register: source
"""

RETURN = r"""
source:
  description: What is there. It holds no secret, but hashes of files that do.
  returned: success
  type: dict
  contains:
    path:
      description: The folder or archive.
      type: str
    form:
      description: V(folder), V(tar) or V(zip).
      type: str
    archive:
      description: Size and SHA-256 of the archive, with O(whole).
      type: dict
    id:
      description: What tells this source from another, a hash of the names, sizes and hashes of what goes.
      type: str
    system:
      description: V(macos), V(windows) or V(other).
      type: str
    installation:
      description: V(desktop installer), V(script) or V(unknown).
      type: str
    files:
      description: Database, identity and settings files that go, each with O(path), size in bytes and SHA-256.
      type: list
      elements: dict
    cache:
      description: Files of the caches with path, size in bytes and SHA-256, with O(cache).
      type: list
      elements: dict
    cache_size:
      description: Bytes of the caches.
      type: int
    left_behind:
      description: What stays, directories with a slash.
      type: list
      elements: str
    noise:
      description: Number of entries that are none of GPUStack's, such as C(.DS_Store) and AppleDouble files.
      type: int
    database:
      description: Schema head, release, rows per table, workers, and every path into the old machine.
      type: dict
    worker:
      description: Name and GPUs of the server's own worker. Null when there is none.
      type: dict
    settings:
      description: Names of the settings that are kept, those that are dropped with the reason, and the port.
      type: dict
    warnings:
      description: What somebody should know before.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import _os_errors, _transfer_evidence
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_source import SourceError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "settings": {"type": "list", "elements": "path", "default": []},
            "arguments": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "cache": {"type": "bool", "default": False},
            "whole": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    request = _transfer_evidence.Request(
        path=params["path"],
        settings=params["settings"],
        arguments=params["arguments"],
        environment=params["environment"],
        cache=params["cache"],
        whole=params["whole"],
        scratch=module.tmpdir,
        run=module.run_command,
    )
    try:
        source = _transfer_evidence.read(request)
    except (SourceError, OSError) as error:
        module.fail_json(msg=f"{params['path']} was not taken: {_os_errors.explain(error)}")
    module.exit_json(changed=False, source=source)


if __name__ == "__main__":
    main()
