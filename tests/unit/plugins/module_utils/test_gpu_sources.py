# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where evidence is looked for: whatever the shipped vendor files judge by, and what an operator's add."""

from __future__ import annotations

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_sources
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.vendor_evidence import VENDORS

EXA = {
    "evidence": {
        "device_nodes": ["/dev/exa[0-9]+"],
        "requires_paths": ["/opt/exa"],
        "tools": {"exa-smi": ["info"]},
        "tool_directories": ["/opt/exa/bin"],
    },
    "driver": {"version_files": {"exa_version": "/opt/exa/version"}},
    "visible_devices": {"variable": "EXA", "node": "/dev/exa/([0-9]+)"},
    "flags": [{"since": "2.0.0", "when_paths": ["/opt/exa/v2"], "volumes": ["/srv/exa:/srv/exa:ro"]}],
}


def test_the_shipped_vendors_are_looked_for_without_being_told() -> None:
    asked, shipped = _gpu_sources.of_vendors(VENDORS), _gpu_sources.SHIPPED
    assert set(asked["paths"]) <= set(shipped.paths)
    assert set(asked["tool_directories"]) <= set(shipped.tool_directories)
    assert {name: tuple(given) for name, given in asked["tools"].items()} == dict(shipped.tools)
    assert asked["version_files"].items() <= shipped.version_files.items()
    # Patterns of the files that are narrower than the shipped ones find nothing that these do not.
    nodes = {pattern.replace("(", "").replace(")", "").replace("[cng]", "c") for pattern in asked["device_nodes"]}
    assert nodes <= set(shipped.device_nodes)


def test_an_operators_vendor_adds_its_own() -> None:
    asked = _gpu_sources.of_vendors({"exa": EXA})
    assert asked == {
        "device_nodes": ["/dev/exa/([0-9]+)", "/dev/exa[0-9]+"],
        "paths": ["/opt/exa", "/opt/exa/v2", "/srv/exa"],
        "tools": {"exa-smi": ["info"]},
        "tool_directories": ["/opt/exa/bin"],
        "version_files": {"exa_version": "/opt/exa/version"},
    }
    places = _gpu_sources.with_more(asked)
    assert places.paths[-3:] == ("/opt/exa", "/opt/exa/v2", "/srv/exa")
    assert places.tools["exa-smi"] == ["info"]
    assert places.tools["npu-smi"] == ("info",)


def test_nothing_more_is_what_is_shipped() -> None:
    assert _gpu_sources.with_more(None) == _gpu_sources.with_more({}) == _gpu_sources.SHIPPED
