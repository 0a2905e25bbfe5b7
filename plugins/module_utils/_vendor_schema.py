# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a vendor file, and what is wrong with one. Pure."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases

_TEXT = {"type": "str"}
_TEXTS = {"type": "list", "elements": "str"}
_TABLE = {"type": "dict"}

#: An argument specification; what the keys mean is in the README of the role gpu_runtime.
FORM: dict[str, dict[str, Any]] = {
    "title": {"type": "str", "required": True},
    "evidence": {
        "type": "dict",
        "options": {
            "container": {
                "type": "dict",
                "options": {
                    "image_suffixes": _TEXTS,
                    "image_suffixes_without_meaning": _TEXTS,
                    "runtimes": _TEXTS,
                    "device_requests": _TEXTS,
                    "devices": _TEXTS,
                    "unless_devices": _TEXTS,
                },
            },
            "device_nodes": _TEXTS,
            "requires_device_nodes": _TEXTS,
            "unless_device_nodes": _TEXTS,
            "requires_paths": _TEXTS,
            "tools": _TABLE,
            "tool_directories": _TEXTS,
            "pci": {
                "type": "dict",
                "options": {"vendor": {"type": "str", "required": True}, "classes": {**_TEXTS, "required": True}},
            },
        },
    },
    "driver": {
        "type": "dict",
        "options": {
            "tool": _TEXT,
            "version_files": _TABLE,
            "way_out": {"type": "str", "required": True},
            "floors": {"type": "list", "elements": "dict", "required": True},
        },
    },
    "runtime_way_out": _TEXT,
    "visible_devices": {
        "type": "dict",
        "options": {"variable": {"type": "str", "required": True}, "node": _TEXT, "required": {"type": "bool"}},
    },
    "legacy_environment": _TEXTS,
    "legacy_mounts": _TEXTS,
    "same_names": _TEXTS,
    "flags": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "since": {"type": "str", "required": True},
            "when_paths": _TEXTS,
            "runtime": _TEXT,
            "environment": _TABLE,
            "volumes": _TEXTS,
            "devices": _TEXTS,
            "capabilities": _TEXTS,
            "privileged": {"type": "bool"},
            "ipc_mode": _TEXT,
            "pid_mode": _TEXT,
            "group_add": _TEXTS,
            "security_opt": _TEXTS,
        },
    },
}
#: Keys below `evidence` that hold regular expressions.
_PATTERNS = ("device_nodes", "requires_device_nodes", "unless_device_nodes")
_CONTAINER_PATTERNS = ("image_suffixes", "image_suffixes_without_meaning", "devices", "unless_devices")


def problems(vendors: Mapping[str, Any]) -> list[str]:
    """What is wrong with vendor data by name, one line each; none when all of it can serve."""
    found = []
    for name, data in sorted(vendors.items()):
        if not isinstance(data, Mapping):
            found.append(f"{name}: it is no dictionary")
            continue
        errors = list(ArgumentSpecValidator(FORM).validate(dict(data)).error_messages)
        # Only what has the form can be looked at more closely.
        found += [f"{name}: {error}" for error in errors or [*_bad_patterns(data), *_bad_releases(data)]]
    return found


def _bad_patterns(data: Mapping[str, Any]) -> Iterator[str]:
    evidence = data.get("evidence") or {}
    container = evidence.get("container") or {}
    patterns = [pattern for key in _PATTERNS for pattern in evidence.get(key) or []]
    patterns += [pattern for key in _CONTAINER_PATTERNS for pattern in container.get(key) or []]
    patterns += data.get("same_names") or []
    for pattern in patterns:
        yield from _bad_pattern(pattern)
    node = (data.get("visible_devices") or {}).get("node")
    if node:
        yield from list(_bad_pattern(node)) or _without_number(node)


def _bad_pattern(pattern: str) -> Iterator[str]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"'{pattern}' is no regular expression: {error}"


def _without_number(node: str) -> Iterator[str]:
    if re.compile(node).groups != 1:
        yield f"visible_devices.node '{node}' needs one group, for the number of the device"


def _bad_releases(data: Mapping[str, Any]) -> Iterator[str]:
    entries = [*data["flags"], *((data.get("driver") or {}).get("floors") or [])]
    for entry in entries:
        since = str(entry.get("since", ""))
        if not re.fullmatch(r"\d+\.\d+\.\d+", since):
            yield f"since '{since}' is no release; write it like {_releases.DEFAULT}"
