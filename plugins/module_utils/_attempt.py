# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One attempt to switch a host: what it is about, and the names that follow from it.

Everything that a later run needs to go on or to go back is here and is journaled with `begin`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _database_url,
    _libraries,
    _snapshot,
    _unit_record,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import (
    ATTEMPT_LABEL,
    Installation,
    installation,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import STARTED, Journal, last_detail

NO_RESTART = {"Name": "no", "MaximumRetryCount": 0}
LASTING = {"Name": "unless-stopped", "MaximumRetryCount": 0}
SET_ASIDE_PREFIX = ".gpustack-v2-"
#: Form of what is journaled with `begin`. A later version that cannot go on from this one's attempts raises it.
BEGIN_FORMAT = 1
#: Without these there is no way back that this version could walk; all other facts have a sound default.
NEEDED_FACTS = ("role", "release", "legacy_id", "legacy_name", "data_dir", "backup")


class SwitchError(Exception):
    """Something on this host stands in the way; the message names it, its cause and the way out."""


class ForeignAttemptError(SwitchError):
    """An attempt of another version of this collection, which this one can neither finish nor undo."""

    def __init__(self, cause: str, way_out: str) -> None:
        super().__init__(f"{cause}. Way out: {way_out}.")
        self.cause = cause
        self.way_out = way_out


@dataclasses.dataclass(frozen=True)
class Attempt:
    """The facts of an attempt. Paths are the host's."""

    name: str
    role: str
    release: str
    image: str
    container_name: str
    legacy_id: str
    legacy_name: str
    restart_policy: Mapping[str, Any]
    was_running: bool
    data_dir: str
    backup: str
    #: Who kept the legacy container, and what else a switch has to heed (`_takeover.kept_by`).
    kept_by: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Whether the server's rows are in an external database, which v2 upgrades in place.
    external: bool = False
    #: Whether a server's SQLite database goes into an external one, which has to be empty.
    fills: bool = False
    #: What kind of database an external one is.
    database_kind: str = _database_url.POSTGRESQL
    #: The image with that database's programs, for a way back that is not told; the target's where it is none.
    tools_image: str = ""

    def replaced(self, **changes: Any) -> Attempt:
        """The same attempt with other facts."""
        return dataclasses.replace(self, **changes)

    @property
    def retired_name(self) -> str:
        """What the legacy container is called while v2 has its name; a unit keeps its own."""
        if self.is_unit:
            return self.legacy_name
        return f"{self.legacy_name}-legacy-{self.name}"

    @property
    def rollout_name(self) -> str:
        """What the v2 container with the roll-out variables is called while its successor is tried."""
        return f"{self.container_name}-rollout-{self.name}"

    @property
    def data_backup(self) -> str:
        """The directory of the byte copies."""
        return os.path.join(self.backup, _snapshot.DATA)

    @property
    def manifest(self) -> str:
        """The file that says what the legacy files were."""
        return os.path.join(self.backup, _snapshot.MANIFEST)

    @property
    def spec_file(self) -> str:
        """The definition of the v2 container as it was created; it holds secrets, so it lies in the backup."""
        return os.path.join(self.backup, "v2-container.json")

    @property
    def unit(self) -> Mapping[str, Any] | None:
        """The systemd unit that kept the legacy container, as it was before anything was changed."""
        return self.kept_by.get("unit")

    @property
    def is_unit(self) -> bool:
        """Whether systemd runs the legacy release itself: there is no legacy container, its unit stands for it."""
        return _unit_record.unit_of(self.legacy_id) is not None

    @property
    def is_throwaway(self) -> bool:
        """Whether the engine (--rm) or its unit deletes the legacy container, or makes another in its place."""
        unit = self.unit or {}
        return bool(self.kept_by.get("auto_remove") or unit.get("removes") or unit.get("makes"))

    @property
    def layer(self) -> str | None:
        """The data directory as the legacy container sees it, where it lies in the container's own layer."""
        return self.kept_by.get("layer")

    @property
    def lasting_policy(self) -> Mapping[str, Any]:
        """The accepted v2 container's restart policy: the old one's own, or what does its supervisor's work."""
        return LASTING if self.unit or self.kept_by.get("auto_remove") else self.restart_policy

    @property
    def leaves_directory(self) -> bool:
        """Whether v2's rows are not in the data directory, so that no PostgreSQL has to get into it."""
        return self.external or self.fills

    @property
    def serves(self) -> bool:
        """Whether this host is a server, with or without a worker of its own."""
        return self.role in ("server", "both")

    @property
    def libraries(self) -> list[str]:
        """What a module has to import to look at what this attempt made."""
        return [each.module for each in _libraries.required(self.serves, self.database_kind)]

    @property
    def works(self) -> bool:
        """Whether this host runs a worker."""
        return self.role in ("worker", "both")


def created_by(attempt: Attempt) -> str:
    """The label that every container of an attempt has, as the engine filters by it."""
    return f"{ATTEMPT_LABEL}={attempt.name}"


def begin_detail(attempt: Attempt) -> dict[str, Any]:
    """What is journaled with `begin`."""
    return {**dataclasses.asdict(attempt), "format": BEGIN_FORMAT}


def from_entries(entries: list[dict[str, Any]]) -> Attempt:
    """The attempt that a journal speaks of, also when another version of this collection began it."""
    name, detail = str(entries[0]["attempt"]), last_detail(entries, "begin", STARTED)
    if detail is None:
        raise ForeignAttemptError(f"the journal has no beginning of attempt {name}", _by_hand(name))
    if detail.get("format", BEGIN_FORMAT) > BEGIN_FORMAT:
        raise ForeignAttemptError(
            f"attempt {name} was begun by a newer version of this collection (journal format {detail['format']}, this "
            f"version knows {BEGIN_FORMAT})",
            "finish it, or take the host back, with that version or a newer one",
        )
    missing = [fact for fact in NEEDED_FACTS if not detail.get(fact)]
    if missing:
        raise ForeignAttemptError(
            f"attempt {name} was begun by another version of this collection, and its journal lacks "
            f"{', '.join(missing)}, so that this version can neither finish nor undo it",
            _by_hand(name),
        )
    defaults = {
        "name": name,
        "image": "",
        "container_name": detail["legacy_name"],
        "restart_policy": _saved_restart_policy(detail["backup"]),
        "was_running": True,
        "kept_by": {},
        "external": False,
        "fills": False,
        "database_kind": _database_url.POSTGRESQL,
        "tools_image": "",
    }
    found = {**defaults, **detail}
    return Attempt(**{field.name: found[field.name] for field in dataclasses.fields(Attempt)})


def _by_hand(name: str) -> str:
    return (
        f"use the version that began it, or stop the containers with the label {ATTEMPT_LABEL}={name}, give the legacy "
        "container its name back, start it, and move the journal away"
    )


def _saved_restart_policy(backup: str) -> dict[str, Any]:
    """The legacy container's, by its definition in the backup."""
    try:
        with open(os.path.join(backup, _snapshot.DEFINITION), encoding="utf-8") as definition:
            policy = json.load(definition)["HostConfig"]["RestartPolicy"]
    except (OSError, ValueError, KeyError):
        return dict(NO_RESTART)
    return dict(policy)


def free_name(container_name: str, suffix: str, taken: Iterable[str]) -> str:
    """``<container>-<suffix>``, with the first number that makes it free: an attempt may be undone more than once."""
    names, number, candidate = set(taken), 1, f"{container_name}-{suffix}"
    while candidate in names:
        number += 1
        candidate = f"{container_name}-{number}-{suffix}"
    return candidate


def describe(record: Mapping[str, Any]) -> Installation:
    """What a container's record says of the installation in it; its settings hold secrets."""
    return installation(record, {}, [record], [], _read_text)


def _read_text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as text:
            return text.read()
    except (OSError, ValueError):
        return None


@dataclasses.dataclass(frozen=True)
class Work:
    """What a step needs: the caller's parameters, the attempt, the engine, the journal, and where warnings go."""

    params: Mapping[str, Any]
    attempt: Attempt
    engine: Engine
    journal: Journal
    warn: Callable[[str], None]
