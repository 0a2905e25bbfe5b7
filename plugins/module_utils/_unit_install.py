# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy GPUStack that systemd runs without a container: installed by upstream's script, or by pip under a unit of
the operator's own. Reads only.

The script (install.sh@v0.7.1) writes gpustack.service with everything in ``ExecStart=`` and takes variables from
/etc/default/gpustack; who installs by pip writes such a unit by hand. Units are found by what they start, not by name,
and read as systemd has them. Where the text cannot be followed to systemd's own view of it, that is the problem.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import socket
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _supervisors,
    _systemd_unit,
    _unit_command,
    _unit_paths,
    _unit_record,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._legacy_settings import CONFIG, Settings, settings
from ansible_collections.fleetops.gpustack.plugins.module_utils._unit_command import CommandError

Look = Callable[[str], "dict[str, Any] | None"]

_STARTS = re.compile(r"""(?:^|[\s/"'])gpustack["']?\s+start\b""")
_ENGINES = ("docker", "podman", "nerdctl")
_TEMPLATE = re.compile(r"@\.service$")
_SHOWN = (
    "ExecStart",
    "EnvironmentFiles",
    "InvocationID",
    "MainPID",
    "User",
    "DynamicUser",
    "RootDirectory",
    "RootImage",
)
_ARGV = re.compile(r"argv\[\]=(.*?) ; ignore_errors=", re.S)
_ENVIRONMENT_FILE = re.compile(r"(.+?) \(ignore_errors=(?:yes|no)\)")
_ROOT = ("", "root", "0")
_COMMANDS = ("ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop", "ExecStopPost")
_DIST_INFO = re.compile(r"/gpustack-(\d+\.\d+\.\d+)[^/]*\.dist-info$")
_INTERPRETER = re.compile(r"""\A\#!\s*(?:/usr/bin/env\s+)?(\S+)(?:[^\n]*\n'''exec'\s+"?([^"\s]+))?""")
#: Where an interpreter has its packages, from the directory above its own: virtual environment, then the system's.
_PACKAGES = ("lib/python3*/site-packages", "local/lib/python3*/dist-packages", "lib/python3/dist-packages")
#: Those of root's own `pip install --user`, as a unit without User= sees them.
_USER_PACKAGES = "/root/.local/lib/python3*/site-packages"
_READ_LIMIT = 1024 * 1024

_BY_ITSELF = "let ExecStart= be /path/to/gpustack start with its arguments, and set variables with Environment= or"
PLAIN = f"{_BY_ITSELF} EnvironmentFile=; load it (systemctl daemon-reload), restart it, and run again"


class Shown(NamedTuple):
    """What `systemctl show` says of a unit beyond its state."""

    argv: str
    environment_files: list[str]
    invocation: str
    properties: Mapping[str, str]


def look(inspect: Look, run: RunCommand) -> Look:
    """A look at an installation by its id or name: at a unit, or at what the engine has."""

    def found(identifier: str) -> dict[str, Any] | None:
        unit = _unit_record.unit_of(identifier)
        return inspect(identifier) if unit is None else record(unit, run)

    return found


def find(run: RunCommand, of_attempt: str | None) -> list[dict[str, Any]]:
    """The records of all units that run GPUStack and are in use, and of the one that an attempt is about.

    A unit that is switched off, and that nothing starts, is a leftover: somebody went over to a container long ago.
    """
    found = []
    for name in unit_names(run):
        unit = _systemd_unit.read(name, run)
        if _unit_record.identity(name) == of_attempt or _systemd_unit.in_use(unit):
            made = record(name, run)
            found += [made] if made else []
    return found


def unit_names(run: RunCommand, root: str = "/") -> list[str]:
    """The units whose files start GPUStack; of a template its instances that systemd knows."""
    names: set[str] = set()
    for path in _supervisors.unit_files(root):
        text = _supervisors.unit_text(path)
        if any(map(_starts_gpustack, _start_lines(_supervisors.unit_settings(text)))):
            name = os.path.basename(os.path.dirname(path))[: -len(".d")] if path.endswith(".conf") else None
            names.add(name or os.path.basename(path))
    templates = {name for name in names if _TEMPLATE.search(name)}
    return sorted(names - templates | set(_instances(templates, run)))


def _start_lines(found: Iterable[tuple[str, str]]) -> list[str]:
    return _unit_command.effective(found, "ExecStart")


def _starts_gpustack(line: str) -> bool:
    program = os.path.basename(next(iter(line.lstrip("-+!:@|").split()), ""))
    return bool(_STARTS.search(line)) and program not in _ENGINES


def _instances(templates: Iterable[str], run: RunCommand) -> Iterator[str]:
    for template in templates:
        pattern = template.replace("@.", "@*.")
        listed = _systemd_unit.ask(run, "list-units", "--all", "--plain", "--no-legend", pattern)
        yield from (line.split()[0] for line in listed.splitlines() if line.strip())


