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
  - fleetops.gpustack.docker
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
      - The name that the container has in service. By default the one in O(definition), or V(gpustack).
    type: str
  state:
    description:
      - What the container is to be.
    type: str
    choices:
      active:
        - Under its name, with the restart policy that it had, and running unless O(start) is V(false).
      retired:
        - Stopped, renamed to C(<name>-legacy-<run_id>), with restart policy V(no).
      absent:
        - Removed. Refused unless it is retired. Its volumes stay.
    default: active
  definition:
    description:
      - Path on the host of the C(container.json) of a backup. With O(state=active), a container that is neither in
        service nor retired is made from it, with the image and the restart policy that it had.
      - Anonymous volumes are mounted by the names that they had.
    type: path
  start:
    description:
      - Whether O(state=active) starts the container. With V(false) one that does not run is left so, with restart
        policy V(no), for its data to be restored first.
    type: bool
    default: true
  ready_timeout:
    description:
      - Seconds that the started container has to answer its API in. V(0) does not wait for it.
    type: int
    default: 0
  rows:
    description:
      - Rows per table that the server's database must have once it answers, as M(fleetops.gpustack.database_restore)
        returns them. Tables that a server writes by itself may have more.
    type: dict
  image_archive:
    description:
      - Path on the host of an archive made by C(docker save), to load the image of O(definition) from. By default the
        one that O(fleetops.gpustack.node#module:backup_legacy_image) made beside the backups. Where there is none, the
        image is pulled.
    type: path
  registry_username:
    description:
      - User for the registry that the image is pulled from.
    type: str
  registry_password:
    description:
      - Password for the registry that the image is pulled from. It goes to the Docker engine alone.
    type: str
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
seealso:
  - module: fleetops.gpustack.database_restore
  - module: fleetops.gpustack.node
"""

EXAMPLES = r"""
- name: Take the old container out of service
  fleetops.gpustack.legacy_install:
    name: gpustack
    state: retired

- name: Make it anew on a host that has lost it, stopped until its data is back
  fleetops.gpustack.legacy_install:
    definition: /var/backups/gpustack/20261124T031500Z/container.json
    start: false

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
data_dir:
  description: The data directory of the container on the host. Null when it is in no bind mount or volume.
  returned: when there is, or in check mode would be, a container
  type: str
  sample: /data/gpustack
role:
  description: What runs in the container, V(server), V(worker) or V(both).
  returned: when there is, or in check mode would be, a container
  type: str
  sample: server
"""

import os
import re
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _endpoints,
    _from_definition,
    _gates,
    _legacy_container,
    _legacy_gate,
    _legacy_image,
    _respawn,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import (
    Engine,
    EngineError,
    is_running,
    name_of,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._image import ImageError, ImageRequest
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock, LockHeldError

RUN_ID = re.compile(r"\d{8}T\d{6}Z")
DEFAULT_NAME = "gpustack"


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Find, compare, and outside check mode change."""
    definition = _from_definition.read(params["definition"]) if params["definition"] else None
    name = params["name"] or (name_of(definition) if definition else DEFAULT_NAME)
    if check_mode:
        found, diff = compare(params, name, definition)
        return result_of(found.record or definition, diff, found.record is None)
    with HostLock(params["state_dir"], params["run_id"]):
        found, diff = compare(params, name, definition)
        if diff is not None:
            found = changed(params, found, name, definition, diff)
    wait(params, found)
    return result_of(found.record, diff)


def compare(
    params: dict[str, Any], name: str, definition: dict[str, Any] | None
) -> tuple[_legacy_container.Found, dict[str, Any] | None]:
    """What is there, and what has to change."""
    reader = DockerReader(params["docker_host"])
    found = _legacy_container.find(reader, name, params["state_dir"])
    if found.record is None and definition is not None and params["state"] == _legacy_container.ACTIVE:
        return found, _from_definition.change(definition, name, params["start"])
    if definition is not None:
        found = found._replace(policy=_from_definition.policy_of(definition))
    return found, _legacy_container.change(found, name, params["state"], params["run_id"], params["start"])


def changed(
    params: dict[str, Any],
    found: _legacy_container.Found,
    name: str,
    definition: dict[str, Any] | None,
    diff: dict[str, Any],
) -> _legacy_container.Found:
    """Make it so; what is there then."""
    engine, state_dir = Engine(params["docker_host"]), params["state_dir"]
    if found.record is None and definition is not None:
        request = ImageRequest(
            definition["Config"]["Image"],
            archive=params["image_archive"] or saved_image(params["definition"], definition),
            username=params["registry_username"],
            password=params["registry_password"],
        )
        record = _from_definition.create(engine, definition, name, request)
        found = _legacy_container.Found(record, True, _from_definition.policy_of(definition))
    _legacy_container.apply(engine, found, diff["after"], params["state"], state_dir, params["stop_timeout"])
    return found


def saved_image(path: str, definition: dict[str, Any]) -> str | None:
    """The archive of the image beside the backup in which the definition lies."""
    return _legacy_image.find(os.path.dirname(os.path.dirname(path)), definition)


def wait(params: dict[str, Any], found: _legacy_container.Found) -> None:
    """The container that was asked for has to answer where its users call it."""
    if params["state"] != _legacy_container.ACTIVE or not params["start"] or not params["ready_timeout"]:
        return
    reader = DockerReader(params["docker_host"])

    def now() -> dict[str, Any]:
        return reader.inspect((found.record or {})["Id"]) or {"State": {"Running": False}}

    record = now()
    described = describe(record)
    endpoints = _endpoints.legacy_endpoints(record, described.settings, described.facts["role"])
    _gates.wait_until_ready(endpoints, lambda: is_running(now()), params["ready_timeout"])
    if params["rows"]:
        _legacy_gate.rows(described.facts["data_dir"]["read_path"], params["rows"])


def result_of(record: dict[str, Any] | None, diff: dict[str, Any] | None, only_defined: bool = False) -> dict[str, Any]:
    """The module's result; a container that was, or would be, removed is none."""
    result: dict[str, Any] = {"changed": diff is not None, "container": None}
    if record is not None and (diff is None or diff["after"]):
        name = name_of(record) if diff is None else diff["after"]["name"]
        facts = describe(record).facts
        result["container"] = {"id": None if only_defined else record["Id"], "name": name}
        # What lies in the container's own layer is the engine's, and not to be written from outside.
        in_layer = facts["data_dir"]["type"] == "layer"
        result.update(data_dir=None if in_layer else facts["data_dir"]["host_path"], role=facts["role"])
    if diff is not None:
        result["diff"] = diff
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "state": {"type": "str", "choices": ["active", "retired", "absent"], "default": "active"},
            "definition": {"type": "path"},
            "start": {"type": "bool", "default": True},
            "ready_timeout": {"type": "int", "default": 0},
            "rows": {"type": "dict"},
            "image_archive": {"type": "path"},
            "registry_username": {"type": "str"},
            "registry_password": {"type": "str", "no_log": True},
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
        ImageError,
        LockHeldError,
        OSError,
        _gates.GateError,
        _respawn.MissingLibraryError,
    ) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
