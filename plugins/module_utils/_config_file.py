# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUStack's YAML configuration file (--config-file): what is in it, and a copy of it with other keys. Pure.

The Python library alone reads no YAML, and for this none is needed: the file is one mapping, and a key of it goes with
all lines up to the next one. So lines are left out, or get another key, and every value stays as it was written. What
is written in a way that does not split at its keys is not understood, and said so.
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, Mapping, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _masking

#: The copy for v2, in the data directory. It holds what the file holds, secrets too.
COPY_NAME = "gpustack-v2.yaml"

_KEY = re.compile(r"""(?P<quote>["']?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)[ \t]*:(?=[ \t\r\n]|$)""")
_QUOTED_TEXT = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'"
_QUOTED = re.compile(_QUOTED_TEXT, re.DOTALL)
_WHOLE_QUOTED = re.compile(rf"(?:{_QUOTED_TEXT})\s*(?:#.*)?", re.DOTALL)
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*$", re.MULTILINE)
_DOCUMENT_START = re.compile(r"---[ \t\r]*(?:#.*)?\n?")
# Line ends of YAML that are not those of a text file.
_OTHER_LINE_ENDS = re.compile("\x85|\u2028|\u2029|\r(?!\n)")
_REFERENCE = re.compile(r"(?:^|[\[{,:]\s*)[&*!]")
_ITEM = re.compile(r"\s*(?:-[ \t]+)*(?:[^\s\"'\[{#][^:#]*:[ \t]+)?")
_NUMBER = re.compile(r"""^\s*["']?([A-Za-z_]+)["']?\s*:\s*(\d+(?:\.\d+)?)\s*$""")
_PLAIN_COMMENT = re.compile(r"[ \t]#.*$")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


class ConfigFileError(ValueError):
    """A file that is not written as one `key: value` after the other."""


class ConfigFile(NamedTuple):
    """What is in a configuration file: its keys, single values by key, and why it is not understood."""

    names: tuple[str, ...]
    values: Mapping[str, Any]
    problem: str | None = None


class _Part(NamedTuple):
    """The lines of one key, up to the next one; with `name` None those before the first."""

    name: str | None
    lines: list[str]


def read(text: str) -> ConfigFile:
    """What is in a file. The values hold secrets: never print them."""
    try:
        parts = list(_parts(text))
    except ConfigFileError as error:
        return ConfigFile((), {}, str(error))
    found = {part.name: _value(part) for part in parts if part.name is not None}
    return ConfigFile(tuple(found), {name: value for name, value in found.items() if value is not None})


def evidence(path: str, text: str | None) -> dict[str, Any]:
    """The evidence `config_file`, secrets masked; keys and values are None when the file could not be read."""
    if text is None:
        return {"path": path, "option_names": None, "option_values": None, "problem": None}
    found = read(text)
    return {
        "path": path,
        "option_names": list(found.names),
        "option_values": _masking.mask_env(found.values),
        "problem": found.problem,
    }


def from_evidence(facts: Mapping[str, Any] | None) -> ConfigFile | None:
    """The same from the evidence; None without a file, and for one that could not be read."""
    if not facts or facts["option_names"] is None:
        return None
    return ConfigFile(tuple(facts["option_names"]), facts["option_values"], facts["problem"])


def translated(text: str, edits: Mapping[str, str | None], path: str) -> str:
    """A file with other keys: those that `edits` maps to None are left out with their values, others are renamed."""
    kept = [line for part in _parts(text) for line in _edited(part, edits)]
    if all(name in edits and edits[name] is None for name in read(text).names):
        kept.append("{}\n")  # an empty file is no mapping, and GPUStack fails at it
    return f"# Made by fleetops.gpustack from {path}, which v2 does not read.\n" + "".join(kept)


def _edited(part: _Part, edits: Mapping[str, str | None]) -> list[str]:
    if part.name is None or part.name not in edits:
        return part.lines
    renamed = edits[part.name]
    return [] if renamed is None else [part.lines[0].replace(part.name, renamed, 1), *part.lines[1:]]


