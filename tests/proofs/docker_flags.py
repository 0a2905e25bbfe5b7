# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of `docker run` as documents write them, held against what the engine says of a container."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: What every v2 worker mounts, whatever the vendor.
COMMON_MOUNTS = {"/var/run/docker.sock", "/var/lib/gpustack"}


@dataclass(frozen=True)
class Flags:
    """What a container gets for its GPUs."""

    runtime: str | None
    environment: dict[str, str]
    #: Source, destination, whether it can be written.
    mounts: frozenset[tuple[str, str, bool]]


def documented(text: str) -> Flags:
    """The flags of a document's command; one that is not known here ends in an error."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--runtime")
    parser.add_argument("--env", "-e", action="append", default=[])
    parser.add_argument("--volume", "-v", action="append", default=[])
    found = parser.parse_args(shlex.split(text))
    return Flags(
        found.runtime,
        dict(pair.split("=", 1) for pair in found.env),
        frozenset(_volume(each) for each in found.volume),
    )


def of_container(host_config: Mapping[str, Any], environment: Iterable[str], names: Iterable[str]) -> Flags:
    """The same of a container that exists; of its environment only the variables that are asked for."""
    runtime = host_config["Runtime"]
    pairs = dict(entry.partition("=")[::2] for entry in environment)
    mounts = [(mount["Source"], mount["Target"], not mount.get("ReadOnly")) for mount in host_config["Mounts"] or []]
    mounts += [_volume(bind) for bind in host_config["Binds"] or []]
    return Flags(
        None if runtime == "runc" else runtime,
        {name: pairs[name] for name in names if name in pairs},
        frozenset(mount for mount in mounts if mount[1] not in COMMON_MOUNTS),
    )


def _volume(text: str) -> tuple[str, str, bool]:
    source, destination, *options = text.split(":")
    return source, destination, "ro" not in ",".join(options).split(",")
