# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which installations of a machine one host of the inventory is about, where several share the machine. Pure.

Such a host names its legacy container. To it belongs whatever is called so, whatever an attempt of its own journal made
or renamed, and a v2 container that somebody else started on the same data directory. Everything else is a sibling's.
"""

from __future__ import annotations

from typing import Any, Collection, Iterable, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import RETIRED_NAME, V2, Installation


class Scope(NamedTuple):
    """The container that a host of the inventory is about."""

    #: Its name, and those that this host's newest attempt gave to it and to its successor.
    names: Collection[str]
    #: Every attempt in this host's journal.
    attempts: Collection[str]


class Divided(NamedTuple):
    """The installations of a machine."""

    own: list[Installation]
    siblings: list[Installation]


def scope_of(container: str, journal: Mapping[str, Any], attempts: Iterable[str]) -> Scope:
    """The scope of a host that names this container; ``journal`` is the summary of its newest attempt."""
    names = (container, journal["legacy_name"], journal["container_name"])
    return Scope({name for name in names if name}, set(attempts))


def divide(found: Iterable[Installation], scope: Scope) -> Divided:
    """The installations of this scope, and the others."""
    everything = list(found)
    own = {id(each) for each in everything if _is_named(each.facts, scope)}
    directories = {each.facts["data_dir"]["host_path"] for each in everything if id(each) in own} - {None}
    for each in everything:
        # A legacy one on the same directory is a sibling still: two of them are the plan's to refuse.
        if each.facts["generation"] == V2 and each.facts["data_dir"]["host_path"] in directories:
            own.add(id(each))
    return Divided(
        [each for each in everything if id(each) in own], [each for each in everything if id(each) not in own]
    )


def sibling_facts(sibling: Installation) -> dict[str, Any]:
    """What a host has to know of a sibling."""
    facts = sibling.facts
    return {name: facts[name] for name in ("id", "name", "image", "generation", "role", "retired", "running")}


def _is_named(facts: Mapping[str, Any], scope: Scope) -> bool:
    name = facts["name"]
    if name in scope.names or facts["attempt"] in scope.attempts:
        return True
    suffix = RETIRED_NAME.search(name)
    if suffix is None:
        return False
    # The stamp at the end is the attempt's name. Where the journal is gone, the name in front of it has to do.
    return name.rsplit("-", 1)[-1] in scope.attempts or name[: suffix.start()] in scope.names
