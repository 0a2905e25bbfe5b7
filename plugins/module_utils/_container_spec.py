# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The v2 container's specification from the legacy container's inspect, and the difference of two of them. Pure."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _config_file, _masking, _options, _releases

LABEL_PREFIX = "fleetops.gpustack."
ATTEMPT_LABEL = LABEL_PREFIX + "attempt"
RELEASE_LABEL = LABEL_PREFIX + "release"
LEGACY_LABEL = LABEL_PREFIX + "legacy"

DOCKER_SOCKET = "/var/run/docker.sock"

# The container writes and serves many files at once; the image asks for this much (pack/entrypoint.sh).
_OPEN_FILES = 65535
_DEFAULT_SHM_SIZE = 64 * 1024 * 1024

WATCHTOWER_EXCLUDES = "com.centurylinklabs.watchtower.enable"
# Labels that a supervisor finds its containers by: with them on it would take the new container for its own.
_SUPERVISOR_LABELS = ("com.docker.compose.", "com.docker.swarm.", "com.docker.stack.", "com.centurylinklabs.watchtower")

# Variables that describe the inside of the old image. A user's value for one of them fits that image alone.
_IMAGE_VARIABLES = frozenset(
    (
        "PATH",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "PIPX_HOME",
        "PIPX_LOCAL_VENVS",
        "PIPX_BIN_DIR",
    )
)

# Places of the host that a legacy container only mounts to reach devices, drivers or Docker; v2's flags say what it
# needs of them.
_SYSTEM_MOUNTS = ("/dev", "/sys", "/proc", "/lib/modules", "/run/docker.sock", DOCKER_SOCKET)

# HostConfig settings that are not carried over, with the value that means "not set". Name -> (neutral values, reason).
_LIMITS = "it would limit GPUStack itself but not the models, which v2 runs in containers of their own"
_NOT_CARRIED: dict[str, str] = {
    "Memory": _LIMITS,
    "MemorySwap": _LIMITS,
    "MemoryReservation": _LIMITS,
    "NanoCpus": _LIMITS,
    "CpuShares": _LIMITS,
    "CpuQuota": _LIMITS,
    "CpusetCpus": _LIMITS,
    "CpusetMems": _LIMITS,
    "BlkioWeight": _LIMITS,
    "PidsLimit": _LIMITS,
    "OomScoreAdj": _LIMITS,
    "CgroupParent": _LIMITS,
    "Sysctls": "v2's command sets none",
    "Links": "v2 needs no links",
    "VolumesFrom": "its mounts are carried over one by one",
    "Tmpfs": "v2's image needs none",
    "ReadonlyRootfs": "v2 writes into its root file system",
    "UTSMode": "v2's command does not set it",
    "UsernsMode": "v2's command does not set it",
    "CapDrop": "v2's command drops none",
    "Init": "v2's image has an init of its own",
}
# HostConfig settings that only the vendor file decides, by their name in a specification.
_FROM_VENDOR = {
    "Privileged": "privileged",
    "Runtime": "runtime",
    "IpcMode": "ipc_mode",
    "PidMode": "pid_mode",
    "Devices": "devices",
    "CapAdd": "cap_add",
    "SecurityOpt": "security_opt",
    "GroupAdd": "group_add",
    "DeviceCgroupRules": "device_cgroup_rules",
    "DeviceRequests": "device_requests",
}


# A mount's keys: the engine's -> the evidence's.
_MOUNT_KEYS = {"Type": "type", "Source": "source", "Destination": "destination", "Name": "name", "RW": "rw"}


class SpecError(ValueError):
    """A legacy container that cannot be turned into a v2 one; the message says the way out."""


class Built(NamedTuple):
    """The specification of a v2 container, what became of the rest, and what stands in the way.

    `config_edits` and `config`: how a copy of the configuration file is made, and what the container reads from the
    file (`_options.Translation`).
    """

    spec: dict[str, Any]
    leftovers: list[dict[str, Any]]
    problems: list[dict[str, str]]
    config_edits: dict[str, str | None]
    config: dict[str, Any]

    @classmethod
    def nothing(cls, *problems: dict[str, str]) -> Built:
        """No specification, and why."""
        return cls({}, [], list(problems), {}, {})


