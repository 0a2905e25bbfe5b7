# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A systemd unit around a container: what it does, why it cannot be taken over, and how it is switched off and on.

A unit that is understood does nothing but pull, make, start, stop and remove this one container. Its commands may hold
secrets: they are read here and go no further.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand, execute
from ansible_collections.fleetops.gpustack.plugins.module_utils._supervisors import (
    resolved,
    unit_settings,
    unit_text,
)

#: systemd's own bounds end a start or a stop long before.
SECONDS = 900
#: Who may start a unit besides the targets that `systemctl disable` takes it out of.
PULLED_IN_BY = ("TriggeredBy", "WantedBy", "RequiredBy", "BoundBy", "UpheldBy")
_INSTALL = ("WantedBy", "RequiredBy", "UpheldBy")
_STATES = ("LoadState", "ActiveState", "UnitFileState", "FragmentPath", "DropInPaths", "NeedDaemonReload")
_RUNNING = ("active", "activating", "reloading")
#: States of a unit file that `systemctl disable` and `systemctl enable` lead to and from; a static one needs neither.
_PLAIN_STATES = ("enabled", "disabled", "static")
_PREFIXES = "-@:+!|"
_SHELLS = ("sh", "bash", "dash")
_HARMLESS_PROGRAMS = ("sleep", "true", "echo", "mkdir", "test", "logger")
_HARMLESS_VERBS = ("pull", "login", "inspect", "info", "version", "ps")
_HARMLESS_OBJECTS = (("image", "pull"), ("volume", "create"), ("network", "create"))
_MAKE = ("run", "create")
_NAMING = ("start", "restart", "stop", "kill", "rm", "wait", "update", "exec", "logs")
_VALUE_OPTIONS = ("-t", "--time", "--timeout", "-s", "--signal", "--restart")
_SHELL_EXPANSION = re.compile(r"[$`(){}]")
_REDIRECTION = re.compile(r"\d?>{1,2}\s*(?:&\d|\S+)")
_SEPARATOR = re.compile(r"&&|\|\||[;|\n]")


class UnitError(Exception):
    """systemd did not do what was asked of it; the message says what, and the way out."""


class Unit(NamedTuple):
    """A unit as systemd and its files tell it."""

    name: str
    properties: Mapping[str, str]
    settings: Sequence[tuple[str, str]]

    @property
    def enabled(self) -> bool:
        """Whether it is started at boot."""
        return self.properties.get("UnitFileState", "").startswith("enabled")

    @property
    def active(self) -> bool:
        """Whether it is started, or about to be."""
        return self.properties.get("ActiveState") in _RUNNING


def judged(keepers: Iterable[Mapping[str, Any]], container: str, run: RunCommand) -> list[dict[str, Any]]:
    """The evidence ``supervisors`` with what each unit is and why it cannot be taken over, without those not in use."""
    found = []
    for keeper in keepers:
        if keeper["kind"] != "systemd" or "unit" in keeper:
            found.append(dict(keeper))
            continue
        unit = read(keeper["name"], run)
        if in_use(unit):
            found.append({**keeper, "problem": problem(unit, container), "unit": facts(unit)})
    return found


def read(name: str, run: RunCommand) -> Unit:
    """The unit as it is now. Nothing is known of it where systemd does not answer, or of a template."""
    properties = dict(unit_settings(ask(run, "show", name, "--property=" + ",".join((*_STATES, *PULLED_IN_BY)))))
    paths = [properties.get("FragmentPath", ""), *properties.get("DropInPaths", "").split()]
    settings = [setting for path in paths if path for setting in unit_settings(unit_text(path))]
    return Unit(name, properties, settings)


def ask(run: RunCommand, *arguments: str) -> str:
    """What systemctl answers; nothing where systemd does not answer."""
    status, output = _systemctl(run, *arguments)
    return output if status == 0 else ""


def in_use(unit: Unit) -> bool:
    """Whether it may start the container at all: neither a leftover file nor a unit that systemd has switched off.

    One that is disabled is still started by a timer of its own, or by a unit that wants it.
    """
    known = unit.properties.get("LoadState") == "loaded"
    return unit.enabled or unit.active or not known or bool(_others(unit))


def is_loaded(name: str, run: RunCommand) -> bool:
    """Whether systemd knows a unit of this name."""
    return read(name, run).properties.get("LoadState") == "loaded"


def facts(unit: Unit) -> dict[str, Any]:
    """What a switch has to know in order to put the unit back as it was; whether it makes and removes the container."""
    commands = list(_commands(unit))
    return {
        "name": unit.name,
        "enabled": unit.enabled,
        "active": unit.active,
        "makes": any(_verb(words) in _MAKE for key, words in commands if key.startswith("ExecStart")),
        "removes": any("--rm" in words or _verb(words) == "rm" for _key, words in commands),
    }


def problem(unit: Unit, container: str) -> dict[str, str] | None:
    """Why the unit cannot be switched off and on again around this container; None when it can."""
    found = state_problem(unit)
    if found is not None:
        return found
    foreign = [words for _key, words in _commands(unit) if not _only(words, container)]
    if foreign:
        # The program alone: an argument may be a secret.
        program = posixpath.basename(foreign[0][0]) if foreign[0] else "an empty command"
        return {
            "cause": f"it does more than run container {container}, or in a way that cannot be followed ({program})",
            "way_out": f"let it run container {container} alone, by plain docker commands, or disable it and run the "
            "container by itself",
        }
    return None


def state_problem(unit: Unit) -> dict[str, str] | None:
    """Why systemd cannot switch a unit off and on again, whatever it runs."""
    for check in (_check_name, _check_state, _check_others):
        found = check(unit)
        if found is not None:
            return found
    return None


