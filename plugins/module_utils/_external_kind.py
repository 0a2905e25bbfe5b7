# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between the kinds of external database; everything else is said once, in `_external_database.py`."""

from __future__ import annotations

import abc
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils._database_tools import Tools
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl


class Kind(abc.ABC):
    """A kind of external database."""

    #: The class of its programs.
    tools: type[Tools]

    @abc.abstractmethod
    def connect(self, url: DatabaseUrl) -> Any:
        """A connection in which every transaction is read-only and sees one moment; close it."""

    @abc.abstractmethod
    def require_maintenance(self, url: DatabaseUrl) -> None:
        """Databases can be made beside it, as far as a connection tells; an error otherwise."""

    @abc.abstractmethod
    def facts(self, connection: Any) -> dict[str, Any]:
        """What the database says of itself and of the user's rights."""

    @abc.abstractmethod
    def columns(self, connection: Any) -> dict[str, dict[str, str]]:
        """Its tables, each with its columns and their types by PostgreSQL's names."""

    @abc.abstractmethod
    def rows(self, connection: Any, table: str, columns: Mapping[str, str]) -> Iterator[str]:
        """A table's rows, each as a JSON object."""

    @abc.abstractmethod
    def schema(self, connection: Any, head: str | None) -> str | None:
        """Tells whether a schema upgrade has changed anything; ``head`` is the revision that the database has."""

    @abc.abstractmethod
    def tools_needed(self, facts: Mapping[str, Any]) -> tuple[tuple[int, ...], str]:
        """The oldest version of the programs that dump it, and the name of an image that would have them."""

    @abc.abstractmethod
    def scratch_name(self, url: DatabaseUrl, attempt: str) -> str:
        """The database that a dump is tried in."""

    @abc.abstractmethod
    def make_like(self, url: DatabaseUrl, name: str) -> DatabaseUrl:
        """A new, empty database like it; one of that name, ours, is dropped before."""

    @abc.abstractmethod
    def drop(self, url: DatabaseUrl, *names: str) -> list[str]:
        """Drop databases of ours that exist; which those were."""

    @abc.abstractmethod
    def set_aside(self, url: DatabaseUrl, attempts: Iterable[str]) -> list[str]:
        """The databases in which ways back of these attempts kept what v2 had made."""

    @abc.abstractmethod
    def take_place(self, url: DatabaseUrl, replacement: str, attempt: str) -> str:
        """Put a replacement in its place, at one moment; the name under which the old one is kept."""
