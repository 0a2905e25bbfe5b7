#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_install
short_description: Take a GPUStack 0.x container out of service, or put it back
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Retires a legacy GPUStack container so that nothing starts it again, puts it back into service, or removes it once
    it was retired. The container itself is kept as it is; only its name and its restart policy change.
  - Files of the data directory are not touched, and volumes are never removed.
  - The switch itself is done by M(fleetops.gpustack.node), which retires and puts back by itself.
requirements:
  - Python 3.8 or newer on the host.
  - The Docker SDK for Python, or the private virtual environment that M(fleetops.gpustack.node) builds.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The name that the container has in service.
    type: str
    default: gpustack
  state:
    description:
      - What the container is to be.
    type: str
    choices:
      active:
        - Under its name, with the restart policy that it had, and running.
      retired:
        - Stopped, renamed to C(<name>-legacy-<run_id>), with restart policy V(no).
      absent:
        - Removed. Refused unless it is retired. Its volumes stay.
    default: active
  run_id:
    description:
      - A time such as V(20261124T031500Z) for the retired container's name. By default the present time.
    type: str
  stop_timeout:
    description:
      - Seconds that the container has to stop in before it is killed.
    type: int
    default: 60
  state_dir:
    description:
      - Directory in which this collection keeps journal, lock, notes and its private virtual environment.
    type: path
    default: /var/lib/fleetops-gpustack
  docker_host:
    description:
      - The unix socket of the host's Docker engine.
    type: str
    default: unix:///var/run/docker.sock
seealso:
  - module: fleetops.gpustack.node
"""

EXAMPLES = r"""
- name: Take the old container out of service
  fleetops.gpustack.legacy_install:
    name: gpustack
    state: retired

- name: Remove it, months later
  fleetops.gpustack.legacy_install:
    name: gpustack
    state: absent
"""

RETURN = r"""
container:
  description: Id and name of the container now. Null when there is none.
  returned: success
  type: dict
  sample: {id: 4f0c, name: gpustack-legacy-20261124T031500Z}
"""

import re
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import _legacy_container, _respawn
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock, LockHeldError

RUN_ID = re.compile(r"\d{8}T\d{6}Z")


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Find, compare, and outside check mode change."""
    if check_mode:
        found, diff = compare(params)
        return result_of(found.record, diff)
    with HostLock(params["state_dir"], params["run_id"]):
        found, diff = compare(params)
        if diff is not None:
            engine = Engine(params["docker_host"])
            after, state_dir = diff["after"], params["state_dir"]
            _legacy_container.apply(engine, found, after, params["state"], state_dir, params["stop_timeout"])
    return result_of(found.record, diff)


def compare(params: dict[str, Any]) -> tuple[_legacy_container.Found, dict[str, Any] | None]:
    """What is there, and what has to change."""
    reader = DockerReader(params["docker_host"])
    found = _legacy_container.find(reader, params["name"], params["state_dir"])
    return found, _legacy_container.change(found, params["name"], params["state"], params["run_id"])


def result_of(record: dict[str, Any] | None, diff: dict[str, Any] | None) -> dict[str, Any]:
    """The module's result; a container that was, or would be, removed is none."""
    if record is None or (diff is not None and not diff["after"]):
        container = None
    else:
        name = record["Name"].lstrip("/") if diff is None else diff["after"]["name"]
        container = {"id": record["Id"], "name": name}
    result: dict[str, Any] = {"changed": diff is not None, "container": container}
    if diff is not None:
        result["diff"] = diff
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": "gpustack"},
            "state": {"type": "str", "choices": ["active", "retired", "absent"], "default": "active"},
            "run_id": {"type": "str"},
            "stop_timeout": {"type": "int", "default": 60},
            "state_dir": {"type": "path", "default": "/var/lib/fleetops-gpustack"},
            "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    params["run_id"] = params["run_id"] or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    if not RUN_ID.fullmatch(params["run_id"]):
        module.fail_json(msg=f"run_id {params['run_id']!r} is no time such as 20261124T031500Z.")
    try:
        if not module.check_mode:
            _respawn.ensure(["docker"], params["state_dir"])
        result = run(params, module.check_mode)
    except (
        SwitchError,
        DockerReaderError,
        EngineError,
        LockHeldError,
        OSError,
        _respawn.MissingLibraryError,
    ) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
