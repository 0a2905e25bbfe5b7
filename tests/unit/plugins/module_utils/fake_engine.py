# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine in memory with the typed interface of `_engine.Engine`, for the state machines alone.

It does what the real one does to names, states and restart policies. Everything else in those tests is real: files,
journal, processes, HTTP. That the real engine behaves so is what the end-to-end tests are for.
"""

from __future__ import annotations

import copy
import secrets
import time
from typing import Any, Callable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import EngineError, MissingError
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import iso_utc


class FakeEngine:
    """Containers by id. `refuse` makes a verb fail; `on_start` is called with the record of what starts.

    The verbs of `restarting` fail until somebody waits for the engine.
    """

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = {record["Id"]: record for record in records}
        self.refuse: set[str] = set()
        self.restarting: set[str] = set()
        self.on_start: Callable[[dict[str, Any]], None] = lambda record: None
        self.calls: list[str] = []

    def wait(self, seconds: float) -> None:
        self.restarting.clear()

    def inspect(self, container: str) -> dict[str, Any] | None:
        for record in self.records.values():
            if container in (record["Id"], record["Name"].lstrip("/")):
                return copy.deepcopy(record)
        return None

    def names(self) -> set[str]:
        return {record["Name"].lstrip("/") for record in self.records.values()}

    def with_label(self, label: str) -> list[dict[str, Any]]:
        name, _equals, value = label.partition("=")
        return [copy.deepcopy(r) for r in self.records.values() if r["Config"]["Labels"].get(name) == value]

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        self._called("create")
        if name in self.names():
            raise EngineError(f"The Docker engine could not create container {name}: the name is in use")
        made = secrets.token_hex(32)
        self.records[made] = {
            "Id": made,
            "Name": "/" + name,
            "Image": "sha256:new",
            "State": {"Running": False, "Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "ExitCode": 0},
            "Config": {key: copy.deepcopy(config[key]) for key in ("Image", "Cmd", "Env", "Labels")},
            "HostConfig": {"AutoRemove": False, **copy.deepcopy(config["HostConfig"])},
            "NetworkSettings": {"Ports": {}, "Networks": {}},
            "Mounts": [],
        }
        return made

    def start(self, container: str) -> None:
        self._called("start")
        record = self._record(container)
        now = iso_utc(time.time())
        record["State"].update(Running=True, Status="running", StartedAt=now.replace("Z", "000000Z"))
        self.on_start(record)

    def stop(self, container: str, seconds: int) -> None:
        self._called("stop")
        self._record(container)["State"].update(Running=False, Status="exited")

    def set_restart_policy(self, container: str, policy: Mapping[str, Any]) -> None:
        self._record(container)["HostConfig"]["RestartPolicy"] = dict(policy)

    def rename(self, container: str, name: str) -> None:
        self._called("rename")
        if name in self.names():
            raise EngineError(f"The Docker engine could not rename container {container}: {name} is in use")
        self._record(container)["Name"] = "/" + name

    def remove(self, container: str) -> None:
        del self.records[self._record(container)["Id"]]

    def follow_logs(self, container: str, since: float | None = None) -> Iterator[str]:
        return iter(self._record(container).get("log", []))

    def log_tail(self, container: str, lines: int) -> list[str]:
        return list(self._record(container).get("log", []))[-lines:]

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        if verb in self.refuse | self.restarting:
            raise EngineError(f"The Docker engine could not {verb} the container: it was told to refuse")

    def _record(self, container: str) -> dict[str, Any]:
        for record in self.records.values():
            if container in (record["Id"], record["Name"].lstrip("/")):
                return record
        raise MissingError(f"no such container: {container}")