def build(
    legacy: Mapping[str, Any],
    image_config: Mapping[str, Any],
    release: _releases.Release,
    role: str,
    gpu_flags: Mapping[str, Any] | None,
    settings: Mapping[str, Any],
) -> Built:
    """
    The v2 container for a legacy one.

    `legacy` and `image_config` are what `docker inspect` says of the legacy container and of its image; `gpu_flags`
    what `_vendors.judge` or `flags_for` says. `settings`: `image` (required), `container_name`, `network`,
    `gpu_devices`, `extra_args`, `extra_env`, `extra_volumes`, `rollout_env`, `migrate` (whether the migration trigger
    is set), `attempt`, `restart_policy`, `host_hostname` (tells a hostname of the user's from the host's),
    `config_file` (the evidence of it), `data_dir` (the data directory inside the container, where a translated copy of
    that file will lie), `watchtower` (whether one would replace the container), `legacy_release` (when it is known).
    """
    flags = dict(gpu_flags or {}) if role in ("worker", "both") else {}
    own = _own_environment(legacy, image_config)
    arguments = _options.start_arguments(_config(legacy).get("Entrypoint"), _config(legacy).get("Cmd"))
    config = _config_file.from_evidence(settings.get("config_file"))
    copy = "{}/{}".format(settings.get("data_dir") or _releases.IMAGE_DATA_DIR, _config_file.COPY_NAME)
    translated = _options.translate(arguments, own, release, role, config, copy, settings.get("legacy_release"))
    leftovers = list(translated.leftovers)

    spec = _empty()
    spec["name"] = settings.get("container_name") or _name(legacy)
    spec["image"] = settings["image"]
    _set_command(spec, translated.arguments, settings)
    _set_network(spec, legacy, release, role, settings, leftovers)
    _set_plain(spec, legacy, settings, leftovers)
    _set_mounts(spec, legacy, release, role, flags, settings, leftovers)
    _set_flags(spec, legacy, release, role, flags, leftovers)
    _set_environment(spec, translated.environment, release, role, flags, settings, leftovers)
    _set_labels(spec, legacy, image_config, release, settings, leftovers)
    leftovers += _not_carried(legacy)
    listeners = listeners_of(spec, release, role, translated.config)
    leftovers += _new_listeners(spec, listeners)
    problems = translated.problems + _port_conflicts(listeners)
    return Built(spec, leftovers, problems, translated.config_edits, translated.config)


def preview(
    installation: Mapping[str, Any],
    release: _releases.Release,
    gpu_flags: Mapping[str, Any] | None,
    settings: Mapping[str, Any],
) -> Built:
    """
    The same from an installation of node_info's evidence, for the plan: what the target will decide later.

    The evidence is masked, so the specification is only to be looked at. What it leaves out (limits, capabilities,
    security options, DNS) is missing among the leftovers.
    """
    return build(_as_inspect(installation), {}, release, str(installation["role"]), gpu_flags, settings)


def _as_inspect(installation: Mapping[str, Any]) -> dict[str, Any]:
    mounts = [{name: mount.get(key) for name, key in _MOUNT_KEYS.items()} for mount in installation["mounts"]]
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in installation["published_ports"]:
        binding = {"HostIp": port["host_ip"], "HostPort": str(port["host_port"])}
        bindings.setdefault(port["container"], []).append(binding)
    return {
        "Id": installation["id"],
        "Name": "/" + installation["name"],
        "Config": {
            "Image": installation["image"],
            "Entrypoint": ["gpustack", "start"],
            "Cmd": installation["args"],
            "Env": [f"{name}={value}" for name, value in installation["environment"].items()],
            "Labels": installation["labels"],
        },
        "HostConfig": {
            "NetworkMode": installation["network_mode"],
            "PortBindings": bindings,
            "RestartPolicy": installation["restart_policy"],
            "Privileged": installation["privileged"],
            "Runtime": installation["runtime"],
            "IpcMode": installation["ipc_mode"],
            "PidMode": installation["pid_mode"],
            "Devices": installation["devices"],
            "DeviceRequests": installation["device_requests"],
            "ShmSize": installation["shm_size"],
        },
        "Mounts": mounts,
    }


