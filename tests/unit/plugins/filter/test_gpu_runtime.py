# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter over the vendors' judgement: which evidence it takes, and what it says when there is none."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.fleetops.gpustack.plugins.filter.gpu_runtime import FilterModule

VENDORS = {
    "cpu": {"title": "CPU", "evidence": {"container": {"image_suffixes": ["cpu"]}}, "flags": [{"since": "2.0.0"}]},
    "exa": {"title": "Exa", "evidence": {"device_nodes": ["/dev/exa0"]}, "flags": [{"since": "2.0.0"}]},
}
gpu_runtime = FilterModule().filters()["gpu_runtime"]


def node(*installations):
    return {"gpu": {"devices": ["/dev/exa0"]}, "engine": {"runtimes": ["runc"]}, "installations": list(installations)}


def legacy(image="g/gpustack:v0.7.1-cpu", **more):
    return dict({"image": image, "generation": "legacy", "retired": False}, **more)


@pytest.mark.parametrize("wrap", [lambda evidence: evidence, lambda evidence: {"changed": False, "node": evidence}])
def test_the_result_of_node_info_or_its_node(wrap):
    assert gpu_runtime(wrap(node()), VENDORS)["vendor"] == "exa"


@pytest.mark.parametrize(
    ("installations", "vendor"),
    [
        ([legacy()], "cpu"),
        ([legacy(retired=True)], "exa"),
        ([legacy(generation="v2")], "exa"),
        ([legacy(), legacy()], "exa"),
    ],
)
def test_the_one_legacy_container_speaks(installations, vendor):
    assert gpu_runtime(node(*installations), VENDORS)["vendor"] == vendor


def test_the_inventory_wins():
    assert gpu_runtime(node(), VENDORS, vendor="cpu", release="v2.0.3")["how"] == "inventory"


def test_a_group_names_the_vendor():
    assert gpu_runtime(node(), VENDORS, groups=["all", "gpu_cpu"])["how"] == "group gpu_cpu"


def test_the_other_filters():
    filters = FilterModule().filters()
    assert filters["gpu_sources"](VENDORS)["device_nodes"] == ["/dev/exa0"]
    assert filters["vendor_problems"](VENDORS) == []


@pytest.mark.parametrize(("evidence", "release"), [({}, "2.2.3"), (node(), "latest")])
def test_what_cannot_be_judged_is_an_error(evidence, release):
    with pytest.raises(AnsibleFilterError, match=r"fleetops\.gpustack\.gpu_runtime"):
        gpu_runtime(evidence, VENDORS, release=release)