def _check_name(unit: Unit) -> dict[str, str] | None:
    if "@" not in unit.name:
        return None
    return {
        "cause": "it is made from a template, and what its instances run its file does not say",
        "way_out": "disable the instance and run GPUStack by a unit of its own, or its container by itself",
    }


def _check_state(unit: Unit) -> dict[str, str] | None:
    if unit.properties.get("LoadState") != "loaded":
        return {"cause": "systemd does not know it", "way_out": "load it (systemctl daemon-reload) or remove its file"}
    if unit.properties.get("NeedDaemonReload") == "yes":
        return {"cause": "its file was changed since it was loaded", "way_out": "load it (systemctl daemon-reload)"}
    state = unit.properties.get("UnitFileState") or "without a file"
    if state not in _PLAIN_STATES:
        return {
            "cause": f"it is {state}, which 'systemctl disable' and 'systemctl enable' do not undo and redo",
            "way_out": "put it into /etc/systemd/system and enable it there",
        }
    return None


def _check_others(unit: Unit) -> dict[str, str] | None:
    """Other units that start this one also after it was disabled, or that are disabled and enabled with it."""
    others = _others(unit)
    if others:
        return {
            "cause": f"other units start it too: {', '.join(sorted(others))}",
            "way_out": "take it out of those units, or disable them as well and run the container by itself",
        }
    along = {name for key, value in unit.settings if key == "Also" for name in value.split()}
    if along:
        return {
            "cause": f"disabling and enabling it does the same to {', '.join(sorted(along))} (Also=)",
            "way_out": "take Also= out of its file and load it (systemctl daemon-reload)",
        }
    return None


def _others(unit: Unit) -> set[str]:
    """The units that start this one, without those that `systemctl disable` takes it out of."""
    own = {name for key, value in unit.settings if key in _INSTALL for name in value.split()}
    return {name for key in PULLED_IN_BY for name in unit.properties.get(key, "").split()} - own


def switch_off(unit: Mapping[str, Any], run: RunCommand) -> None:
    """Disabled first, so that a reboot in between does not start it; then stopped. Its file stays."""
    if unit["enabled"]:
        _do(run, "disable", unit["name"])
    _do(run, "stop", unit["name"])
    # A legacy release that was stopped may exit with a signal's status: its unit would stay failed, and alarm whoever
    # watches. Of one that did not fail systemd may say that it is not loaded any more: nothing to reset.
    _systemctl(run, "reset-failed", unit["name"])


def switch_on(unit: Mapping[str, Any], run: RunCommand) -> None:
    """As it was: enabled, and started."""
    if unit["enabled"]:
        _do(run, "enable", unit["name"])
    if unit["active"]:
        _do(run, "start", unit["name"])


def _do(run: RunCommand, verb: str, name: str) -> None:
    status, output = _systemctl(run, verb, name)
    if status != 0:
        raise UnitError(
            f"'systemctl {verb} {name}' ended with status {status} ({output.strip() or 'and said nothing'}); see "
            f"'systemctl status {name}', remove the cause and run again."
        )


def _systemctl(run: RunCommand, *arguments: str) -> tuple[int | None, str]:
    done = execute(run, ["systemctl", "--no-ask-password", "--no-pager", *arguments], SECONDS)
    return done.status, done.output + done.error


# Commands


def _commands(unit: Unit) -> Iterator[tuple[str, list[str]]]:
    """What the unit executes; an empty setting takes back those before it."""
    collected: list[tuple[str, str]] = []
    for key, value in unit.settings:
        if key.startswith("Exec") and value:
            collected.append((key, value))
        elif key.startswith("Exec"):
            collected = [(other, command) for other, command in collected if other != key]
    for key, value in collected:
        for words in _split(value.lstrip(_PREFIXES)):
            yield key, [resolved(word, unit.name) for word in words]


def _split(command: str) -> Iterator[list[str]]:
    """A command as words; a shell's script without expansions as its commands."""
    words = _words(command)
    is_shell = len(words) == 3 and posixpath.basename(words[0]) in _SHELLS and words[1].endswith("c")
    if not is_shell or _SHELL_EXPANSION.search(words[2]):
        yield words
        return
    for part in _SEPARATOR.split(_REDIRECTION.sub("", words[2])):
        inner = _words(part)
        if inner:
            yield inner[1:] if inner[0] == "exec" else inner


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _docker_arguments(words: Sequence[str]) -> list[str]:
    """What follows `docker` or `docker container`; nothing for another program."""
    if not words or posixpath.basename(words[0]) != "docker":
        return []
    return list(words[2:] if list(words[1:2]) == ["container"] else words[1:])


def _verb(words: Sequence[str]) -> str:
    return next(iter(_docker_arguments(words)), "")


def _only(words: Sequence[str], container: str) -> bool:
    """Whether a command concerns this container alone, or no container."""
    if words and posixpath.basename(words[0]) in _HARMLESS_PROGRAMS:
        return True
    arguments = _docker_arguments(words)
    if not arguments:
        return False
    verb, rest = arguments[0], arguments[1:]
    if verb in _HARMLESS_VERBS or (verb, *rest[:1]) in _HARMLESS_OBJECTS:
        return True
    if verb in _MAKE:
        return _option(rest, "--name") == container
    names = _names(rest)
    return verb in _NAMING and (names[:1] if verb == "exec" else names) == [container]


def _option(arguments: Sequence[str], option: str) -> str | None:
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        if argument == option:
            return following
        if argument.startswith(option + "="):
            return argument[len(option) + 1 :]
    return None


def _names(arguments: Sequence[str]) -> list[str]:
    found, words = [], iter(arguments)
    for word in words:
        if word in _VALUE_OPTIONS:
            next(words, None)
        elif not word.startswith("-"):
            found.append(word)
    return found
