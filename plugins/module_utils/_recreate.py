# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy container that somebody removed, made again from its saved definition.

The engine shows the new one as it showed the old one, but for ids, times and state, with two exceptions that keep data
in reach: anonymous volumes are bound by their names, and what came by ``--volumes-from`` is bound path by path.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _unit_install
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._discovery import ATTEMPT_LABEL
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine, label_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import DONE, last_detail

#: What a user may ask of a network; the rest of an endpoint is what the engine made of it.
_ENDPOINT_KEYS = ("IPAMConfig", "Aliases", "Links", "DriverOpts")


def create_body(record: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the engine's own create call that makes a container like the one of an inspect record."""
    config = dict(record["Config"])
    if not _hostname_is_own(record):
        config.pop("Hostname", None)
    if config.get("Entrypoint") is None:
        # Without one the image's would be used; the engine takes this for "none".
        config["Entrypoint"] = [""]
    return {
        **config,
        "HostConfig": _host_config(record),
        "NetworkingConfig": {"EndpointsConfig": _endpoints(record)},
    }


def recreate(engine: Engine, record: Mapping[str, Any], name: str, image_archive: str | None = None) -> str:
    """Create the container of an inspect record anew under a name, stopped; its id."""
    body = create_body(record)
    body["Image"] = _require_image(engine, record, image_archive)
    endpoints = body["NetworkingConfig"]["EndpointsConfig"]
    first = _first_network(record)
    # Engines before 25 take one network when a container is made; the others are connected afterwards.
    further = {network: endpoints.pop(network) for network in sorted(endpoints) if network != first}
    container = engine.create(name, body)
    for network, endpoint in further.items():
        engine.connect(container, network, endpoint)
    return container


def legacy_record(work: Work) -> dict[str, Any] | None:
    """The attempt's legacy container, the recreated one where the first one is gone; None when there is neither."""
    inspect: _unit_install.Look = work.engine.inspect
    if work.attempt.is_unit:
        inspect = _unit_install.look(inspect, work.params["run_command"])
    return find(inspect, work.attempt, work.journal.entries())


def find(
    inspect: Callable[[str], dict[str, Any] | None], attempt: Attempt, entries: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """The same from a journal's entries of the attempt, by whatever reads the engine."""
    recreated = last_detail(entries, "recreate", DONE)
    names = [attempt.legacy_id, *([recreated["container"]] if recreated else [])]
    if attempt.is_throwaway:
        # Its unit may have made it anew under its name; its stopped copy has the retired one.
        names = [attempt.legacy_name, *names, attempt.retired_name]
    found = (inspect(name) for name in names)
    return next((record for record in found if record is not None and not _is_v2(record)), None)


def _is_v2(record: Mapping[str, Any]) -> bool:
    return label_of(record, ATTEMPT_LABEL) is not None


def _hostname_is_own(record: Mapping[str, Any]) -> bool:
    """Whether the hostname is more than the engine's default, and may be given at all."""
    host = record["HostConfig"]
    borrowed = str(host.get("NetworkMode")).startswith("container:") or host.get("UTSMode") == "host"
    return not borrowed and record["Config"].get("Hostname") != record["Id"][:12]


def _host_config(record: Mapping[str, Any]) -> dict[str, Any]:
    host = dict(record["HostConfig"])
    host["VolumesFrom"] = None  # its mounts are bound one by one: the container that they came from may be gone too
    host["Mounts"] = [_named(mount, record) for mount in host.get("Mounts") or []] or None
    host["Binds"] = [*_binds(record), *_binds_of_unnamed(record)] or None
    host["Links"] = [_link(link) for link in host.get("Links") or []] or None
    return host


def _named(mount: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """A mount as it was asked for; an anonymous volume by the name that the engine gave it."""
    if mount.get("Type") != "volume" or mount.get("Source"):
        return dict(mount)
    names = {found["Destination"]: found.get("Name") for found in record.get("Mounts") or []}
    return {**mount, "Source": names.get(mount["Target"])}


def _binds(record: Mapping[str, Any]) -> list[str]:
    """The binds that say what is mounted; a path alone asks for a fresh anonymous volume."""
    return [bind for bind in record["HostConfig"].get("Binds") or [] if ":" in bind]


def _binds_of_unnamed(record: Mapping[str, Any]) -> list[str]:
    """What is mounted without a word in the host's configuration: anonymous volumes, and ``--volumes-from``."""
    spoken_of = {bind.split(":")[1] for bind in _binds(record)}
    spoken_of.update(mount["Target"] for mount in record["HostConfig"].get("Mounts") or [])
    return [
        "{}:{}{}".format(mount.get("Name") or mount["Source"], mount["Destination"], "" if mount.get("RW") else ":ro")
        for mount in record.get("Mounts") or []
        if mount["Destination"] not in spoken_of and mount.get("Type") in ("volume", "bind")
    ]


def _link(link: str) -> str:
    """The engine shows ``/other:/this/alias`` and takes ``other:alias``."""
    source, _colon, target = link.partition(":")
    return "{}:{}".format(source.lstrip("/"), target.rpartition("/")[2])


def _endpoints(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the user asked of each network that is the user's own."""
    networks = (record.get("NetworkSettings") or {}).get("Networks") or {}
    default = ("bridge", "default", "host", "none")
    own = {name: endpoint for name, endpoint in networks.items() if name not in default}
    return {name: _endpoint(record, endpoint) for name, endpoint in own.items()}


def _endpoint(record: Mapping[str, Any], endpoint: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {key: endpoint[key] for key in _ENDPOINT_KEYS if endpoint.get(key)}
    # Older engines list the container's own short id among the aliases.
    aliases = [alias for alias in wanted.pop("Aliases", []) if alias != record["Id"][:12]]
    return {**wanted, "Aliases": aliases} if aliases else wanted


def _first_network(record: Mapping[str, Any]) -> str:
    """The network that the container is made with, by the name under which its endpoint is listed."""
    mode = str(record["HostConfig"].get("NetworkMode"))
    for name, endpoint in ((record.get("NetworkSettings") or {}).get("Networks") or {}).items():
        if endpoint.get("NetworkID") == mode:
            return name
    return mode


def _require_image(engine: Engine, record: Mapping[str, Any], archive: str | None) -> str:
    """The legacy container's own image, under the reference that it was started by where that still means it."""
    wanted, reference = record["Image"], record["Config"]["Image"]
    if engine.image(wanted) is None and archive:
        engine.load_image(archive)
    if engine.image(wanted) is None:
        raise SwitchError(missing_image(record, archive))
    return _reference_for(engine, wanted, reference)


def missing_image(record: Mapping[str, Any], archive: str | None) -> str:
    """Cause and way out when the legacy container's image is neither on the host nor in an archive."""
    wanted, reference = record["Image"], record["Config"]["Image"]
    without = "" if archive is None else f", nor in {archive}"
    return (
        f"The image of the legacy container, {reference} ({wanted}), is not on this host any more{without}. Bring it "
        f"back ('docker pull {reference}' where that tag did not move, else 'docker save' on a host that has it and "
        "'docker load' here), then run again. Nothing was changed."
    )


def _reference_for(engine: Engine, wanted: str, reference: str) -> str:
    found = engine.image(reference)
    if found is None and "@" not in reference and reference != wanted:
        engine.tag_image(wanted, reference)
        return reference
    return reference if found is not None and found["Id"] == wanted else wanted
