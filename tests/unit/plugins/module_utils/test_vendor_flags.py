# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of each vendor and release, held against GPUStack's documents; and how an entry of a vendor file is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases, _vendor_flags
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.vendor_evidence import HOSTS, VENDORS
from tests.proofs import vendors as documents
from tests.proofs.docker_flags import Flags

DOCUMENTED = documents.documents()
PATHS: dict[str, Any] = {name: [*HOSTS[data.get("vendor", name)]["paths"]] for name, data in DOCUMENTED.items()}
PATHS["hygon_dtk26"].append("/opt/dtk/.hyhal")
DATA = {
    "title": "Examplechip",
    "flags": [
        {"since": "2.0.0", "runtime": "exa"},
        {"since": "2.1.0", "privileged": True},
        {"since": "2.1.0", "privileged": True, "when_paths": ["/opt/exa"], "volumes": ["/opt/exa:/opt/exa:ro"]},
    ],
}


def as_documented(flags: dict[str, Any]) -> Flags:
    """Flags of a vendor file in the form of a document's."""
    mounts = [volume.split(":") for volume in flags["volumes"]]
    return Flags(
        flags["runtime"],
        flags["environment"],
        frozenset((source, target, "ro" not in options) for source, target, *options in mounts),
    )


@pytest.mark.parametrize("release", list(_releases.RELEASES))
@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_the_shipped_flags_are_the_documented_ones(name: str, release: str) -> None:
    vendor = DOCUMENTED[name].get("vendor", name)
    wanted = documents.flags_of(DOCUMENTED[name], release)
    if wanted is None:
        with pytest.raises(_vendor_flags.VendorError, match=f"no flags for GPUStack {release}"):
            _vendor_flags.flags_for(VENDORS[vendor], release, PATHS[name])
        return
    flags = _vendor_flags.flags_for(VENDORS[vendor], release, PATHS[name])
    # Which device stands for all is chosen on the host.
    _vendor_flags.select_devices(flags, VENDORS[vendor], None, HOSTS[vendor])
    assert as_documented(flags) == wanted
    assert flags["privileged"] is True
    assert set(_vendor_flags.FLAGS) < set(flags)


def test_every_shipped_vendor_is_documented() -> None:
    assert {data.get("vendor", name) for name, data in DOCUMENTED.items()} == set(VENDORS)


@pytest.mark.parametrize(
    ("release", "paths", "runtime", "volumes"),
    [
        ("2.0.3", [], "exa", []),
        ("2.0.3", ["/opt/exa"], "exa", []),
        ("2.1.0", [], None, []),
        ("v2.2.3", ["/opt/exa", "/opt"], None, ["/opt/exa:/opt/exa:ro"]),
    ],
)
def test_the_newest_entry_that_fits_counts_whole(
    release: str, paths: list[str], runtime: str | None, volumes: list[str]
) -> None:
    flags = _vendor_flags.flags_for(DATA, release, paths)
    assert (flags["runtime"], flags["volumes"]) == (runtime, volumes)


def test_flags_are_not_shared() -> None:
    release = _releases.find("2.2.3")
    _vendor_flags.flags_for(DATA, release, ["/opt/exa"])["volumes"].append("x")
    assert "x" not in _vendor_flags.flags_for(DATA, release, ["/opt/exa"])["volumes"]
