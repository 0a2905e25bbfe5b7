# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GPUStack installations among the containers of an engine. Pure: inspect records in, installations out.

Names mean nothing here: users rename containers freely. What counts is the image and what it starts.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _database_url,
    _masking,
    _options,
    _unit_record,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._legacy_settings import (
    CONFIG,
    Settings,
    settings,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._releases import IMAGE_DATA_DIR, version_key
from ansible_collections.fleetops.gpustack.plugins.module_utils._supervisors import UnitCommand, supervisors

LEGACY = "legacy"
V2 = "v2"
UNKNOWN = "unknown"
ATTEMPT_LABEL = "fleetops.gpustack.attempt"
RELEASE_LABEL = "fleetops.gpustack.release"
TRIAL_LABEL = "fleetops.gpustack.trial"
#: Every container that gpustack-runtime starts for a model carries labels of this family.
SIBLING_LABEL_PREFIX = "runtime.gpustack.ai/"
VERSION_LABEL = "org.opencontainers.image.version"
#: What the entry points of v2's images are called (pack/Dockerfile): their arguments follow, without `gpustack start`.
V2_ENTRY_POINTS = ("entrypoint.sh", "init")
#: Variables that v2's images bring and no legacy image does.
V2_IMAGE_VARIABLE_PREFIX = "GPUSTACK_RUNTIME_"
#: Images of the same publisher that are no installation.
OTHER_IMAGES = ("runner", "runtime", "benchmark-runner")
RETIRED_NAME = re.compile(r"-(?:legacy|failed|rollout|wreck)-\d{8}T\d{6}Z$")
_RELEASE = re.compile(r"^v?(\d+\.\d+\.\d+)(?:[-+.].*)?$")
_ANONYMOUS_VOLUME = re.compile(r"^[0-9a-f]{64}$")


class Reference(NamedTuple):
    """An image reference, taken apart."""

    repository: str
    tag: str | None


@dataclass
class Installation:
    """One installation: evidence, and what must not become evidence."""

    facts: dict[str, Any]
    #: With secrets.
    settings: Settings
    container: Mapping[str, Any]
    #: With secrets; None without a configuration file, and when it could not be read.
    config_text: str | None


def find(
    containers: Iterable[Mapping[str, Any]],
    images: Mapping[str, Mapping[str, Any]],
    units: Sequence[UnitCommand],
    read_text: Callable[[str], str | None],
) -> list[Installation]:
    """All installations, running or not, ours included, by name.

    ``images`` are inspect records by image id. ``read_text`` reads a file of the host, None when it cannot.
    """
    everything = sorted(containers, key=container_name)
    return [
        installation(container, images.get(container.get("Image", ""), {}), everything, units, read_text)
        for container in everything
        if is_installation(container, images.get(container.get("Image", ""), {}))
    ]


def is_installation(container: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    """Whether a container is a GPUStack server or worker, and not a model's or a trial's."""
    labels = own_and_image_labels(container)
    if TRIAL_LABEL in labels or any(label.startswith(SIBLING_LABEL_PREFIX) for label in labels):
        return False
    if ATTEMPT_LABEL in labels:
        return True
    if legacy_arguments(container) is not None:
        return True
    return is_gpustack_image(container, image) and starts_v2(container)


def legacy_arguments(container: Mapping[str, Any]) -> list[str] | None:
    """What follows `gpustack start`; None when the container does not say that."""
    config = container["Config"]
    try:
        return _options.start_arguments(config.get("Entrypoint"), config.get("Cmd"))
    except _options.OptionsError:
        return None


def starts_v2(container: Mapping[str, Any]) -> bool:
    """Whether the entry point is one of v2's images'."""
    entry_point = container["Config"].get("Entrypoint") or []
    return bool(entry_point) and posixpath.basename(entry_point[0]) in V2_ENTRY_POINTS


def is_gpustack_image(container: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    """Whether the image's repository is GPUStack's, in any registry."""
    repositories = [reference.repository for reference in references(container, image)]
    return any("gpustack" in name and name.rsplit("/", 1)[-1] not in OTHER_IMAGES for name in repositories)


def references(container: Mapping[str, Any], image: Mapping[str, Any]) -> list[Reference]:
    """The names of a container's image: the one it was started by first, then the image's own."""
    names = [container["Config"].get("Image") or "", *(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
    return [parse_reference(name) for name in names if name and not name.startswith("sha256:")]


def parse_reference(name: str) -> Reference:
    """Repository and tag of an image reference; a registry's port is no tag."""
    name = name.split("@", 1)[0]
    path, separator, last = name.rpartition("/")
    repository, _colon, tag = last.partition(":")
    return Reference(path + separator + repository, tag or None)


def installation(
    container: Mapping[str, Any],
    image: Mapping[str, Any],
    everything: Sequence[Mapping[str, Any]],
    units: Sequence[UnitCommand],
    read_text: Callable[[str], str | None],
) -> Installation:
    """One container as an installation."""
    release, source = release_of(container, image)
    generation = generation_of(container, image, release)
    arguments = arguments_of(container)
    environment = variables(container["Config"].get("Env"))
    found = settings(arguments, environment, generation != V2)
    mounts = mounts_of(container)
    config_path, config_text = config_file(found, mounts, read_text)
    data_dir = data_directory(found.get("data_dir", IMAGE_DATA_DIR), mounts, writable_layer(container))
    facts = container_facts(container, image, arguments, environment, mounts)
    facts.update(
        generation=generation,
        release=release,
        release_source=source,
        role=role_of(found),
        retired=_is_retired(container),
        supervisors=supervisors(container, everything, units),
        data_dir=dict(data_dir, read_path=read_path(container, data_dir)),
        config_file=config_path and _config_file.evidence(config_path, config_text),
        options_problem=options_problem(found, config_path, config_text),
        server=server_facts(found, generation) if role_of(found) in ("server", "both") else None,
    )
    return Installation(facts, found, container, config_text)


def _is_retired(container: Mapping[str, Any]) -> bool:
    """Whether it was set aside: a container has a name for that, of a unit the journal says it."""
    unit = container.get(_unit_record.KEY)
    return bool(unit.get("retired")) if unit else bool(RETIRED_NAME.search(container_name(container)))


def container_name(container: Mapping[str, Any]) -> str:
    """The name without the engine's leading slash."""
    return str(container.get("Name", "")).lstrip("/")


def container_facts(
    container: Mapping[str, Any],
    image: Mapping[str, Any],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    mounts: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """How the container was made, secrets masked, what the image brings left out."""
    config, host = container["Config"], container["HostConfig"]
    image_config = image.get("Config") or {}
    labels = config.get("Labels") or {}
    return {
        "kind": _unit_record.kind(container),
        "id": container["Id"],
        "name": container_name(container),
        "image": config.get("Image"),
        "image_id": container.get("Image"),
        "created": container.get("Created"),
        "running": bool(container["State"].get("Running")),
        "status": container["State"].get("Status"),
        "attempt": labels.get(ATTEMPT_LABEL),
        "auto_remove": bool(host.get("AutoRemove")),
        "restart_policy": host.get("RestartPolicy") or {"Name": "no", "MaximumRetryCount": 0},
        "network_mode": host.get("NetworkMode"),
        "published_ports": published_ports(container),
        "args": _masking.mask_argv(arguments),
        "environment": _masking.mask_env(added(environment, variables(image_config.get("Env")))),
        "mounts": list(mounts),
        "labels": _masking.mask_env(added(labels, image_config.get("Labels") or {})),
        "privileged": bool(host.get("Privileged")),
        "runtime": host.get("Runtime"),
        "ipc_mode": host.get("IpcMode"),
        "pid_mode": host.get("PidMode"),
        "devices": host.get("Devices") or [],
        "device_requests": host.get("DeviceRequests") or [],
        "shm_size": host.get("ShmSize"),
        "hostname": config.get("Hostname"),
        "user": added({"user": config.get("User") or ""}, {"user": image_config.get("User") or ""}).get("user"),
        "host_config": host_settings(host),
    }


def host_settings(host: Mapping[str, Any]) -> dict[str, Any]:
    """The host part of a container's definition in the engine's own names, without what is not set.

    Mounts are told elsewhere, and the options of their drivers can hold passwords, as those of the log driver can.
    """
    found = {name: value for name, value in host.items() if value and name not in ("Binds", "Mounts")}
    log = found.get("LogConfig")
    if log:
        found["LogConfig"] = dict(log, Config=_masking.mask_env(log.get("Config") or {}))
    return found


def variables(entries: Iterable[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` entries as a mapping."""
    return {name: value for name, _equals, value in (entry.partition("=") for entry in entries or [])}


def added(own: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Entries that are not the image's, or not with the image's value."""
    return {name: value for name, value in own.items() if inherited.get(name) != value}


def own_and_image_labels(container: Mapping[str, Any]) -> Mapping[str, str]:
    """Labels as the engine shows them: the container's over the image's."""
    return container["Config"].get("Labels") or {}


def published_ports(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ports of the container that the host forwards."""
    bindings = container["HostConfig"].get("PortBindings") or {}
    if container["HostConfig"].get("PublishAllPorts"):
        bindings = (container.get("NetworkSettings") or {}).get("Ports") or {}
    return [
        {"container": port, "host_ip": binding.get("HostIp", ""), "host_port": int(binding["HostPort"])}
        for port, entries in sorted(bindings.items())
        for binding in entries or []
        if str(binding.get("HostPort", "")).isdigit()
    ]


def release_of(container: Mapping[str, Any], image: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The release and where it is written: our own label, the tag, the image's label."""
    if _unit_record.KEY in container:
        found = container[_unit_record.KEY]["release"]
        return found, "package" if found else None
    labels = own_and_image_labels(container)
    candidates = [(labels.get(RELEASE_LABEL), "label")]
    candidates += [(reference.tag, "tag") for reference in references(container, image)]
    candidates.append((labels.get(VERSION_LABEL), "label"))
    for text, source in candidates:
        match = _RELEASE.match(text or "")
        if match:
            return match.group(1), source
    return None, None


def generation_of(container: Mapping[str, Any], image: Mapping[str, Any], release: str | None) -> str:
    """Legacy or v2: by the release, else by what only v2's images have, else by the entry point."""
    if release:
        return V2 if version_key(release)[0] >= 2 else LEGACY
    image_variables = variables((image.get("Config") or container["Config"]).get("Env"))
    if starts_v2(container) or any(name.startswith(V2_IMAGE_VARIABLE_PREFIX) for name in image_variables):
        return V2
    return LEGACY if legacy_arguments(container) is not None else UNKNOWN


def arguments_of(container: Mapping[str, Any]) -> list[str]:
    """The arguments of `gpustack start`, with or without these words in front."""
    legacy = legacy_arguments(container)
    return list(container["Config"].get("Cmd") or []) if legacy is None else legacy


def role_of(found: Settings) -> str:
    """A server URL makes a worker; a server has an embedded worker unless that is switched off."""
    if found.get("server_url"):
        return "worker"
    return "server" if found.is_on("disable_worker") else "both"


def mounts_of(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The container's mounts in the evidence's form."""
    return [
        {
            "type": mount.get("Type"),
            "source": mount.get("Source") or None,
            "destination": mount.get("Destination"),
            "name": mount.get("Name"),
            "rw": bool(mount.get("RW")),
        }
        for mount in sorted(container.get("Mounts") or [], key=lambda each: str(each.get("Destination")))
    ]


def mount_below(path: str, mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The deepest mount that a path of the container lies on."""
    found = [
        mount
        for mount in mounts
        if path == mount["destination"] or path.startswith(mount["destination"].rstrip("/") + "/")
    ]
    return max(found, key=lambda mount: len(mount["destination"]), default=None)


def host_path(path: str, mounts: Sequence[Mapping[str, Any]]) -> str | None:
    """Where a path of the container lies on the host; None when it is in no mount with a directory on the host."""
    path = posixpath.normpath(path)
    mount = mount_below(path, mounts)
    if mount is None or not mount["source"] or mount["type"] not in ("bind", "volume"):
        return None
    return posixpath.normpath(posixpath.join(mount["source"], posixpath.relpath(path, mount["destination"])))


def writable_layer(container: Mapping[str, Any]) -> str | None:
    """Where the engine keeps on the host what a container wrote outside its mounts; None where it does not say."""
    return ((container.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or None


def inside(container: Mapping[str, Any], path: str) -> str:
    """A path of a running container as the container itself sees it: only there its locks on files are seen.

    The engine's mount of it comes first: SQLite resolves links by itself, and takes /proc/<pid>/root for the host's own
    root.
    """
    merged = ((container.get("GraphDriver") or {}).get("Data") or {}).get("MergedDir")
    return (merged or "/proc/{}/root".format(container["State"]["Pid"])) + path


def read_path(container: Mapping[str, Any], data_dir: Mapping[str, Any]) -> str | None:
    """Where on the host to read a data directory now: where locks are seen, also of data in the container's layer."""
    if data_dir["type"] == "layer" and data_dir["host_path"] and container["State"].get("Running"):
        return inside(container, data_dir["container_path"])
    path: str | None = data_dir["host_path"]
    return path


def data_directory(path: str, mounts: Sequence[Mapping[str, Any]], layer: str | None = None) -> dict[str, Any]:
    """The data directory in the container and on the host."""
    path = posixpath.normpath(path)
    mount = mount_below(path, mounts)
    on_host = host_path(path, mounts)
    kind, volume = "layer", None
    if mount is None and layer is not None:
        on_host = layer + path
    elif mount is not None and on_host is not None:
        kind = mount["type"]
        if kind == "volume":
            volume = mount["name"]
            kind = "anonymous" if _ANONYMOUS_VOLUME.match(volume or "") else "volume"
    return {"type": kind, "host_path": on_host, "container_path": path, "volume": volume}


def config_file(
    found: Settings, mounts: Sequence[Mapping[str, Any]], read_text: Callable[[str], str | None]
) -> tuple[str | None, str | None]:
    """Path and text of the configuration file; its values go into the settings."""
    path = found.get("config_file")
    if not path:
        return None, None
    on_host = host_path(path, mounts)
    text = read_text(on_host) if on_host else None
    if text is not None:
        found.add(_config_file.read(text).values, CONFIG)
    return path, text


def options_problem(found: Settings, config_path: str | None, config_text: str | None) -> str | None:
    """Why the settings are not known in full."""
    if found.problem is None and config_path and config_text is None:
        return f"the configuration file {config_path} is in no mount of the container, or cannot be read"
    return found.problem


def server_facts(found: Settings, generation: str) -> dict[str, Any]:
    """Where a server listens and where its database is."""
    tls = bool(found.get("ssl_certfile") and found.get("ssl_keyfile"))
    return {
        "port": found.number("port", 443 if tls and generation != V2 else 80),
        "api_port": found.number("api_port", 0) or None,
        "tls": tls,
        "database": database_facts(found.get("database_url"), generation),
    }


def database_facts(url: str | None, generation: str) -> dict[str, Any]:
    """Which kind of database; the path of SQLite's file when it is not the data directory's."""
    facts = {"kind": "external", "url_masked": None, "path": None, "fingerprint": None}
    if not url:
        return dict(facts, kind="embedded" if generation == V2 else "sqlite")
    if url.startswith("sqlite:"):
        return dict(facts, kind="sqlite", path=url.split("://", 1)[-1][1:])
    return dict(facts, url_masked=_masking.mask_url(url), fingerprint=_fingerprint(url))


def _fingerprint(url: str) -> str | None:
    try:
        return _database_url.parse(url).fingerprint
    except _database_url.DatabaseUrlError:
        return None
