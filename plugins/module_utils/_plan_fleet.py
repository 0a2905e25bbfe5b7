# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against upgrading the fleet, seen over all of its hosts. Pure."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _models
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem, Settings

FLEET = "fleet"

# How a failed assessment is explained: a part of Ansible's own message, and the way out.
ASSESSMENT_WAYS_OUT = (
    (
        "requires a minimum of Python",
        "install Python 3.8 or newer on the host and name it in ansible_python_interpreter",
    ),
    (
        "No python interpreters found",
        "install Python 3.8 or newer on the host and name it in ansible_python_interpreter",
    ),
    ("Missing sudo password", "give the login user a sudo rule, or the run --ask-become-pass"),
    ("Failed to connect", "make the host reachable by ssh, or take it out of the inventory"),
    ("UNREACHABLE", "make the host reachable by ssh, or take it out of the inventory"),
)


def check_inventory(settings: Settings) -> Iterator[Problem]:
    """One server, every host assessed, no variables where Ansible does not look for them."""
    if len(settings.servers) != 1:
        yield Problem(
            FLEET,
            "several_servers" if settings.servers else "no_server",
            "this run has {} hosts of the group gpustack_servers ({}), but a fleet has one server".format(
                len(settings.servers), ", ".join(settings.servers) or "none"
            ),
            "name one server together with its workers: in an inventory of their own, or with --limit",
        )
    for host, message in sorted(settings.unassessed.items()):
        yield not_assessed(host, message)
    for name in settings.inventory_only_extra:
        yield Problem(
            FLEET,
            "batch_variable",
            f"{name} is set in the inventory, where Ansible does not look for it when it forms batches",
            f"remove it there and give it on the command line: -e '{{\"{name}\": ...}}'",
        )


def not_assessed(host: str, message: str) -> Problem:
    """A host whose evidence is not there, with the way out where the message is known."""
    way_out = next(
        (hint for part, hint in ASSESSMENT_WAYS_OUT if part in message),
        "make the host answer, or take it out of the inventory",
    )
    return Problem(host, "not_assessed", f"the host could not be assessed: {message}", way_out)