def record(name: str, run: RunCommand) -> dict[str, Any] | None:
    """The record of a unit; None where systemd does not know it, or it starts something else by now."""
    unit = _systemd_unit.read(name, run)
    lines = _start_lines(unit.settings)
    if unit.properties.get("LoadState") != "loaded" or not any(map(_starts_gpustack, lines)):
        return None
    shown = _shown(name, run)
    problem = _systemd_unit.state_problem(unit) or _rights_problem(shown)
    environment: dict[str, str] = {}
    arguments: list[str] = []
    try:
        environment = _environment(unit, shown)
        arguments = _arguments(unit, lines, shown, environment)
    except CommandError as error:
        problem = problem or {"cause": f"what it starts cannot be followed: {error}", "way_out": PLAIN}
    mounts, missing = _unit_paths.mounts(settings_of(arguments, environment))
    problem = problem or missing
    return _unit_record.build(
        _unit_record.Found(
            name=name,
            file=unit.properties.get("FragmentPath", ""),
            enabled=unit.enabled,
            active=unit.active,
            invocation=shown.invocation if unit.active else "",
            arguments=arguments,
            environment=environment,
            mounts=mounts,
            release=release(lines[-1]),
            hostname=socket.gethostname(),
            problem=problem,
            process=int(shown.properties.get("MainPID") or 0),
            further=[key for key in _COMMANDS if _unit_command.effective(unit.settings, key)],
        )
    )


def _shown(name: str, run: RunCommand) -> Shown:
    output = _systemd_unit.ask(run, "show", name, "--property=" + ",".join(_SHOWN))
    pairs = _supervisors.unit_settings(output)
    argv = [found.group(1) for key, value in pairs for found in _ARGV.finditer(value) if key == "ExecStart"]
    listed = " ".join(value for key, value in pairs if key == "EnvironmentFiles")
    files = [path.strip() for path in _ENVIRONMENT_FILE.findall(listed)]
    properties = dict(pairs)
    return Shown(argv[0] if len(argv) == 1 else "", files, properties.get("InvocationID", ""), properties)


def _environment(unit: _systemd_unit.Unit, shown: Shown) -> dict[str, str]:
    """The variables of the process: those of files come later, and win."""
    found = _unit_command.variables(_unit_command.effective(unit.settings, "Environment"), unit.name)
    for pattern in shown.environment_files:
        for path in sorted(glob.glob(pattern)):
            found.update(_unit_command.environment_file(_read(path) or ""))
    dropped = " ".join(_unit_command.effective(unit.settings, "UnsetEnvironment")).split()
    return {name: value for name, value in found.items() if name not in dropped}


def _arguments(unit: _systemd_unit.Unit, lines: list[str], shown: Shown, environment: Mapping[str, str]) -> list[str]:
    """The arguments of `gpustack start`, as long as systemd reads the same words."""
    if len(lines) != 1:
        raise CommandError("it has several ExecStart= lines")
    command = _unit_command.command(lines[0], unit.name, environment)
    arguments = _unit_command.start_arguments(command.words)
    if " ".join(command.read) != shown.argv:
        raise CommandError("systemd reads its ExecStart= in another way")
    return arguments


def _rights_problem(shown: Shown) -> dict[str, str] | None:
    """Another user, or another root directory: v2 runs as root, and what it writes that user could not read again."""
    user = shown.properties.get("User", "")
    if user not in _ROOT or shown.properties.get("DynamicUser") == "yes":
        return {
            "cause": f"it runs as user {user or 'of its own (DynamicUser=)'}, to whom what v2 writes as root would be"
            " closed after going back",
            "way_out": "run it as root, as upstream's installer does: take User= and DynamicUser= out of the unit, load"
            " it (systemctl daemon-reload), restart it, and run again",
        }
    if shown.properties.get("RootDirectory") or shown.properties.get("RootImage"):
        return {
            "cause": "it runs in a root directory of its own, so that its paths are not those of the host",
            "way_out": "take RootDirectory= or RootImage= out of the unit, and run again",
        }
    return None


def settings_of(arguments: list[str], environment: Mapping[str, str]) -> Settings:
    """What it runs with, the configuration file included."""
    found = settings(arguments, environment, True)
    path = found.get("config_file")
    text = _read(path) if path and os.path.isabs(path) else None
    if text is not None:
        found.add(_config_file.read(text).values, CONFIG)
    return found


def release(line: str) -> str | None:
    """The release of the package that a command starts, by the metadata beside its interpreter; nothing is run."""
    try:
        program = next(iter(shlex.split(line.lstrip("-+!:@|"))), "")
    except ValueError:
        return None
    for interpreter in _interpreters(program):
        prefix = os.path.dirname(os.path.dirname(interpreter))
        patterns = [os.path.join(glob.escape(prefix), pattern) for pattern in _PACKAGES]
        for pattern in (*patterns, _USER_PACKAGES):
            for path in sorted(glob.glob(os.path.join(pattern, "gpustack-*.dist-info"))):
                match = _DIST_INFO.search(path)
                if match:
                    return match.group(1)
    return None


def _interpreters(program: str) -> Iterator[str]:
    """The interpreters that a script names, by its first line, or by its second where the path is too long for that."""
    match = _INTERPRETER.match(_read(program) or "")
    if match:
        yield from (path for path in (match.group(2), match.group(1)) if path and os.path.isabs(path))


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read(_READ_LIMIT)
    except OSError:
        return None
