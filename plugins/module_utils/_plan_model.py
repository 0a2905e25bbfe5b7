# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan reasons about: one view per host, and the problems found. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _database_url
from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import Release
from ansible_collections.fleetops.gpustack.plugins.module_utils._wrecks import Wreck

# What a host needs: the whole switch, its continuation, only the removal of the roll-out variables, or nothing.
SWITCH = "switch"
RESUME = "resume"
FINALIZE = "finalize"
NONE = "none"

# A host that is asked for no runner images.
NO_WISH: Mapping[str, Any] = {"runner_images": [], "runner_backends": []}


@dataclass(frozen=True)
class Problem:
    """Something the operator must know, with the way out."""

    host: str
    code: str
    cause: str
    way_out: str

    def as_dict(self) -> dict[str, str]:
        return {"host": self.host, "code": self.code, "cause": self.cause, "way_out": self.way_out}


@dataclass(frozen=True)
class Settings:
    """The operator's choices, as the role hands them over."""

    release: str
    image: str
    servers: tuple[str, ...]
    workers: tuple[str, ...]
    vendors: dict[str, Any]
    run_id: str = ""
    allow_unproven: bool = False
    accept_losses: tuple[str, ...] = ()
    ignore_workers: tuple[str, ...] = ()
    fix_permissions: bool = False
    mend_wrecks: bool = False
    image_size: int = 0
    # Archive of the image, and the bytes of it that the controller copies to each host that lacks the image; none where
    # the archive is not on the controller.
    image_archive: str = ""
    archive_size: int | None = None
    backup_fetch_dir: str = ""
    # Room in bytes for one runner image, the bytes of their archive on the controller, and the registry of v2's images.
    runner_image_size: int = 0
    runner_archive_size: int | None = None
    default_registry: str = ""
    clock_tolerance: float = 30.0
    inventory_only_extra: tuple[str, ...] = ()
    unassessed: dict[str, str] = field(default_factory=dict)
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)

    def choice(self, host: str, name: str, default: Any = None) -> Any:
        """A variable of one host, or its default."""
        value = self.choices.get(host, {}).get(name)
        return default if value is None else value


@dataclass(frozen=True)
class HostView:
    """One host's evidence with what was concluded from it."""

    name: str
    node: dict[str, Any]
    settings: Settings
    release: Release | None
    candidates: list[dict[str, Any]]
    installation: dict[str, Any] | None
    action: str
    #: What an upgrade by hand left here.
    wreck: Wreck | None = None
    #: The runner images that the preparation is asked for, by reference or by the backends in use.
    runner_wish: Mapping[str, Any] = field(default_factory=lambda: dict(NO_WISH))

    @property
    def role(self) -> str | None:
        return self.installation["role"] if self.installation else None

    @property
    def is_server(self) -> bool:
        return self.role in ("server", "both")

    @property
    def runs_worker(self) -> bool:
        return self.role in ("worker", "both")

    @property
    def database(self) -> dict[str, Any] | None:
        return (self.installation or {}).get("database")

    @property
    def is_external(self) -> bool:
        """Whether the server keeps its rows in an external database."""
        server = (self.installation or {}).get("server") or {"database": {"kind": None}}
        return bool(server["database"]["kind"] == "external")

    @property
    def database_kind(self) -> str:
        """What kind of database an external one is (`postgresql`, `mysql`); PostgreSQL where there is none."""
        external = (self.database or {}).get("external") or {}
        return str(external.get("kind", _database_url.POSTGRESQL))

    @property
    def data(self) -> dict[str, Any] | None:
        return (self.installation or {}).get("data")

    @property
    def will_switch(self) -> bool:
        """Whether the legacy container is still to be replaced."""
        return self.action in (SWITCH, RESUME)

    def problem(self, code: str, cause: str, way_out: str) -> Problem:
        return Problem(self.name, code, cause, way_out)
