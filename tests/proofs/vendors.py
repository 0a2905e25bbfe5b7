# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario `vendors` found, held against GPUStack's documents: what agrees is proven."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.proofs import ledger
from tests.proofs.docker_flags import Flags, documented, of_container
from tests.proofs.table import COLUMNS, VENDORS

DOCUMENTED = ledger.CHECKOUT / "extensions/molecule/vendors/vars/documented.yml"
SCENARIO = "Molecule vendors"


def documents() -> dict[str, Any]:
    """The documented flags by vendor."""
    found: dict[str, Any] = yaml.safe_load(DOCUMENTED.read_text())["vendors_documented"]
    return found


def flags_of(vendor: Mapping[str, Any], release: str) -> Flags | None:
    """The documented flags for a release: the newest that are not newer; None for a release that lacks the vendor."""
    fitting = [entry for entry in vendor["v2"] if _key(entry["since"]) <= _key(release)]
    return documented(max(fitting, key=lambda entry: _key(entry["since"]))["flags"]) if fitting else None


def problems(found: Mapping[str, Any], release: str) -> list[str]:
    """In what a container that was started differs from the documents."""
    vendor, container = documents()[found["key"]], found["containers"][release]
    wanted = flags_of(vendor, release)
    every = {name for entry in vendor["v2"] for name in documented(entry["flags"]).environment}
    got = of_container(container["HostConfig"], container["Config"]["Env"], every)
    said = []
    if got != wanted:
        said.append(f"the documents say {wanted}, the container has {got}")
    if not container["HostConfig"]["Privileged"]:
        said.append("it is not privileged")
    if not container["State"]["Running"]:
        said.append(f"it was not started: {container['State']}")
    return [f"{found['key']} {release}: {each}" for each in said]


def mistakes(found: Mapping[str, Any]) -> list[str]:
    """For what a host was taken, by its container and without one, where that is not what it is."""
    vendor = documents()[found["key"]]
    name = vendor.get("vendor", found["key"])
    said = []
    if vendor["legacy"] and _verdict(found["by_container"]) != (name, "legacy container"):
        said.append(f"by its container it was taken for {_verdict(found['by_container'])}")
    if _verdict(found["by_host"]) != (name, "device nodes" if vendor["nodes"] else "no accelerator found"):
        said.append(f"without one it was taken for {_verdict(found['by_host'])}")
    refused = [each["cause"] for which in ("by_container", "by_host") for each in found[which]["refusals"]]
    return [f"{found['key']}: {each}" for each in [*said, *refused]]


def verify(path: Path) -> list[str]:
    """Every problem of what was found; what has none is kept as proven. Nothing may be missing."""
    every = json.loads(path.read_text())
    wrong = [f"{name}: was not tried" for name in sorted(set(documents()) - {found["key"] for found in every})]
    for found in every:
        mistaken = mistakes(found)
        wrong += mistaken
        for release in found["containers"]:
            its = problems(found, release)
            wrong += its
            if not its and not mistaken:
                ledger.add(ledger.Proof(VENDORS, found["key"], release, SCENARIO))
        wrong += [f"{found['key']} {release}: was not tried" for release in _missing(found)]
    return wrong


def _missing(found: Mapping[str, Any]) -> list[str]:
    vendor = documents()[found["key"]]
    return [each for each in COLUMNS[VENDORS] if flags_of(vendor, each) and each not in found["containers"]]


def _verdict(verdict: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return verdict["vendor"], verdict["how"]


def _key(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
