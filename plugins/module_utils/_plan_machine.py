# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the inventory that are one machine, each of them one of its GPUStack containers. Pure.

They are told by the ids of the containers that they see: no two engines have one in common, while clones of a virtual
machine share host names, machine ids and engine ids.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _container_spec,
    _options,
    _plan_disk,
    _releases,
    _unit_record,
    _vendors,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem

VARIABLE = "gpustack_legacy_container"
# What the engine takes for a name (moby, daemon/names). It becomes a part of paths.
CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
RUN_ID_FORMAT = "%Y%m%dT%H%M%SZ"

# A v2 worker deletes each model's container on its engine that is not of an instance of its own, once that is older
# than this many seconds (worker/serve_manager.py of 2.0, worker/workload_cleaner.py from 2.1 on): also those of the
# other workers of the machine. So long a time switches that off.
ORPHANS_VARIABLE = "GPUSTACK_WORKER_ORPHAN_WORKLOAD_CLEANUP_GRACE_PERIOD"
ORPHANS_SECONDS = "999999999"
# Which maker's devices gpustack-runtime looks for (its detector/, in 2.0.0 to 2.2.3 alike); any other word is none.
DETECT_VARIABLE = "GPUSTACK_RUNTIME_DETECT"
DETECTORS = ("amd", "ascend", "cambricon", "hygon", "iluvatar", "metax", "mthreads", "nvidia", "thead")

# Ports out of which v2 takes some when a model starts (config/config.py).
RANGES = {"--service-port-range": "40000-40063", "--ray-port-range": "41000-41999"}
HIGHEST_PORT = 65535


class Reserved(NamedTuple):
    """Ports that a v2 container has for itself, and the option that moves them; None when nothing does."""

    service: str
    option: str | None
    first: int
    last: int

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports} ({self.service})"


def machines(views: Sequence[HostView]) -> list[list[HostView]]:
    """The hosts of this run by machine."""
    found: list[tuple[set[str], list[HostView]]] = []
    for view in views:
        ids = _container_ids(view)
        same = [entry for entry in found if entry[0] & ids]
        found = [entry for entry in found if not entry[0] & ids]
        found.append((ids.union(*(entry[0] for entry in same)), [*(each for entry in same for each in entry[1]), view]))
    return [hosts for _ids, hosts in found]


def shared(views: Sequence[HostView]) -> Iterator[list[HostView]]:
    """The machines that several hosts of this run are."""
    return (hosts for hosts in machines(views) if len(hosts) > 1)


def run_ids(views: Sequence[HostView], run_id: str) -> dict[str, str]:
    """The run id of each host. It names attempts, so that on one machine each further host has the next second's."""
    found = {view.name: run_id for view in views}
    for hosts in shared(views):
        for place, view in enumerate(sorted(hosts, key=lambda each: each.name)):
            found[view.name] = _later(run_id, place) if place else run_id
    return found


def environment(view: HostView, vendor: str | None) -> dict[str, str]:
    """Variables that a v2 worker needs beside another one on its engine."""
    if not (view.will_switch and view.runs_worker and _other_workers(view)):
        return {}
    # Of a vendor of the operator's own nobody knows the detector.
    detect = {DETECT_VARIABLE: vendor.upper()} if vendor in (*DETECTORS, _vendors.CPU) else {}
    return {ORPHANS_VARIABLE: ORPHANS_SECONDS, **detect}


def refusals(
    views: Sequence[HostView], previews: Mapping[str, _container_spec.Built], release: _releases.Release | None
) -> Iterator[Problem]:
    """What speaks against the containers of one machine, seen together."""
    for view in views:
        yield from _name_problems(view)
    for hosts in shared(views):
        yield from _same_container(hosts)
        yield from _same_directory(hosts)
        yield from _plan_disk.check_together(hosts)
        if release is not None:
            yield from _port_conflicts(hosts, previews, release)


def warnings(view: HostView) -> Iterator[Problem]:
    """What an operator of several workers on one engine has to know of v2."""
    others = _other_workers(view)
    if not others or not view.runs_worker or view.installation is None:
        return
    names = ", ".join(others)
    if view.will_switch:
        yield view.problem(
            "shared_engine",
            f"it shares its Docker engine with {names}; v2's workers would take each other's model containers for"
            f" orphans and delete them after 5 minutes, so its container gets {ORPHANS_VARIABLE}={ORPHANS_SECONDS}, and"
            " deletes no orphans at all",
            "remove a model's container that a worker left behind by hand (docker ps --filter"
            " label=runtime.gpustack.ai/workload)",
        )
    elif ORPHANS_VARIABLE not in view.installation["environment"]:
        yield view.problem(
            "orphans",
            f"it shares its Docker engine with {names}, and its container lacks {ORPHANS_VARIABLE}: it deletes their"
            " model containers 5 minutes after their start",
            f"make its container again with that variable ({ORPHANS_SECONDS}), or give each worker its own machine",
        )


def _container_ids(view: HostView) -> set[str]:
    """The ids that the engine gave; a unit or a process is called alike on any machine."""
    ids = {str(each["id"]) for each in [*view.node["installations"], *view.node["siblings"]]}
    return {each for each in ids if _unit_record.unit_of(each) is None}


def _other_workers(view: HostView) -> list[str]:
    """The other workers on its engine, whether they are in this run or not."""
    return [
        str(each["name"])
        for each in view.node["siblings"]
        if each["role"] in ("worker", "both") and not each["retired"]
    ]


