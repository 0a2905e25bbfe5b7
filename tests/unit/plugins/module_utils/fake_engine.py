# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine in memory with the typed interface of `_engine.Engine`, for the state machines alone.

It does what the real one does to names, states and restart policies. Everything else in those tests is real: files,
journal, processes, HTTP. That the real engine behaves so is what the end-to-end tests are for.
"""

from __future__ import annotations

import copy
import io
import os
import secrets
import tarfile
import time
from typing import Any, Callable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import EngineError, MissingError
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import iso_utc


class FakeEngine:
    """Containers by id. `refuse` makes a verb fail; `on_start` is called with the record of what starts."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = {record["Id"]: record for record in records}
        self.refuse: set[str] = set()
        self.on_start: Callable[[dict[str, Any]], None] = lambda record: None
        self.calls: list[str] = []
        #: Images by reference and by id; what an archive holds, by its path.
        self.images: dict[str, dict[str, Any]] = {}
        self.archives: dict[str, dict[str, Any]] = {}
        #: Where each volume that may be made lies.
        self.volumes: dict[str, str] = {}
        self.connected: list[tuple[str, str, dict[str, Any]]] = []

    def inspect(self, container: str) -> dict[str, Any] | None:
        for record in self.records.values():
            if container in (record["Id"], record["Name"].lstrip("/")):
                return copy.deepcopy(record)
        return None

    def image(self, reference: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.images.get(reference))

    def load_image(self, archive: str) -> None:
        image = self.archives[archive]
        self.images.update(dict.fromkeys((image["Id"], *image.get("RepoTags", [])), image))

    def tag_image(self, image: str, reference: str) -> None:
        self.images[reference] = self.images[image]

    def connect(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        self.connected.append((container, network, dict(endpoint)))

    def names(self) -> set[str]:
        return {record["Name"].lstrip("/") for record in self.records.values()}

    def with_label(self, label: str) -> list[dict[str, Any]]:
        name, equals, value = label.partition("=")
        labels = ((record, record["Config"].get("Labels") or {}) for record in self.records.values())
        return [copy.deepcopy(r) for r, found in labels if name in found and (not equals or found[name] == value)]

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        self._called("create")
        if name in self.names():
            raise EngineError(f"The Docker engine could not create container {name}: the name is in use")
        made = secrets.token_hex(32)
        self.records[made] = {
            "Id": made,
            "Name": "/" + name,
            "Image": self.images.get(config["Image"], {}).get("Id", "sha256:new"),
            "State": {"Running": False, "Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "ExitCode": 0},
            "Config": {
                key: copy.deepcopy(config[key]) for key in config if key not in ("HostConfig", "NetworkingConfig")
            },
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
        record = self._record(container)
        if record["State"]["Running"] and record["HostConfig"]["AutoRemove"]:
            del self.records[record["Id"]]
        else:
            record["State"].update(Running=False, Status="exited")

    def wait_removed(self, container: str) -> None:
        assert self.inspect(container) is None

    def set_restart_policy(self, container: str, policy: Mapping[str, Any]) -> None:
        record = self._record(container)
        if record["HostConfig"]["AutoRemove"]:
            raise EngineError(f"The Docker engine could not set the restart policy of {container}: it is --rm")
        record["HostConfig"]["RestartPolicy"] = dict(policy)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        path = self.volumes[name]
        os.makedirs(path, exist_ok=True)
        return path

    def read_archive(self, container: str, path: str) -> Iterator[bytes]:
        """From the container's uppermost layer that has the path."""
        storage = self._record(container)["GraphDriver"]["Data"]
        found = [layer + path for layer in (storage["UpperDir"], storage["LowerDir"]) if os.path.exists(layer + path)]
        if not found:
            raise MissingError(f"no such file: {path}")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(found[0], arcname=os.path.basename(path))
        return iter([packed.getvalue()[start : start + 700] for start in range(0, len(packed.getvalue()), 700)])

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
        if verb in self.refuse:
            raise EngineError(f"The Docker engine could not {verb} the container: it was told to refuse")

    def _record(self, container: str) -> dict[str, Any]:
        for record in self.records.values():
            if container in (record["Id"], record["Name"].lstrip("/")):
                return record
        raise MissingError(f"no such container: {container}")
