# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts of a fleet go back to the legacy release, what speaks against it, and what it gives up. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _plan_fleet, _rollback_text
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import Problem

#: What a host needs: everything back, its legacy container started only, or nothing.
BACK, START, NONE = "back", "start", "none"


@dataclass(frozen=True)
class Settings:
    """The operator's choices, and what the v2 server was asked for."""

    servers: tuple[str, ...]
    workers: tuple[str, ...]
    ignore_workers: tuple[str, ...] = ()
    accept_losses: bool = False
    unassessed: Mapping[str, str] = field(default_factory=dict)
    #: What people changed since the upgrade; None when the v2 server could not be asked.
    changes: Sequence[Mapping[str, Any]] | None = None
    changes_error: str | None = None
    #: The workers that the v2 server knows; None when it could not be asked.
    fleet: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Host:
    """One host's evidence with what was concluded from it."""

    name: str
    node: Mapping[str, Any]

    @property
    def journal(self) -> Mapping[str, Any]:
        return self.node["journal"]

    @property
    def action(self) -> str:
        outcome = self.journal["outcome"]
        if outcome == "none":
            return NONE
        if outcome == "restored":
            return NONE if self._serves_legacy else START
        return BACK

    @property
    def _serves_legacy(self) -> bool:
        """Whether a legacy container runs: the one of the attempt, or one that somebody put in its place since."""
        return any(each["running"] and each["generation"] != "v2" for each in self.node["installations"])

    @property
    def role(self) -> str | None:
        """The role of the attempt, else that of the one installation that is there."""
        roles = [each["role"] for each in self.node["installations"] if not each["retired"]]
        return self.journal["role"] or (roles[0] if len(roles) == 1 else None)

    def problem(self, code: str, cause: str, way_out: str) -> Problem:
        return Problem(self.name, code, cause, way_out)


def make_plan(evidence: Mapping[str, Mapping[str, Any]], settings: Settings) -> dict[str, Any]:
    """The plan for the hosts of ``evidence``; those that could not be assessed are in ``settings.unassessed``."""
    hosts = [Host(name, node) for name, node in sorted(evidence.items())]
    server = next((host for host in hosts if host.name in settings.servers), None)
    known = _known_workers(server)
    plan: dict[str, Any] = {
        "refusals": [problem.as_dict() for problem in _refusals(hosts, server, known, settings)],
        "server": server.name if server else None,
        "workers": [worker for worker in known if _host_of(worker, hosts) and not _is_ignored(worker, settings)],
        "changes": list(settings.changes or []),
        "changes_unknown": _asks(server) and settings.changes is None,
        "hosts": {host.name: _decision(host) for host in hosts},
    }
    plan["text"] = _rollback_text.lines(plan)
    return plan


def _asks(server: Host | None) -> bool:
    return server is not None and server.action == BACK and bool(server.journal["in_use"])


def _decision(host: Host) -> dict[str, Any]:
    journal = host.journal
    return {
        "action": host.action,
        "role": host.role,
        "never_upgraded": journal["outcome"] == "none",
        "legacy_container": (host.node["way_back"] or {}).get("legacy_container"),
        **{
            name: journal[name]
            for name in ("attempt", "release", "legacy_name", "container_name", "data_dir", "backup")
        },
    }


def _known_workers(server: Host | None) -> list[dict[str, Any]]:
    """The workers of the legacy server, as its database tells."""
    for installation in server.node["installations"] if server else []:
        database = installation["database"]
        if database and database["readable"]:
            return list(database["workers"])
    return []


def _host_of(worker: dict[str, Any], hosts: Sequence[Host]) -> Host | None:
    """The host of this run on which a worker is."""
    for host in hosts:
        if any(_plan_fleet.match_worker(each["worker"], [worker]) for each in host.node["installations"]):
            return host
    return None


def _is_ignored(worker: Mapping[str, Any], settings: Settings) -> bool:
    return worker["name"] in settings.ignore_workers


