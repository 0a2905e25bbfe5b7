# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan says about upgrades by hand that went wrong. Pure."""

from __future__ import annotations

from typing import Iterator, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases, _wrecks
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem


def refusals(views: Sequence[HostView]) -> list[Problem]:
    """Wrecks that nobody consented to mend, or that cannot be mended yet."""
    return [*check_wrecks(views), *check_lost_token(views)]


def check_wrecks(views: Sequence[HostView]) -> Iterator[Problem]:
    """What is set aside, and given up with it, is the operator's to decide."""
    for view in views:
        if view.wreck and (view.wreck.obstacle or not view.settings.mend_wrecks):
            yield view.problem(view.wreck.code, view.wreck.cause, view.wreck.way_out())


def check_lost_token(views: Sequence[HostView]) -> Iterator[Problem]:
    """A registration token that v2 has overwritten stands in the workers' own definitions; secrets do not travel."""
    for view in views:
        if view.wreck and view.wreck.token_lost:
            known = workers_tokens(views)
            given = view.settings.choice(view.name, "token_digest")
            if not given:
                yield view.problem("wreck_token_unknown", _lost(view, known), _where_it_is(known))
            elif known and given not in known:
                yield view.problem(
                    "wreck_token_wrong",
                    f"gpustack_token of this host is not the token that {_hosts(known)} present",
                    _where_it_is(known),
                )


def workers_tokens(views: Sequence[HostView]) -> dict[str, list[str]]:
    """The legacy tokens that the workers of this run have in their own definitions, by salted digest -> hosts."""
    found: dict[str, list[str]] = {}
    for view in views:
        token = (view.installation or {}).get("token") or {}
        if view.role == "worker" and token.get("digest") and not token["reserved_prefix"]:
            found.setdefault(token["digest"], []).append(view.name)
    return found


def _lost(view: HostView, known: dict[str, list[str]]) -> str:
    lost = (
        "the registration token in {}/token begins with 'gpustack', so a fresh v2 has overwritten it, and the"
        " container's arguments and environment hold no other"
    ).format(view.wreck.data_dir if view.wreck else "")
    if not known:
        return lost + "; no worker of this run has the old one either"
    if len(known) == 1:
        return f"{lost}; {_hosts(known)} still present the old one, all the same"
    return f"{lost}; {_hosts(known)} present {len(known)} different ones"


def _where_it_is(known: dict[str, list[str]]) -> str:
    if not known:
        return (
            "set gpustack_token for this host, in a vault, to the legacy token (from a backup of the file token), or"
            " to a new one that does not begin with 'gpustack' and set the same for every worker"
        )
    first = sorted(host for hosts in known.values() for host in hosts)[0]
    return (
        "set gpustack_token for this host, in a vault, to the token that stands in the workers' own definitions: the"
        f" argument --token or the variable GPUSTACK_TOKEN in `docker inspect` on {first}, else the file token there"
    )


def _hosts(known: dict[str, list[str]]) -> str:
    return ", ".join(sorted(host for hosts in known.values() for host in hosts))


def ports(view: HostView) -> set[int]:
    """Ports that the running containers of a wreck hold; they are free once it is mended."""
    found: set[int] = set()
    for each in view.wreck.containers if view.wreck else ():
        if each["running"]:
            release = _releases.find(each["release"] or _releases.DEFAULT, allow_unproven=True)
            options = {"port": (each["server"] or {}).get("port"), "worker_port": (each["worker"] or {}).get("port")}
            given = {name: port for name, port in options.items() if port}
            found.update(listener.port for listener in _releases.listeners(release, each["role"], given))
    return found


def warnings(views: Sequence[HostView]) -> list[Problem]:
    """What is mended by this run, and what that means."""
    return [
        view.problem(
            view.wreck.code,
            view.wreck.cause,
            f"none is needed: {_wrecks.VARIABLE} is set, which {view.wreck.mending()}",
        )
        for view in views
        if view.wreck and view.settings.mend_wrecks and not view.wreck.obstacle
    ]