def _later(run_id: str, seconds: int) -> str:
    moment = calendar.timegm(time.strptime(run_id, RUN_ID_FORMAT))
    return time.strftime(RUN_ID_FORMAT, time.gmtime(moment + seconds))


def _name_problems(view: HostView) -> Iterator[Problem]:
    name = view.settings.choice(view.name, "legacy_container")
    if not name:
        return
    if not CONTAINER_NAME.fullmatch(str(name)):
        yield view.problem(
            "container_name",
            f"{VARIABLE} is '{name}', which can be no container's name",
            "give the name as docker ps shows it",
        )
    installation = view.installation
    if installation and installation["attempt"] and view.node["journal"]["attempt"] is None:
        yield view.problem(
            "other_state_dir",
            "container {} was made by attempt {}, but without {}, so that its journal lies elsewhere than in {}".format(
                installation["name"], installation["attempt"], VARIABLE, view.node["places"]["state_dir"]
            ),
            f"take {VARIABLE} from this host again; what is upgraded already does not need it",
        )


def _same_container(hosts: Sequence[HostView]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for view in hosts:
        container = str((view.installation or {}).get("id") or "")
        if container in seen:
            yield view.problem(
                "same_container",
                "it is the same machine as {}, and both are about container {}".format(
                    seen[container], (view.installation or {})["name"]
                ),
                f"take one of them out of the inventory, or name a container of its own for each with {VARIABLE}",
            )
        if container:
            seen.setdefault(container, view.name)


def _same_directory(hosts: Sequence[HostView]) -> Iterator[Problem]:
    seen: dict[str, HostView] = {}
    for view in hosts:
        installation = view.installation or {}
        directory = str((installation.get("data_dir") or {}).get("host_path") or "")
        other = seen.get(directory)
        if other is not None and (other.installation or {})["id"] != installation["id"]:
            yield view.problem(
                "shared_data_dir",
                f"its container has the data directory {directory}, as that of {other.name} has",
                "give each container a data directory of its own",
            )
        if directory:
            seen.setdefault(directory, view)


def _port_conflicts(
    hosts: Sequence[HostView], previews: Mapping[str, _container_spec.Built], release: _releases.Release
) -> Iterator[Problem]:
    """Ports that two v2 containers would both have; the later host is the one to move."""
    before: list[tuple[HostView, list[Reserved]]] = []
    for view in sorted(hosts, key=lambda each: (each.will_switch, each.name)):
        own = _reserved(view, previews.get(view.name), release)
        everything = [each for _view, reserved in before for each in reserved] + own
        for other, theirs in before:
            pairs = [each for each in own if any(_overlap(each, port) for port in theirs)]
            if pairs and view.will_switch:
                yield view.problem(
                    "sibling_ports",
                    "on one machine with {}, both would have the ports {}".format(
                        other.name, ", ".join(str(each) for each in pairs)
                    ),
                    _way_out(view, pairs, everything, release),
                )
        before.append((view, own))


def _way_out(view: HostView, pairs: Sequence[Reserved], taken: Sequence[Reserved], release: _releases.Release) -> str:
    fixed = [each for each in pairs if each.option is None]
    if fixed and view.role == "worker":
        return f"from 2.0.1 on workers have no gateway: upgrade to {_releases.DEFAULT}, not to {release.version}"
    if fixed:
        return "put one of them on a machine of its own; nothing moves these ports"
    words = [f'"{each.option}", "{_free(each, taken)}"' for each in pairs]
    return f"add to gpustack_extra_args of this host, or choose others: [{', '.join(words)}]"


def _free(wanted: Reserved, taken: Sequence[Reserved]) -> str:
    """As many ports as that, behind it, that nobody of the machine has."""
    size, first = wanted.last - wanted.first, wanted.last + 1
    while first + size <= HIGHEST_PORT:
        met = [each for each in taken if each.first <= first + size and first <= each.last]
        if not met:
            return str(first) if size == 0 else f"{first}-{first + size}"
        first = max(each.last for each in met) + 1
    return "others"


def _overlap(one: Reserved, other: Reserved) -> bool:
    return one.first <= other.last and other.first <= one.last


def _reserved(view: HostView, built: _container_spec.Built | None, release: _releases.Release) -> list[Reserved]:
    """What the v2 container of a host has, or will have, on the machine's own network."""
    installation = view.installation
    if installation is None or view.role is None:
        return []
    if built is not None and built.spec:
        network, values = (
            built.spec["network_mode"],
            _options.values_of(built.spec["command"], built.spec["environment"]),
        )
        values = {**built.config, **values}
    else:
        network, values = (
            installation["network_mode"],
            _options.values_of(installation["args"], installation["environment"]),
        )
        values = {**((installation.get("config_file") or {}).get("option_values") or {}), **values}
    if network != "host":
        return []
    found = [
        Reserved(each.service, each.option, each.port, each.port)
        for each in _releases.listeners(release, view.role, values)
    ]
    if view.runs_worker:
        found += [_range(option, values) for option in RANGES]
    return found


def _range(option: str, values: Mapping[str, Any]) -> Reserved:
    text = str(values.get(option[2:].replace("-", "_")) or RANGES[option])
    first, _dash, last = text.partition("-")
    service = "models" if option == "--service-port-range" else "Ray"
    try:
        return Reserved(service, option, int(first), int(last))
    except ValueError:  # GPUStack says so itself
        return Reserved(service, option, 0, -1)