def from_inspect(inspect: Mapping[str, Any], image_config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A container that exists, in the form of a specification; the image's own variables and labels are left out."""
    host = _host(inspect)
    spec = _empty()
    spec.update(
        name=_name(inspect),
        image=_config(inspect).get("Image"),
        command=list(_config(inspect).get("Cmd") or []),
        environment=_own_environment(inspect, image_config or {}),
        mounts=sorted((_mount(mount) for mount in inspect.get("Mounts") or []), key=_mount_key),
        labels=_own_labels(inspect, image_config or {}),
        network_mode=_network_mode(host),
        networks=_networks(inspect, _network_mode(host)),
        ports=_ports(inspect),
        privileged=bool(host.get("Privileged")),
        runtime=_runtime(host),
        ipc_mode=_shared_mode(host.get("IpcMode")),
        pid_mode=host.get("PidMode") or None,
        cap_add=sorted(host.get("CapAdd") or []),
        security_opt=_security_opt(host),
        group_add=sorted(host.get("GroupAdd") or []),
        devices=sorted(_device(device) for device in host.get("Devices") or []),
        device_requests=list(host.get("DeviceRequests") or []),
        restart_policy=_restart_policy(host),
    )
    _copy_plain(spec, inspect)
    _set_hostname(spec, inspect, None)
    return spec


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What two specifications do not share, masked, for --diff."""
    changed = [key for key in sorted(set(before) | set(after)) if before.get(key) != after.get(key)]
    return {
        side: {key: masked(spec).get(key) for key in changed} for side, spec in (("before", before), ("after", after))
    }


def masked(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A specification without secrets."""
    clean = dict(spec)
    clean["command"] = _masking.mask_argv(spec.get("command") or [])
    clean["environment"] = _masking.mask_env(spec.get("environment") or {})
    clean["labels"] = _masking.mask_env(spec.get("labels") or {})
    log_config = spec.get("log_config") or {}
    if log_config:
        clean["log_config"] = dict(log_config, config=_masking.mask_env(log_config.get("config") or {}))
    return clean


def secrets_of(spec: Mapping[str, Any]) -> list[str]:
    """The secret values in a specification, so that texts can be cleared of them."""
    named = [spec.get("environment"), spec.get("labels"), (spec.get("log_config") or {}).get("config")]
    found = _masking.secret_values(spec.get("command") or ())
    for values in named:
        found += _masking.secret_values((), values or {})
    return found


def rollout_variables() -> tuple[str, ...]:
    """Every variable that a roll-out sets, whatever the release."""
    return (*_options.ROLLOUT_VARIABLES, _releases.GRACE_PERIOD_VARIABLE)


def with_restart_policy(spec: Mapping[str, Any], name: str, maximum: int = 0) -> dict[str, Any]:
    """The same specification under another restart policy; the first start has "no"."""
    return dict(spec, restart_policy={"Name": name, "MaximumRetryCount": maximum})


def create_body(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the engine's "create a container" call; the name goes beside it."""
    host: dict[str, Any] = {
        "Mounts": [_api_mount(mount) for mount in spec["mounts"] if not mount["selinux"]],
        "Binds": [_api_bind(mount) for mount in spec["mounts"] if mount["selinux"]],
        "NetworkMode": spec["network_mode"],
        "PortBindings": _port_bindings(spec["ports"]),
        "RestartPolicy": spec["restart_policy"],
        "Privileged": spec["privileged"],
        "Ulimits": [{"Name": limit["name"], "Soft": limit["soft"], "Hard": limit["hard"]} for limit in spec["ulimits"]],
        "LogConfig": {"Type": spec["log_config"]["type"], "Config": spec["log_config"]["config"]}
        if spec["log_config"]
        else {},
        "ExtraHosts": spec["extra_hosts"],
        "Dns": spec["dns"],
        "DnsSearch": spec["dns_search"],
        "DnsOptions": spec["dns_options"],
        "CapAdd": spec["cap_add"],
        "SecurityOpt": spec["security_opt"],
        "GroupAdd": spec["group_add"],
        "Devices": [_api_device(device) for device in spec["devices"]],
    }
    optional = {"Runtime": "runtime", "IpcMode": "ipc_mode", "PidMode": "pid_mode", "ShmSize": "shm_size"}
    host.update({key: spec[name] for key, name in optional.items() if spec[name]})
    body: dict[str, Any] = {
        "Image": spec["image"],
        "Cmd": spec["command"],
        "Env": ["{}={}".format(*pair) for pair in sorted(spec["environment"].items())],
        "Labels": spec["labels"],
        "ExposedPorts": {port["container"]: {} for port in spec["ports"]},
        "HostConfig": host,
    }
    body.update(
        {key: spec[name] for key, name in (("Hostname", "hostname"), ("Domainname", "domainname")) if spec[name]}
    )
    if spec["networks"]:
        body["NetworkingConfig"] = {
            "EndpointsConfig": {name: _api_endpoint(data) for name, data in spec["networks"].items()}
        }
    return body


def _empty() -> dict[str, Any]:
    return {
        "name": None,
        "image": None,
        "command": [],
        "environment": {},
        "mounts": [],
        "labels": {},
        "network_mode": "bridge",
        "networks": {},
        "ports": [],
        "extra_hosts": [],
        "dns": [],
        "dns_search": [],
        "dns_options": [],
        "log_config": {},
        "ulimits": [],
        "hostname": None,
        "domainname": None,
        "privileged": False,
        "runtime": None,
        "ipc_mode": None,
        "pid_mode": None,
        "cap_add": [],
        "security_opt": [],
        "group_add": [],
        "devices": [],
        "device_requests": [],
        "shm_size": None,
        "restart_policy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
    }


def _config(inspect: Mapping[str, Any]) -> Mapping[str, Any]:
    return inspect.get("Config") or {}


def _host(inspect: Mapping[str, Any]) -> Mapping[str, Any]:
    return inspect.get("HostConfig") or {}


def _name(inspect: Mapping[str, Any]) -> str:
    return str(inspect.get("Name") or "").lstrip("/")


def _leftover(item: str, value: Any, action: str, reason: str, loss: str | None = None) -> dict[str, Any]:
    return {"item": item, "value": value, "action": action, "reason": reason, "loss": loss}


# --- command and environment ----------------------------------------------------------------------


def _set_command(spec: dict[str, Any], arguments: Sequence[str], settings: Mapping[str, Any]) -> None:
    extra = [str(argument) for argument in settings.get("extra_args") or []]
    _options.check_extra_arguments(extra)
    spec["command"] = list(arguments) + extra


def _environment(inspect: Mapping[str, Any]) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in _config(inspect).get("Env") or [])
    return {name: value for name, joined, value in pairs if joined}


def _own_environment(inspect: Mapping[str, Any], image_config: Mapping[str, Any]) -> dict[str, str]:
    """A container's variables minus the image's own; one that the user changed is the user's."""
    image = _environment(image_config)
    return {name: value for name, value in _environment(inspect).items() if image.get(name) != value}


def _set_environment(
    spec: dict[str, Any],
    translated: Mapping[str, str],
    release: _releases.Release,
    role: str,
    flags: Mapping[str, Any],
    settings: Mapping[str, Any],
    leftovers: list[dict[str, Any]],
) -> None:
    from_vendor = set(flags.get("legacy_environment") or ()) | set(flags.get("environment") or {})
    environment: dict[str, str] = {}
    for name, value in translated.items():
        if name in _IMAGE_VARIABLES:
            leftovers.append(_leftover(name, value, "dropped", "it describes the inside of the old image"))
        elif name in from_vendor:
            leftovers.append(
                _leftover(name, _masking.mask_value(name, value), "vendor", "the GPU vendor's file decides it")
            )
        else:
            environment[name] = value
    environment.update(flags.get("environment") or {})
    environment.update(_chosen_devices(flags, settings))
    if release.mirrors_own_container(role):
        environment[_releases.MIRRORED_NAME_VARIABLE] = spec["name"]
    environment.update(settings.get("rollout_env") or {})
    if settings.get("migrate"):
        environment.update(release.migration_environment(_data_dir(spec, environment)))
    environment.update({name: str(value) for name, value in (settings.get("extra_env") or {}).items()})
    spec["environment"] = environment


def _data_dir(spec: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    return str(_options.values_of(spec["command"], environment).get("data_dir") or _releases.IMAGE_DATA_DIR)


def _chosen_devices(flags: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """The operator's own choice of devices; the legacy container's is in the flags already (`_vendors.judge`)."""
    variable, chosen = flags.get("devices_variable"), settings.get("gpu_devices")
    if not variable or chosen in (None, "", [], "all"):
        return {}
    return {variable: ",".join(str(device) for device in chosen) if isinstance(chosen, (list, tuple)) else str(chosen)}


# --- labels ---------------------------------------------------------------------------------------


def _own_labels(inspect: Mapping[str, Any], image_config: Mapping[str, Any]) -> dict[str, str]:
    image = _config(image_config).get("Labels") or {}
    return {name: value for name, value in (_config(inspect).get("Labels") or {}).items() if image.get(name) != value}


def _set_labels(
    spec: dict[str, Any],
    legacy: Mapping[str, Any],
    image_config: Mapping[str, Any],
    release: _releases.Release,
    settings: Mapping[str, Any],
    leftovers: list[dict[str, Any]],
) -> None:
    own = _own_labels(legacy, image_config)
    spec["labels"] = {
        name: value for name, value in own.items() if not name.startswith((*_SUPERVISOR_LABELS, LABEL_PREFIX))
    }
    spec["labels"][RELEASE_LABEL] = release.version
    spec["labels"][LEGACY_LABEL] = str(legacy.get("Id") or "")
    if settings.get("watchtower"):
        spec["labels"][WATCHTOWER_EXCLUDES] = "false"
        reason = "Watchtower would replace the container by whatever image bears its tag next"
        leftovers.append(_leftover("label " + WATCHTOWER_EXCLUDES, "false", "added", reason))
    if settings.get("attempt"):
        spec["labels"][ATTEMPT_LABEL] = str(settings["attempt"])


# --- network --------------------------------------------------------------------------------------


def _network_mode(host: Mapping[str, Any]) -> str:
    mode = str(host.get("NetworkMode") or "bridge")
    return "bridge" if mode == "default" else mode


def network_for(legacy_mode: str, release: _releases.Release, role: str, choice: str | None = None) -> str:
    """The operator's choice; the host's network where the release documents nothing else; else the legacy one."""
    if choice:
        return choice
    return "host" if release.mirrors_own_container(role) else legacy_mode


def _set_network(
    spec: dict[str, Any],
    legacy: Mapping[str, Any],
    release: _releases.Release,
    role: str,
    settings: Mapping[str, Any],
    leftovers: list[dict[str, Any]],
) -> None:
    before = _network_mode(_host(legacy))
    if before.startswith("container:"):
        raise SpecError(
            f"container {_name(legacy)} uses the network of another container ({before}), which is not carried over;"
            " recreate it with a network of its own"
        )
    mode = network_for(before, release, role, settings.get("network"))
    spec["network_mode"] = mode
    if mode != before:
        leftovers.append(_leftover("network", before, "dropped", f"the v2 container uses {mode}"))
    if mode == "host":
        _report_unpublished(legacy, leftovers)
        return
    spec["ports"] = _ports(legacy)
    spec["networks"] = _networks(legacy, mode)
    attached = (legacy.get("NetworkSettings") or {}).get("Networks") or {}
    for name in sorted(set(attached) - {mode}):
        reason = "attach it afterwards: docker network connect {} {}".format(name, spec["name"])
        leftovers.append(_leftover("network", name, "dropped", reason))


def _report_unpublished(legacy: Mapping[str, Any], leftovers: list[dict[str, Any]]) -> None:
    """On the host's network nothing is published: a port that was mapped to another number must be moved."""
    for port in _ports(legacy):
        inside = port["container"].split("/", 1)[0]
        value = "{} -> {}".format(port["host_port"] or "a free port", port["container"])
        if port["host_port"] in (inside, ""):
            leftovers.append(_leftover("published port", value, "dropped", "the container uses the host's network"))
            continue
        raise SpecError(
            "container {} publishes port {} as {}, but the v2 container uses the host's network; recreate the legacy"
            " container with the port itself (--port or --worker-port {})".format(
                _name(legacy), inside, port["host_port"], port["host_port"]
            )
        )


def _ports(inspect: Mapping[str, Any]) -> list[dict[str, str]]:
    host = _host(inspect)
    if _network_mode(host) == "host":
        return []
    bindings = host.get("PortBindings") or {}
    if host.get("PublishAllPorts"):
        # The engine chose the numbers; users call them, so they stay.
        bindings = (inspect.get("NetworkSettings") or {}).get("Ports") or {}
    found = [
        {"container": container, "host_ip": binding.get("HostIp") or "", "host_port": binding.get("HostPort") or ""}
        for container, listed in bindings.items()
        for binding in listed or []
    ]
    return sorted(found, key=lambda port: (port["container"], port["host_ip"], port["host_port"]))


def _networks(inspect: Mapping[str, Any], mode: str) -> dict[str, dict[str, Any]]:
    """What the user said about a network of the user's own: aliases and fixed addresses."""
    endpoint = ((inspect.get("NetworkSettings") or {}).get("Networks") or {}).get(mode)
    if mode in ("host", "bridge", "none") or not endpoint:
        return {}
    generated = str(inspect.get("Id") or "")[:12]
    aliases = sorted(alias for alias in endpoint.get("Aliases") or [] if alias != generated)
    fixed = endpoint.get("IPAMConfig") or {}
    return {
        mode: {"aliases": aliases, "ipv4_address": fixed.get("IPv4Address"), "ipv6_address": fixed.get("IPv6Address")}
    }


def _port_conflicts(listeners: Sequence[_releases.Listener]) -> list[dict[str, str]]:
    """Two listeners of the container on one port, for example a legacy --port 8080 and the API port of 2.0.0."""
    by_port: dict[int, list[_releases.Listener]] = {}
    for listener in listeners:
        by_port.setdefault(listener.port, []).append(listener)
    return [
        {
            "code": "port_conflict",
            "cause": f"port {port} would serve {' and '.join(listener.service for listener in sharing)}",
            "way_out": "move one of them with {} in gpustack_extra_args".format(
                " or ".join(listener.option for listener in sharing if listener.option)
            ),
        }
        for port, sharing in sorted(by_port.items())
        if len({listener.service for listener in sharing}) > 1
    ]


def listeners_of(
    spec: Mapping[str, Any], release: _releases.Release, role: str, config: Mapping[str, Any]
) -> list[_releases.Listener]:
    """The ports that a specification's container listens on; `config` is what its configuration file says."""
    values = {**config, **_options.values_of(spec["command"], spec["environment"])}
    return _releases.listeners(release, role, values)


def _new_listeners(spec: Mapping[str, Any], listeners: Sequence[_releases.Listener]) -> list[dict[str, Any]]:
    if spec["network_mode"] == "host":
        return []
    published = {port["container"] for port in spec["ports"]}
    return [
        _leftover(
            "port",
            f"{listener.port}/tcp",
            "added",
            f"{listener.service}, not published by the legacy container; publish it if it is wanted",
        )
        for listener in listeners
        if listener.option in ("--metrics-port", "--tls-port") and f"{listener.port}/tcp" not in published
    ]


# --- mounts ---------------------------------------------------------------------------------------


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    kind = mount.get("Type") or "bind"
    return {
        "type": kind,
        "source": mount.get("Name") if kind == "volume" else mount.get("Source"),
        "target": mount.get("Destination"),
        "read_only": mount.get("RW") is False,
        "propagation": (mount.get("Propagation") or None) if kind == "bind" else None,
        "selinux": _relabelled(str(mount.get("Mode") or "").split(",")) if kind == "bind" else None,
    }


def _relabelled(options: Sequence[str]) -> str | None:
    """Whether the engine relabels a directory; it notes "z" at every volume by itself, which says nothing."""
    return next((option for option in options if option in ("z", "Z")), None)


def _mount_key(mount: Mapping[str, Any]) -> str:
    return str(mount["target"])


def parse_volume(text: str) -> dict[str, Any]:
    """`source:target[:options]` as in docker run -v; a source that is no path names a volume."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(parts) or not parts[1].startswith("/"):
        raise SpecError(f"'{text}' is no volume; write source:/target or source:/target:ro")
    options = parts[2].split(",") if len(parts) == 3 else []
    propagation = next((option for option in options if re.fullmatch(r"r?(private|shared|slave)", option)), None)
    unknown = [option for option in options if option not in ("ro", "rw", "z", "Z", propagation)]
    if unknown:
        raise SpecError(f"'{text}' has the unknown option {unknown[0]}; write ro, rw, z, Z or a propagation")
    bind = parts[0].startswith("/")
    return {
        "type": "bind" if bind else "volume",
        "source": parts[0],
        "target": parts[1].rstrip("/") or "/",
        "read_only": "ro" in options,
        "propagation": (propagation or "rprivate") if bind else None,
        "selinux": _relabelled(options) if bind else None,
    }


def _set_mounts(
    spec: dict[str, Any],
    legacy: Mapping[str, Any],
    release: _releases.Release,
    role: str,
    flags: Mapping[str, Any],
    settings: Mapping[str, Any],
    leftovers: list[dict[str, Any]],
) -> None:
    from_vendor = [parse_volume(volume) for volume in flags.get("volumes") or []]
    places = (
        [str(place) for place in flags.get("legacy_mounts") or []]
        + list(_SYSTEM_MOUNTS)
        + [mount["target"] for mount in from_vendor]
    )
    mounts: dict[str, dict[str, Any]] = {}
    for mount in (_mount(found) for found in legacy.get("Mounts") or []):
        if _is_below(mount["target"], places):
            leftovers.append(
                _leftover(
                    "mount",
                    "{}:{}".format(mount["source"], mount["target"]),
                    "vendor",
                    "the GPU vendor's file and the release decide it",
                )
            )
        elif mount["type"] not in ("bind", "volume"):
            leftovers.append(
                _leftover(
                    "mount",
                    mount["target"],
                    "dropped",
                    "a mount of type {} holds nothing to carry over".format(mount["type"]),
                )
            )
        else:
            mounts[mount["target"]] = mount
    added = list(from_vendor)
    if release.mirrors_own_container(role):
        added.append(parse_volume(f"{DOCKER_SOCKET}:{DOCKER_SOCKET}"))
    added += [parse_volume(str(volume)) for volume in settings.get("extra_volumes") or []]
    mounts.update({mount["target"]: mount for mount in added})
    spec["mounts"] = sorted(mounts.values(), key=_mount_key)


def _is_below(target: str, places: Iterable[str]) -> bool:
    return any(target == place or target.startswith(place.rstrip("/") + "/") for place in places)


def _api_mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Type": mount["type"],
        "Source": mount["source"],
        "Target": mount["target"],
        "ReadOnly": mount["read_only"],
    }
    if mount["type"] == "bind":
        body["BindOptions"] = {"Propagation": mount["propagation"] or "rprivate"}
    return body


def _api_bind(mount: Mapping[str, Any]) -> str:
    """The older form, which alone can have the engine relabel a directory for SELinux."""
    options = ["ro" if mount["read_only"] else "rw", mount["selinux"], mount["propagation"]]
    return "{}:{}:{}".format(mount["source"], mount["target"], ",".join(option for option in options if option))


# --- vendor's flags -------------------------------------------------------------------------------


def _set_flags(
    spec: dict[str, Any],
    legacy: Mapping[str, Any],
    release: _releases.Release,
    role: str,
    flags: Mapping[str, Any],
    leftovers: list[dict[str, Any]],
) -> None:
    spec["privileged"] = (
        release.mirrors_own_container(role) if flags.get("privileged") is None else bool(flags["privileged"])
    )
    spec["runtime"] = flags.get("runtime")
    spec["ipc_mode"] = flags.get("ipc_mode")
    spec["pid_mode"] = flags.get("pid_mode")
    spec["cap_add"] = sorted(flags.get("capabilities") or [])
    spec["security_opt"] = sorted(flags.get("security_opt") or [])
    spec["group_add"] = sorted(str(group) for group in flags.get("group_add") or [])
    spec["devices"] = sorted(str(device) for device in flags.get("devices") or [])
    existing = from_inspect(legacy)
    for name in sorted(set(_FROM_VENDOR.values())):
        before = existing.get(name)
        if before and before != spec.get(name):
            leftovers.append(_leftover(name, before, "vendor", "the GPU vendor's file and the release decide it"))


def _runtime(host: Mapping[str, Any]) -> str | None:
    runtime = host.get("Runtime")
    return None if runtime in (None, "", "runc") else str(runtime)


def _shared_mode(mode: Any) -> str | None:
    return None if mode in (None, "", "private", "shareable") else str(mode)


def _security_opt(host: Mapping[str, Any]) -> list[str]:
    """Without `label=disable`, which the engine adds by itself to a container that shares the host's ipc or pid."""
    return sorted(option for option in host.get("SecurityOpt") or [] if option != "label=disable")


def _device(device: Mapping[str, Any]) -> str:
    return "{}:{}:{}".format(
        device.get("PathOnHost"), device.get("PathInContainer"), device.get("CgroupPermissions") or "rwm"
    )


def _api_device(device: str) -> dict[str, str]:
    outside, _colon, rest = device.partition(":")
    inside, _colon, permissions = rest.partition(":")
    return {"PathOnHost": outside, "PathInContainer": inside or outside, "CgroupPermissions": permissions or "rwm"}


# --- everything else ------------------------------------------------------------------------------


def _set_plain(
    spec: dict[str, Any], legacy: Mapping[str, Any], settings: Mapping[str, Any], leftovers: list[dict[str, Any]]
) -> None:
    _copy_plain(spec, legacy)
    spec["restart_policy"] = settings.get("restart_policy") or _restart_policy(_host(legacy))
    if not any(limit["name"] == "nofile" for limit in spec["ulimits"]):
        spec["ulimits"] = spec["ulimits"] + [{"name": "nofile", "soft": _OPEN_FILES, "hard": _OPEN_FILES}]
    _set_hostname(spec, legacy, settings.get("host_hostname"))
    if spec["hostname"]:
        leftovers.append(_leftover("hostname", spec["hostname"], "kept", "the user set it"))


def _set_hostname(spec: dict[str, Any], inspect: Mapping[str, Any], host_hostname: str | None) -> None:
    """A hostname that the user chose, told from one that the engine made up."""
    hostname = _config(inspect).get("Hostname")
    if not hostname or hostname == str(inspect.get("Id") or "")[:12]:
        return
    # On the host's network the engine writes the host's own name there, which is no choice of the user's.
    if _network_mode(_host(inspect)) == "host" and host_hostname in (None, hostname):
        return
    spec["hostname"] = hostname
    spec["domainname"] = _config(inspect).get("Domainname") or None


def _copy_plain(spec: dict[str, Any], inspect: Mapping[str, Any]) -> None:
    host = _host(inspect)
    log_config = host.get("LogConfig") or {}
    spec["extra_hosts"] = list(host.get("ExtraHosts") or [])
    spec["dns"] = list(host.get("Dns") or [])
    spec["dns_search"] = list(host.get("DnsSearch") or [])
    spec["dns_options"] = list(host.get("DnsOptions") or [])
    spec["log_config"] = (
        {"type": log_config["Type"], "config": dict(log_config.get("Config") or {})} if log_config.get("Type") else {}
    )
    spec["ulimits"] = [
        {"name": limit["Name"], "soft": limit["Soft"], "hard": limit["Hard"]} for limit in host.get("Ulimits") or []
    ]
    shared = host.get("ShmSize")
    spec["shm_size"] = shared if shared and shared != _DEFAULT_SHM_SIZE else None


def _restart_policy(host: Mapping[str, Any]) -> dict[str, Any]:
    policy = host.get("RestartPolicy") or {}
    return {"Name": policy.get("Name") or "no", "MaximumRetryCount": policy.get("MaximumRetryCount") or 0}


def _not_carried(legacy: Mapping[str, Any]) -> list[dict[str, Any]]:
    host = _host(legacy)
    found = [
        _leftover(name, host[name], "dropped", reason)
        for name, reason in _NOT_CARRIED.items()
        if _is_set(name, host.get(name))
    ]
    user = _config(legacy).get("User")
    if user and user not in ("root", "0", "0:0"):
        found.append(_leftover("User", user, "dropped", "v2's image starts as root and gives up rights by itself"))
    return found


def _is_set(name: str, value: Any) -> bool:
    neutral: tuple[Any, ...] = (None, False, 0, -1, "", [], {})
    return value not in neutral and not (name == "UTSMode" and value == "private")


def _port_bindings(ports: Sequence[Mapping[str, str]]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        bindings.setdefault(port["container"], []).append({"HostIp": port["host_ip"], "HostPort": port["host_port"]})
    return bindings


def _api_endpoint(network: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"Aliases": list(network["aliases"])}
    fixed = {"IPv4Address": network["ipv4_address"], "IPv6Address": network["ipv6_address"]}
    if any(fixed.values()):
        body["IPAMConfig"] = {name: address for name, address in fixed.items() if address}
    return body
