# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else starts or replaces a container: Compose, Swarm, Kubernetes, a systemd unit around docker, Watchtower.

What that means for a switch is judged in `_takeover.py`.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
import shlex
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _unit_record

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
_COMPOSE = "com.docker.compose.project"
#: Specifiers and variables of a unit, which stand for something that its text does not say.
_UNKNOWN = re.compile(r"%[a-zA-Z]|\$\{?\w+\}?")
#: Options of Watchtower that take a value, so that the value is not taken for a container's name.
_WATCHTOWER_VALUES = frozenset(
    (
        *("-H", "--host", "-a", "--api-version", "-t", "--stop-timeout", "-i", "--interval", "-s", "--schedule"),
        *("-x", "--disable-containers", "--scope", "--http-api-token", "-l", "--log-level", "--log-format"),
        *("--notifications", "--notification-url", "--warn-on-head-failure"),
    )
)
_WATCHTOWER_SHORT = {
    "-e": "label-enable",
    "-m": "monitor-only",
    "-x": "disable-containers",
    "-S": "include-stopped",
}


class UnitCommand(NamedTuple):
    """A command of a systemd unit."""

    unit: str
    file: str
    words: tuple[str, ...]
    #: Its working directory; empty when the unit names none.
    folder: str = ""


def supervisors(
    container: Mapping[str, Any], containers: Iterable[Mapping[str, Any]], units: Sequence[UnitCommand]
) -> list[dict[str, Any]]:
    """Everybody who keeps a container, the most binding one first; nobody when it stands by itself."""
    if _unit_record.KEY in container:
        return [container[_unit_record.KEY]["keeper"]]
    labels = container["Config"].get("Labels") or {}
    return [*by_labels(labels), *by_unit(container, units), *by_watchtower(container, containers)]


def by_labels(labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Orchestrators write themselves into the labels."""
    if "com.docker.swarm.service.name" in labels:
        yield found("swarm", labels["com.docker.swarm.service.name"])
    elif _COMPOSE in labels:
        name = "/".join([labels[_COMPOSE], labels.get("com.docker.compose.service", "")])
        folder = labels.get(_COMPOSE + ".working_dir", "")
        files = labels.get(_COMPOSE + ".config_files") or folder
        yield found("compose", name, ",".join(posixpath.join(folder, file) for file in files.split(",")) or None)
    elif "io.kubernetes.pod.name" in labels:
        yield found("kubernetes", labels["io.kubernetes.pod.name"])


def found(kind: str, name: str | None, file: str | None = None) -> dict[str, Any]:
    """An entry of the evidence ``supervisors``. ``problem`` is why a switch cannot take the container over from it."""
    return {"kind": kind, "name": name, "file": file, "problem": None}


def by_unit(container: Mapping[str, Any], units: Sequence[UnitCommand]) -> list[dict[str, Any]]:
    """The systemd units that run or start this very container, or the Compose project that it belongs to."""
    name = str(container.get("Name", "")).lstrip("/")
    labels = container["Config"].get("Labels") or {}
    keepers = {unit.unit: unit for unit in units if starts_container(unit.words, name) or starts_project(unit, labels)}
    return [found("systemd", unit.unit, unit.file) for unit in keepers.values()]


def starts_container(words: Sequence[str], name: str) -> bool:
    """Whether a command is `docker run --name NAME` or `docker start NAME`, in any order of options."""
    verb = next((word for word in words if word in ("run", "start", "restart", "create")), None)
    if verb is None:
        return False
    if verb in ("start", "restart"):
        return any(_may_name(word, name, words) for word in words)
    named = zip(words, [*words[1:], ""])
    return any(
        (word.startswith("--name=") and _may_name(word[len("--name=") :], name, words))
        or (word == "--name" and _may_name(value, name, words))
        for word, value in named
    )


def _may_name(word: str, name: str, words: Sequence[str]) -> bool:
    """Whether a word is a container's name, or could be once systemd has put in what the unit's text leaves open."""
    if word == name:
        return True
    if not _UNKNOWN.search(word) or not any("gpustack" in other for other in words):
        return False
    return re.fullmatch(".+".join(re.escape(part) for part in _UNKNOWN.split(word)), name) is not None


def starts_project(unit: UnitCommand, labels: Mapping[str, str]) -> bool:
    """Whether a command is `docker compose ... up` for the project whose labels these are."""
    folder = labels.get(_COMPOSE + ".working_dir")
    if not folder or not any(posixpath.basename(word) in ("compose", "docker-compose") for word in unit.words):
        return False
    mentions = labels[_COMPOSE] in unit.words or any(word.startswith(folder) for word in (unit.folder, *unit.words))
    return mentions and any(word in ("up", "start", "restart") for word in unit.words)


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
    settings = unit_settings(text)
    folder = next((value for key, value in settings if key == "WorkingDirectory"), "")
    for key, value in settings:
        if key.startswith("ExecStart") and "docker" in value:
            words = tuple(resolved(word, name) for word in split(value))
            commands.append(UnitCommand(name, path, words, folder))
    return commands


def unit_settings(text: str) -> list[tuple[str, str]]:
    """The ``Key=value`` lines of a unit, continued lines joined, comments left out."""
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith(("#", ";")))
    return [(key.strip(), value.strip()) for key, _equals, value in pairs]


def resolved(word: str, unit: str) -> str:
    """A word of a unit with the specifiers that its name alone decides: %n, %N and %p, where it is no template."""
    if "@" in unit:
        return word
    stem = unit.rpartition(".")[0]
    values = {"%n": unit, "%N": stem, "%p": stem, "%%": "%"}
    return re.sub(r"%[nNp%]", lambda match: values[match.group()], word)


def split(command: str) -> list[str]:
    """The words of a command; `sh -c '...'` is looked into."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command.split()
    return [part for word in words for part in (word.split() if " " in word else [word])]


def by_watchtower(container: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The running Watchtowers that may replace this container by a newer image."""
    for other in containers:
        if is_watchtower(other) and watches(other, container):
            yield {
                **found("watchtower", str(other.get("Name", "")).lstrip("/")),
                "problem": watchtower_problem(other),
            }


def watchtower_problem(watchtower: Mapping[str, Any]) -> dict[str, str] | None:
    """One that looks at stopped containers too would replace the retired one, or start it again.

    One that is limited to names loses sight of the container when it is renamed.
    """
    options, names = watchtower_options(watchtower)
    if names or "include-stopped" not in options:
        return None
    return {
        "cause": "it looks at stopped containers too (--include-stopped), so that it would replace the retired one by"
        " a newer image or, with --revive-stopped, start it",
        "way_out": "run Watchtower without --include-stopped for as long as the retired container is kept",
    }


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
        option = _WATCHTOWER_SHORT.get(option, option.lstrip("-"))
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