def _refusals(
    hosts: Sequence[Host], server: Host | None, known: Sequence[dict[str, Any]], settings: Settings
) -> Iterator[Problem]:
    for name, message in sorted(settings.unassessed.items()):
        yield _plan_fleet.not_assessed(name, message)
    yield from _host_refusals(hosts)
    if any(host.action != NONE for host in hosts):
        yield from _server_refusals(hosts, server, settings)
    yield from _left_out(hosts, server, known, settings)
    if server is not None and _asks(server) and not settings.accept_losses:
        yield from _losses(server, settings)


def _host_refusals(hosts: Sequence[Host]) -> Iterator[Problem]:
    for host in hosts:
        lock = host.node["lock"]
        if lock["held"]:
            yield host.problem(
                "locked",
                "run {run}, process {pid}, works on this host since {since}".format(**lock),
                "wait until it has ended, then run again",
            )
        obstacle = (host.node["way_back"] or {}).get("obstacle")
        if host.action != NONE and obstacle:
            cause, _end, way_out = obstacle.partition(". ")
            yield host.problem("no_way_back", cause, way_out or "see the journal on the host")


def _server_refusals(hosts: Sequence[Host], server: Host | None, settings: Settings) -> Iterator[Problem]:
    if len(settings.servers) > 1:
        yield Problem(
            _plan_fleet.FLEET,
            "several_servers",
            "group gpustack_servers holds {} hosts ({})".format(len(settings.servers), ", ".join(settings.servers)),
            "take back one fleet at a time: give each an inventory of its own, or name it with --limit",
        )
    elif not settings.servers:
        yield Problem(
            _plan_fleet.FLEET,
            "server_not_in_run",
            "the server is not in this run; a v2 server answers 0.x workers with 404, so they would not serve",
            "run without --limit, or with the server in it",
        )
    elif server is not None and server.journal["outcome"] == "none" and _runs_v2(server):
        yield server.problem(
            "server_not_switched",
            "its v2 server was not put there by this collection, so it cannot be taken back; 0.x workers do not work "
            "with it",
            "take the server back as it was upgraded, then run again",
        )


def _runs_v2(host: Host) -> bool:
    return any(each["running"] and each["generation"] == "v2" for each in host.node["installations"])


def _left_out(
    hosts: Sequence[Host], server: Host | None, known: Sequence[dict[str, Any]], settings: Settings
) -> Iterator[Problem]:
    """Workers that run v2 and are in no host of this run: nobody would serve them."""
    if server is None or server.action != BACK or not server.journal["accepted"]:
        return
    for worker in known:
        if _is_ignored(worker, settings) or _host_of(worker, hosts) or not _is_switched(worker, server, settings):
            continue
        yield Problem(
            _plan_fleet.FLEET,
            "worker_not_in_run",
            "worker {} ({}) runs v2 and is in no host of this run; the legacy server would not serve it".format(
                worker["name"], worker["ip"]
            ),
            "run without --limit, add its host to gpustack_workers, or name it in gpustack_ignore_workers",
        )


def _is_switched(worker: Mapping[str, Any], server: Host, settings: Settings) -> bool:
    """Whether the v2 server heard of a worker since its legacy server stopped; without an answer, whoever was READY."""
    if settings.fleet is None:
        return bool(worker["state"] == "ready")
    now = next((each for each in settings.fleet if each["id"] == worker["id"]), None)
    stopped = server.journal["stopped_at"]
    return now is not None and stopped is not None and (now["heartbeat"] or 0) > stopped


def _losses(server: Host, settings: Settings) -> Iterator[Problem]:
    way_out = "accept that with gpustack_accept_rollback_losses: true, or stay on v2"
    if settings.changes is None:
        yield server.problem(
            "rollback_losses_unknown",
            "what people changed since the upgrade cannot be listed ({}); going back gives up all of it".format(
                (settings.changes_error or "its v2 server was not asked").rstrip(".")
            ),
            f"start the v2 server to see them; {way_out}",
        )
    elif settings.changes:
        yield server.problem(
            "rollback_losses",
            "going back gives up what people did since the upgrade: {}".format(
                "; ".join(_rollback_text.change_line(change) for change in settings.changes)
            ),
            way_out,
        )