def check_clocks(views: Sequence[HostView], settings: Settings) -> Iterator[Problem]:
    """Clocks closer together than the heartbeat logic of v2 tolerates (facts, B5)."""
    offsets = {
        view.name: view.node["host"]["clock_offset"] for view in views if view.node["host"]["clock_offset"] is not None
    }
    if len(offsets) < 2:
        return
    middle = sorted(offsets.values())[len(offsets) // 2]
    for host, offset in sorted(offsets.items()):
        if abs(offset - middle) > settings.clock_tolerance:
            yield Problem(
                host,
                "clock",
                f"its clock is {offset - middle:.0f} s off the fleet's; v2 takes workers with old heartbeats for dead"
                " and deletes their model instances",
                "synchronise the clocks (chrony or systemd-timesyncd)",
            )


def check_shared_exports(views: Sequence[HostView]) -> Iterator[Problem]:
    """No two hosts with one network directory as their data directory."""
    seen: dict[tuple[str, str], str] = {}
    for view in views:
        if not view.will_switch or not view.data or not view.installation or not view.data["filesystem"]["network"]:
            continue
        filesystem = view.data["filesystem"]
        below = view.installation["data_dir"]["host_path"][len(filesystem["mount_point"].rstrip("/")) :]
        key = (filesystem["export"] or filesystem["device"], below)
        if key in seen:
            yield view.problem(
                "shared_export",
                f"its data directory is the same network export ({key[0]}{key[1]}) as that of {seen[key]}",
                "give each host a data directory of its own",
            )
        seen.setdefault(key, view.name)


def check_reachability(views: Sequence[HostView]) -> Iterator[Problem]:
    """Workers reach the server's URL, the server reaches the workers' ports; only of what is running now."""
    server = next((view for view in views if view.is_server), None)
    server_runs = bool(server and server.installation and server.installation["running"])
    running = {
        _worker_name(view) for view in views if view.runs_worker and view.installation and view.installation["running"]
    }
    for view in views:
        for probe in view.node["reachability"]:
            where = "{}:{}".format(probe["host"], probe["port"])
            if probe["ok"]:
                continue
            replaced = view.settings.choice(view.name, "server_url")
            if probe["kind"] == "worker_to_server" and server_runs and view.will_switch and not replaced:
                yield view.problem(
                    "server_unreachable",
                    "the worker cannot reach its server at {}: {}".format(where, probe["error"]),
                    "open the port, or set gpustack_server_url for this host",
                )
            if probe["kind"] == "server_to_worker" and probe["worker"] in running:
                yield view.problem(
                    "worker_unreachable",
                    "the server cannot reach worker {} at {}: {}".format(probe["worker"], where, probe["error"]),
                    "open that port between server and worker",
                )


def check_tokens(views: Sequence[HostView]) -> Iterator[Problem]:
    """Workers that present another token than the server's would be rejected with 401."""
    server = next((view for view in views if view.is_server and view.will_switch and view.installation), None)
    if server is None or server.installation is None:
        return
    token = server.installation["token"]
    # A file that v2 has overwritten says nothing: as a wreck, or in an attempt that is still to be undone.
    lost = server.wreck is not None and server.wreck.token_lost
    if lost or not token["digest"] or (token["source"] == "file" and token["reserved_prefix"]):
        return
    expected = token["digest"]
    for view in views:
        if view.is_server or not view.runs_worker or not view.will_switch or view.installation is None:
            continue
        digest = view.installation["token"]["digest"]
        if digest and digest != expected and not view.settings.choice(view.name, "token"):
            yield view.problem(
                "token_differs",
                f"its registration token differs from that of server {server.name}",
                "set gpustack_token for this host (in a vault) to the server's token",
            )


def check_membership(views: Sequence[HostView], settings: Settings) -> Iterator[Problem]:
    """The server's own worker list against the hosts of this run, in both directions."""
    server = next((view for view in views if view.is_server), None)
    if server is None or not server.database or not server.database["readable"] or server.action == "none":
        return
    known = server.database["workers"]
    found = {id(worker_of(view, known)): view for view in views if view.runs_worker and worker_of(view, known)}
    for worker in known:
        if id(worker) in found or worker["name"] in settings.ignore_workers or worker["state"] != "ready":
            continue
        yield Problem(
            FLEET,
            "worker_not_in_run",
            "worker {} ({}) is READY on the server and in no host of this run; a v2 server would not serve it".format(
                worker["name"], worker["ip"]
            ),
            "add its host to gpustack_workers, or name it in gpustack_ignore_workers",
        )
    for view in views:
        if view.runs_worker and view.will_switch and worker_of(view, known) is None:
            name = _worker_name(view)
            if name not in settings.ignore_workers and view.name not in settings.ignore_workers:
                yield view.problem(
                    "worker_unknown",
                    f"the server does not know a worker named {name}",
                    "check that the host belongs to this server, or name it in gpustack_ignore_workers",
                )


def known_workers(views: Sequence[HostView]) -> list[dict[str, Any]]:
    """The workers that have to be READY after the upgrade: those that were before, and those on hosts of this run."""
    return [worker for worker, is_expected in _registered(views) if is_expected]


def known_models(views: Sequence[HostView]) -> list[dict[str, Any]]:
    """The models that ran: by the live legacy database, and once that is stopped, by what it held at its stop."""
    server = _readable_server(views)
    if server is None or server.database is None:
        return []
    return _models.ran_before(server.database["models"], server.database["model_instances"])


def _readable_server(views: Sequence[HostView]) -> HostView | None:
    return next((view for view in views if view.is_server and view.database and view.database["readable"]), None)


def _registered(views: Sequence[HostView]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every worker that the legacy database knows and that is not ignored, and whether it is expected afterwards."""
    server = _readable_server(views)
    workers = server.database["workers"] if server and server.database else []
    here = [id(worker_of(view, workers)) for view in views if view.runs_worker]
    for worker in workers:
        if server and worker["name"] not in server.settings.ignore_workers:
            yield worker, worker["state"] == "ready" or id(worker) in here


def with_own_uuids(views: Sequence[HostView], known: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, each without a uuid (before 0.7) with the one that the upgraded worker on its host has by now."""
    own = {}
    for view in views:
        worker = worker_of(view, known)
        installation = view.installation or {}
        if worker is not None and installation.get("generation") == "v2" and not worker["uuid"]:
            own[worker["id"]] = (installation.get("worker") or {}).get("uuid") or ""
    return [{**worker, "uuid": own.get(worker["id"], worker["uuid"])} for worker in known]


def worker_of(view: HostView, known: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The server's record of this host's worker: by uuid, else by name (as v2 matches them; facts, C11)."""
    return match_worker((view.installation or {}).get("worker"), known)


def match_worker(found: dict[str, Any] | None, known: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The server's record of the worker that was found in an installation."""
    worker = found or {}
    by_uuid = [each for each in known if worker.get("uuid") and each["uuid"] == worker["uuid"]]
    by_name = [each for each in known if worker.get("name") and each["name"] == worker["name"]]
    matches = by_uuid or by_name
    return matches[0] if matches else None


def _worker_name(view: HostView) -> str | None:
    return ((view.installation or {}).get("worker") or {}).get("name")


def refusals(views: Sequence[HostView], settings: Settings) -> list[Problem]:
    """Everything that speaks against this fleet as a whole."""
    found: list[Problem] = list(check_inventory(settings))
    found.extend(check_clocks(views, settings))
    found.extend(check_shared_exports(views))
    found.extend(check_reachability(views))
    found.extend(check_tokens(views))
    found.extend(check_membership(views, settings))
    return found


def warnings(views: Sequence[HostView]) -> list[Problem]:
    """What an operator should know before going on."""
    return [*_left_out(views), *_proxies(views), *_backups(views)]


def _left_out(views: Sequence[HostView]) -> list[Problem]:
    """Workers of which only the server's list is left: a fleet in use has some, and nobody can bring them back here."""
    gone = ["{name} ({ip}, {state})".format(**worker) for worker, is_expected in _registered(views) if not is_expected]
    if not gone:
        return []
    return [
        Problem(
            FLEET,
            "worker_left_out",
            "the server lists workers that are not READY and in no host of this run, so they are not upgraded and"
            " nothing waits for them: {}".format(", ".join(gone)),
            "add the hosts of those that are to serve v2 to gpustack_workers, and name the others in"
            " gpustack_ignore_workers",
        )
    ]


def _proxies(views: Sequence[HostView]) -> list[Problem]:
    return [
        view.problem(
            "proxy",
            "an HTTP proxy is set without NO_PROXY; GPUStack's calls between server and workers would go through it",
            "set NO_PROXY to the addresses of server and workers (this collection's own calls ignore proxies)",
        )
        for view in views
        if view.node["host"]["proxy"]["http_proxy"] and not view.node["host"]["proxy"]["no_proxy"]
    ]


def _backups(views: Sequence[HostView]) -> list[Problem]:
    if all(view.settings.backup_fetch_dir or not view.will_switch for view in views):
        return []
    return [
        Problem(
            FLEET,
            "backup_on_host_only",
            "the backups stay on the hosts alone, and are gone with their disks",
            "have a copy of each on the controller with gpustack_backup_fetch_dir",
        )
    ]