def _parts(text: str) -> Iterator[_Part]:
    """The file, split at its keys; together the parts are the file, byte for byte."""
    if _OTHER_LINE_ENDS.search(text):
        raise ConfigFileError("it has line ends that are not those of a text file")
    current = _Part(None, [])
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        match = _KEY.match(line)
        if match:
            yield _closed(current)
            current = _Part(match.group("name"), [])
        elif not _may_follow(line, current):
            raise ConfigFileError(f"line {number} is no `key: value` at the beginning of a line")
        current.lines.append(line)
    yield _closed(current)


def _may_follow(line: str, part: _Part) -> bool:
    """Whether a line without a key goes on with the value before it, or says nothing."""
    if not line.strip() or line.startswith("#"):
        return True
    if part.name is None:
        return _DOCUMENT_START.fullmatch(line) is not None or line.lstrip().startswith("#")
    return line.startswith((" ", "\t", "- ", "-\n", "-\r"))


def _closed(part: _Part) -> _Part:
    """A part whose quotes and brackets end within it: else the next key would be none."""
    if part.name is not None:
        value = _text(part.lines)
        if _REFERENCE.match(value) or not (value.startswith(("|", ">")) or _is_whole(value)):
            raise ConfigFileError(f"the quotes, brackets, anchors or tags in the value of {part.name} are not followed")
    return part


def _is_whole(value: str) -> bool:
    if value.startswith(('"', "'")):
        return _WHOLE_QUOTED.fullmatch(value) is not None
    if value.startswith(("[", "{")):
        return _is_balanced(value)
    return all(_is_whole_line(line) for line in value.splitlines())


def _is_whole_line(line: str) -> bool:
    """A line of a list or mapping below a key: what it opens, it closes."""
    rest = line[_match_end(line) :].strip()
    if rest.startswith(("&", "*", "!")):
        return False
    return _is_whole(rest) if rest.startswith(('"', "'", "[", "{")) else True


def _match_end(line: str) -> int:
    match = _ITEM.match(line)
    return match.end() if match else 0


def _is_balanced(value: str) -> bool:
    bare = _COMMENT.sub("", _QUOTED.sub("q", value))
    pairs = (("[", "]"), ("{", "}"))
    return (
        all(bare.count(left) == bare.count(right) for left, right in pairs)
        and bare.rstrip().endswith(("]", "}"))
        and '"' not in bare
        and not _REFERENCE.search(bare)
    )


def _text(lines: list[str]) -> str:
    """What stands behind the key in the lines of a part."""
    return (_KEY.sub("", lines[0], count=1) + "".join(lines[1:])).strip()


def _value(part: _Part) -> Any:
    """A single value, or a mapping of numbers (system_reserved is one); None for everything else."""
    lines = [line for line in part.lines if line.strip() and not line.lstrip().startswith("#")]
    text = _text(lines)
    if part.name == "system_reserved":
        return _numbers(text)
    return scalar(text) if len(lines) == 1 and not text.startswith(("[", "{", "|", ">")) else None


def _numbers(text: str) -> dict[str, float] | None:
    bare = _COMMENT.sub("", text).strip()
    entries = bare[1:-1].split(",") if bare.startswith("{") else bare.splitlines()
    found = {}
    for entry in filter(str.strip, entries):
        match = _NUMBER.match(entry)
        if not match:
            return None
        found[match.group(1)] = float(match.group(2)) if "." in match.group(2) else int(match.group(2))
    return found


def _unquoted(text: str) -> str | None:
    """A quoted text; None for escapes that JSON does not share with YAML."""
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    try:
        return str(json.loads(text))
    except ValueError:
        return None


def scalar(text: str) -> Any:
    """A plain or quoted YAML scalar as PyYAML reads it; switches become booleans, null becomes None."""
    quoted = _QUOTED.match(text)
    if quoted:
        return _unquoted(quoted.group())
    plain = _PLAIN_COMMENT.sub("", text).strip()
    if plain.startswith("#"):
        return None
    if plain.lower() in (*_TRUE, *_FALSE):
        return plain.lower() in _TRUE
    return None if plain.lower() in ("null", "~", "") else plain
