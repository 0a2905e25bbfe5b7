# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creates and starts the v2 worker that the collection would make of a legacy container; returns its definition.

For this scenario only. The body of the engine's create call is the collection's own (`_container_spec`), sent without
the Docker SDK, which a host of the lab lacks. The container is removed again at once: whether GPUStack serves in it is
the business of the scenario `upgrade`.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import _container_spec, _releases

SOCKET = "/var/run/docker.sock"


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(SOCKET)


def ask(module: AnsibleModule, method: str, path: str, body: Any = None) -> Any:
    """One call of the engine's API; an answer that is no success ends the module."""
    connection = _Connection("localhost", timeout=60)
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        module.fail_json(msg=f"{method} {path}: {content.decode(errors='replace')}")
    return json.loads(content) if content else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "legacy": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "flags": {"type": "dict", "required": True},
        }
    )
    legacy = ask(module, "GET", "/containers/{}/json".format(module.params["legacy"]))
    image = ask(module, "GET", "/images/{}/json".format(legacy["Image"]))
    built = _container_spec.build(
        legacy,
        image["Config"],
        _releases.find(module.params["release"]),
        "worker",
        module.params["flags"],
        {"image": module.params["image"], "container_name": "vendors-v2"},
    )
    if built.problems:
        module.fail_json(msg=f"it cannot be made: {built.problems}")
    body = _container_spec.create_body(built.spec)
    made = ask(module, "POST", "/containers/create?name=vendors-v2", body)["Id"]
    try:
        ask(module, "POST", f"/containers/{made}/start")
        record = ask(module, "GET", f"/containers/{made}/json")
    finally:
        ask(module, "DELETE", f"/containers/{made}?force=true&v=true")
    module.exit_json(changed=True, container=record)


if __name__ == "__main__":
    main()
