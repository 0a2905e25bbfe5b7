#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_instance
short_description: Have a GPUStack 2.x server recreate model instances
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Deletes model instances through the server's own API. The server then makes and schedules a new one in place of
    each, because the model's replicas ask for it. This is what GPUStack's documents advise for instances that do not
    come back by themselves after a migration.
  - Runs on the server's host and asks the server there, past every proxy. Its certificate is not verified.
  - The model itself, its files and its settings are not touched. Requests that an instance is answering break off.
requirements:
  - Python 3.8 or newer, with its standard library.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - An instance that was recreated has another id. The same call again finds none of the old ids.
options:
  state:
    description:
      - What is to become of the instances.
    type: str
    choices: [recreated]
    default: recreated
  ids:
    description:
      - Ids of the instances, as M(fleetops.gpustack.fleet_info) returns them.
      - An id that the server does not have is no failure, because instances come and go by themselves. When it has
        none of them, the module fails.
    type: list
    elements: int
    required: true
  api_key:
    description:
      - API key of an administrator of the 2.x server.
      - From GPUStack 2.2.0 on the server shows no instances to keys from before the upgrade. Create a new one.
    type: str
    required: true
  container:
    description:
      - Name of the server's container, from which the address of its API is taken.
    type: str
    required: true
seealso:
  - module: fleetops.gpustack.fleet_info
"""

EXAMPLES = r"""
- name: Recreate two model instances
  fleetops.gpustack.model_instance:
    state: recreated
    ids: [4, 7]
    api_key: "{{ vault_gpustack_api_key }}"
    container: gpustack
  become: true
"""

RETURN = r"""
recreated:
  description: Ids of the instances that were deleted, or in check mode would be.
  returned: success
  type: list
  elements: int
unknown:
  description: Ids that the server does not have, or does not show to this key.
  returned: success
  type: list
  elements: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _attempt,
    _endpoints,
    _gates,
    _releases,
    _server_api,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DEFAULT_DOCKER_HOST,
    DockerReader,
    DockerReaderError,
)


def endpoint(container: str, docker_host: str) -> _gates.Endpoint:
    """Where the v2 server in a container answers."""
    record = DockerReader(docker_host).inspect(container)
    if record is None:
        raise _server_api.ServerApiError(f"there is no container {container}; name that of the v2 server")
    described = _attempt.describe(record)
    if described.facts["generation"] != "v2" or described.facts["role"] == "worker":
        raise _server_api.ServerApiError(f"container {container} is no GPUStack 2.x server; name that of the v2 server")
    release = _releases.find(described.facts["release"], allow_unproven=True)
    return _endpoints.v2_endpoints(record, described.settings, release, "server")[0]


def recreate(module: AnsibleModule) -> _server_api.Deleted:
    """Delete the instances, so that the server makes new ones; in check mode only find the server."""
    params = module.params
    where = endpoint(params["container"], params["docker_host"])
    if module.check_mode:
        return _server_api.Deleted(params["ids"], [])
    result = _server_api.delete_instances(where, params["api_key"], params["ids"])
    if params["ids"] and not result.deleted:
        raise _server_api.ServerApiError(
            "the server has none of the model instances {}, or does not show them to this API key; from 2.2.0 on that "
            "is so for keys from before the upgrade: create one as an administrator of the v2 server".format(
                ", ".join(str(number) for number in result.unknown)
            )
        )
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["recreated"], "default": "recreated"},
            "ids": {"type": "list", "elements": "int", "required": True},
            "api_key": {"type": "str", "required": True, "no_log": True},
            "container": {"type": "str", "required": True},
            "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
        },
        supports_check_mode=True,
    )
    try:
        result = recreate(module)
    except (_server_api.ServerApiError, _gates.GateError, _releases.UnknownReleaseError, DockerReaderError) as error:
        module.fail_json(msg=f"Model instances were not recreated: {error}.")
    module.exit_json(changed=bool(result.deleted), recreated=result.deleted, unknown=result.unknown)


if __name__ == "__main__":
    main()
