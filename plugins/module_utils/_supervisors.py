# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else starts or replaces a container: Compose, Swarm, Kubernetes, a systemd unit around docker, Watchtower."""

from __future__ import annotations

import glob
import os
import posixpath
import shlex
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

UNIT_DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
UNIT_PATTERNS = ("*.service", "*.service.d/*.conf")
UNIT_FILE_LIMIT = 5000
UNIT_SIZE_LIMIT = 64 * 1024
_WATCHTOWER_LABEL = "com.centurylinklabs.watchtower"
#: Options of Watchtower that take a value, so that the value is not taken for a container's name.
_WATCHTOWER_VALUES = frozenset(
    (
        *("-H", "--host", "-a", "--api-version", "-t", "--stop-timeout", "-i", "--interval", "-s", "--schedule"),
        *("-x", "--disable-containers", "--scope", "--http-api-token", "-l", "--log-level", "--log-format"),
        *("--notifications", "--notification-url", "--warn-on-head-failure"),
    )
)


class UnitCommand(NamedTuple):
    """A command of a systemd unit."""

    unit: str
    file: str
    words: tuple[str, ...]


def supervisor(
    container: Mapping[str, Any], containers: Iterable[Mapping[str, Any]], units: Sequence[UnitCommand]
) -> dict[str, Any] | None:
    """Who keeps a container, the most binding one first; None when it stands by itself."""
    labels = container["Config"].get("Labels") or {}
    return by_labels(labels) or by_unit(container, units) or by_watchtower(container, containers)


def by_labels(labels: Mapping[str, str]) -> dict[str, Any] | None:
    """Orchestrators write themselves into the labels."""
    if "com.docker.swarm.service.name" in labels:
        return found("swarm", labels["com.docker.swarm.service.name"])
    if "com.docker.compose.project" in labels:
        name = "/".join([labels["com.docker.compose.project"], labels.get("com.docker.compose.service", "")])
        return found("compose", name, labels.get("com.docker.compose.project.config_files"))
    if "io.kubernetes.pod.name" in labels:
        return found("kubernetes", labels["io.kubernetes.pod.name"])
    return None


def found(kind: str, name: str | None, file: str | None = None) -> dict[str, Any]:
    """The evidence ``supervisor``."""
    return {"kind": kind, "name": name, "file": file}


def by_unit(container: Mapping[str, Any], units: Sequence[UnitCommand]) -> dict[str, Any] | None:
    """A systemd unit that runs or starts this very container."""
    name = str(container.get("Name", "")).lstrip("/")
    for unit in units:
        if starts_container(unit.words, name):
            return found("systemd", unit.unit, unit.file)
    return None


def starts_container(words: Sequence[str], name: str) -> bool:
    """Whether a command is `docker run --name NAME` or `docker start NAME`, in any order of options."""
    verb = next((word for word in words if word in ("run", "start", "restart", "create")), None)
    if verb in ("start", "restart"):
        return name in words
    named = zip(words, [*words[1:], ""])
    return verb is not None and any(
        word == "--name=" + name or (word == "--name" and value == name) for word, value in named
    )


def unit_commands(root: str = "/") -> list[UnitCommand]:
    """The commands of all units on the host that call docker. Bounded in files and size."""
    commands = []
    for path in unit_files(root):
        text = unit_text(path)
        if "docker" in text:
            commands.extend(parse_unit(path, text))
    return commands


def unit_files(root: str) -> list[str]:
    """The unit files and drop-ins, each file once however many links lead to it."""
    paths = (
        path
        for directory in UNIT_DIRECTORIES
        for pattern in UNIT_PATTERNS
        for path in glob.iglob(os.path.join(root, directory.lstrip("/"), pattern))
    )
    unique: dict[str, str] = {}
    for path, _count in zip(paths, range(UNIT_FILE_LIMIT)):
        unique.setdefault(os.path.realpath(path), path)
    return list(unique.values())


def unit_text(path: str) -> str:
    """The text of a unit; empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as unit:
            return unit.read(UNIT_SIZE_LIMIT)
    except OSError:
        return ""


def parse_unit(path: str, text: str) -> list[UnitCommand]:
    """The lines of a unit that execute docker, as words."""
    name = os.path.basename(path)
    if name.endswith(".conf"):
        name = os.path.basename(os.path.dirname(path))[: -len(".d")]
    commands = []
    for line in text.replace("\\\n", " ").splitlines():
        key, _equals, value = line.partition("=")
        if key.strip().startswith("ExecStart") and "docker" in value:
            commands.append(UnitCommand(name, path, tuple(split(value))))
    return commands


def split(command: str) -> list[str]:
    """The words of a command; `sh -c '...'` is looked into."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command.split()
    return [part for word in words for part in (word.split() if " " in word else [word])]


def by_watchtower(container: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A running Watchtower that may replace this container by a newer image."""
    for other in containers:
        if is_watchtower(other) and watches(other, container):
            return found("watchtower", str(other.get("Name", "")).lstrip("/"))
    return None


def is_watchtower(container: Mapping[str, Any]) -> bool:
    """Whether a container is a running Watchtower."""
    labels = container["Config"].get("Labels") or {}
    image = str(container["Config"].get("Image") or "")
    named = "watchtower" in posixpath.basename(image.split("@", 1)[0]).partition(":")[0]
    return bool(container["State"].get("Running")) and (named or labels.get(_WATCHTOWER_LABEL) == "true")


def watches(watchtower: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Whether Watchtower's rules of names, labels and scope cover a container."""
    options, names = watchtower_options(watchtower)
    labels = container["Config"].get("Labels") or {}
    name = str(container.get("Name", "")).lstrip("/")
    enabled = labels.get(_WATCHTOWER_LABEL + ".enable")
    scope = options.get("scope", "")
    if "monitor-only" in options or labels.get(_WATCHTOWER_LABEL + ".monitor-only") == "true":
        return False
    if name in options.get("disable-containers", "").replace(",", " ").split() or (names and name not in names):
        return False
    if scope and scope != "none" and labels.get(_WATCHTOWER_LABEL + ".scope") != scope:
        return False
    return enabled == "true" if "label-enable" in options else enabled != "false"


def watchtower_options(watchtower: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Options by long name, and the names of the containers that it is limited to."""
    options = watchtower_environment(watchtower["Config"].get("Env") or [])
    names: list[str] = []
    words = iter(watchtower["Config"].get("Cmd") or [])
    for word in words:
        option, joined, value = word.partition("=")
        if not word.startswith("-"):
            names.append(word)
            continue
        if not joined and option in _WATCHTOWER_VALUES:
            value = next(words, "")
        option = {"-e": "label-enable", "-m": "monitor-only", "-x": "disable-containers"}.get(
            option, option.lstrip("-")
        )
        if value != "false":
            options[option] = value
    return options, names


def watchtower_environment(entries: Iterable[str]) -> dict[str, str]:
    """Watchtower's options by environment: WATCHTOWER_LABEL_ENABLE is --label-enable."""
    prefix = "WATCHTOWER_"
    options = {}
    for entry in entries:
        name, _equals, value = entry.partition("=")
        if name.startswith(prefix) and value.lower() not in ("", "false", "0"):
            options[name[len(prefix) :].lower().replace("_", "-")] = value
    return options
