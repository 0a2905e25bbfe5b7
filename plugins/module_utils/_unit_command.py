# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command line and an environment as a systemd unit gives them to its process. Pure.

The rules are systemd.service(5), "Command lines", and systemd.exec(5), "EnvironmentFile=". What comes out may hold
secrets.
"""

from __future__ import annotations

import re
import shlex
from typing import Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils._supervisors import resolved

#: Prefixes of a command that change whose rights it has, or whether its failure counts, but not what is started.
_PLAIN_PREFIXES = "-+!"
_LITERAL = ":"
#: Another name for the process, and a shell around it.
_OTHER_PREFIXES = "@|"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\})")
_WHOLE_WORD = re.compile(r"\$(\w+)")
_SPECIFIER = re.compile(r"%[a-zA-Z]")
_NAME = re.compile(r"[A-Za-z_]\w*")
#: One assignment of an environment file: quoted parts, over several lines if need be, then a rest without quotes.
_ASSIGNMENT = re.compile(
    r"""^[ \t]*([^\s#;=][^=\n]*?)[ \t]*=[ \t]*((?:(?:'[^']*'|"(?:[^"\\]|\\.)*")[ \t]*)*)((?:\\.|[^\\\n])*)""",
    re.M | re.S,
)
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.S)
_ESCAPED_IN_QUOTES = re.compile(r"\\(\n|[\"\\`$])")


class CommandError(ValueError):
    """A command line that cannot be followed; the message says why and shows nothing of it."""


class Command(NamedTuple):
    """A command as systemd reads it, before and after it has put in the variables."""

    read: tuple[str, ...]
    words: tuple[str, ...]


def effective(settings: Iterable[tuple[str, str]], key: str) -> list[str]:
    """The values of a setting that count: an empty one takes back those before it."""
    found: list[str] = []
    for name, value in settings:
        if name == key:
            found = [*found, value] if value else []
    return found


def command(line: str, unit: str, environment: Mapping[str, str]) -> Command:
    """The words of an ``ExecStart=`` line."""
    text = line.lstrip(_PLAIN_PREFIXES + _LITERAL + _OTHER_PREFIXES)
    prefixes = line[: len(line) - len(text)]
    if set(prefixes) & set(_OTHER_PREFIXES):
        raise CommandError("it starts its program under another name, or in a shell")
    expands = _LITERAL not in prefixes
    try:
        read = tuple(resolved(word, unit) for word in shlex.split(text))
    except ValueError as error:
        raise CommandError(f"its quotes do not match ({error})") from None
    words = [each for word in read for each in (_expanded(word, environment) if expands else [word])]
    return Command(read, tuple(words))


def _expanded(word: str, environment: Mapping[str, str]) -> list[str]:
    """A variable that is a word of its own stands for any number of words, ``${...}`` for a part of one."""
    whole = _WHOLE_WORD.fullmatch(word)
    if whole:
        return environment.get(whole.group(1), "").split()
    return [_VARIABLE.sub(lambda found: found.group(1) or environment.get(found.group(2), ""), word)]


def variables(values: Iterable[str], unit: str) -> dict[str, str]:
    """What ``Environment=`` lines set."""
    found = {}
    for value in values:
        try:
            words = [resolved(word, unit) for word in shlex.split(value)]
        except ValueError as error:
            raise CommandError(f"the quotes of Environment= do not match ({error})") from None
        for word in words:
            name, equals, text = word.partition("=")
            if _SPECIFIER.search(text):
                raise CommandError(f"Environment= gives {name} a value with a specifier")
            if equals and _NAME.fullmatch(name):
                found[name] = text
    return found


def environment_file(text: str) -> dict[str, str]:
    """What an ``EnvironmentFile=`` sets."""
    return {
        name: _value(quoted, rest)
        for name, quoted, rest in _ASSIGNMENT.findall(text.replace("\\\n", ""))
        if _NAME.fullmatch(name)
    }


def _value(quoted: str, rest: str) -> str:
    parts = [single or _ESCAPED_IN_QUOTES.sub(r"\1", double) for single, double in _QUOTED.findall(quoted)]
    return "".join(parts) + re.sub(r"\\(.)", r"\1", rest.rstrip())


def start_arguments(words: Sequence[str]) -> list[str]:
    """What follows ``gpustack start``; refuses every other way to start it."""
    if len(words) >= 2 and words[0].rpartition("/")[2] == "gpustack" and words[1] == "start":
        return list(words[2:])
    raise CommandError("it does not start gpustack by itself")
