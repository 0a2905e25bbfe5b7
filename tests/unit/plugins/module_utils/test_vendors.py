# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU evidence against the shipped vendor files: each vendor, what misleads, what a host must have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _fleet_records, _gpu_sources, _vendors
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.vendor_evidence import (
    ACCELERATOR,
    ASCEND_NODES,
    CONTAINERS,
    DISPLAY,
    ENGINE,
    HOSTS,
    NETWORK,
    NVIDIA_NODES,
    VENDORS,
    answers,
    container,
    devices,
    gpu,
    nvidia_smi,
    requested,
)

NOTHING = (None, "no accelerator found")
NVIDIA_HOST, ASCEND_HOST = HOSTS["nvidia"], HOSTS["ascend"]


def judge(
    evidence: dict[str, Any], legacy: dict[str, Any] | None = None, release: str = "2.2.3", **more: Any
) -> _vendors.Verdict:
    """The verdict of the shipped vendor files, on a host whose Docker has every runtime."""
    arguments = {"choice": "auto", "engine": ENGINE, "vendors": VENDORS, **more}
    return _vendors.judge(evidence, legacy, release=release, **arguments)


def codes(verdict: _vendors.Verdict) -> list[str]:
    return [refusal.code for refusal in verdict.refusals]


def warned(verdict: _vendors.Verdict) -> list[str]:
    return [warning.code for warning in verdict.warnings]


# --- which vendor


@pytest.mark.parametrize("vendor", sorted(HOSTS))
def test_every_vendor_is_known_by_its_whole_host(vendor: str) -> None:
    verdict = judge(HOSTS[vendor])
    assert (verdict.vendor, codes(verdict)) == (vendor, [])


@pytest.mark.parametrize("vendor", sorted(set(HOSTS) - {"cpu"}))
def test_nodes_tool_and_pci_each_speak_for_themselves(vendor: str) -> None:
    whole = HOSTS[vendor]
    # What else the vendor's evidence asks the host for stays, as a driver that works would leave it.
    needed = VENDORS[vendor]["evidence"].get("requires_device_nodes", [])
    kept = [node for node in whole["devices"] if node in needed]
    assert judge(dict(whole, tools={}, pci=[])).how == "device nodes"
    if not kept:
        assert judge(dict(whole, devices=[], pci=[])).how == "tool"
        assert judge(dict(whole, devices=[], tools={})).how == "PCI"
        assert judge(dict(whole, devices=[], tools=answers(next(iter(whole["tools"])), 1))).how == "PCI"


@pytest.mark.parametrize("vendor", sorted(CONTAINERS))
@pytest.mark.parametrize("host", sorted(HOSTS))
def test_the_documented_container_wins_over_whatever_the_host_shows(vendor: str, host: str) -> None:
    verdict = judge(HOSTS[host], CONTAINERS[vendor])
    assert (verdict.vendor, verdict.how) == (vendor, "legacy container")


@pytest.mark.parametrize(
    ("chosen", "how"),
    [({"choice": "cpu"}, "inventory"), ({"groups": ["all", "gpu_cpu"]}, "group gpu_cpu"), ({"choice": "nvidia"}, "")],
)
def test_an_inventory_against_the_legacy_container_wins_with_a_warning(chosen: dict[str, Any], how: str) -> None:
    verdict = judge(HOSTS["nvidia"], CONTAINERS["nvidia"], **chosen)
    said = [warning.cause for warning in verdict.warnings if warning.code == "vendor_contradicted"]
    assert [f"{how} says cpu, but the legacy container speaks for nvidia" in cause for cause in said] == [True] * bool(
        how
    )


@pytest.mark.parametrize("vendor", sorted(set(CONTAINERS) - {"cpu", "iluvatar", "mthreads"}))
def test_a_container_is_known_without_a_tag_as_well(vendor: str) -> None:
    assert judge(gpu(), dict(CONTAINERS[vendor], image="registry.example/own:1")).vendor == vendor


@pytest.mark.parametrize(
    ("what", "evidence", "expected"),
    [
        ("Hygon's driver makes AMD's node, too", gpu(["/dev/kfd", "/dev/mkfd"]), ("hygon", "device nodes")),
        ("graphics of an AMD CPU", gpu(pci=[("0x1002", DISPLAY)]), NOTHING),
        ("with their node", gpu(["/dev/kfd", "/dev/dri/card0"], pci=[("0x1002", DISPLAY)]), NOTHING),
        (
            "beside an NVIDIA GPU",
            gpu(["/dev/kfd", *NVIDIA_NODES], nvidia_smi(), [("0x1002", DISPLAY), ("0x10de", DISPLAY)]),
            ("nvidia", "device nodes"),
        ),
        ("a tool without a driver", gpu(tools=answers("rocm-smi"), paths=["/opt/rocm"]), NOTHING),
        ("a network chip of Huawei", gpu(pci=[("0x19e5", NETWORK)]), NOTHING),
        ("a management chip of Huawei", gpu(pci=[("0x19e5", DISPLAY)]), NOTHING),
        ("an adapter of Mellanox", gpu(pci=[("0x15b3", NETWORK), ("0x10de", "0x020700")]), NOTHING),
        ("a storage part of Alibaba", gpu(pci=[("0x1ded", "0x010802")]), NOTHING),
        ("a management controller", gpu(pci=[("0x1a03", DISPLAY), ("0x102b", DISPLAY)]), NOTHING),
        ("WSL, without PCI", gpu(["/dev/dxg"], nvidia_smi(), wsl=True), ("nvidia", "tool")),
        ("a virtual machine without PCI", gpu(["/dev/davinci3", "/dev/davinci_manager"]), ("ascend", "device nodes")),
        ("a driver that does not answer", gpu(tools=nvidia_smi(code=9)), NOTHING),
        ("a card without a driver", gpu(pci=[("0x19e5", ACCELERATOR)]), ("ascend", "PCI")),
    ],
)
def test_what_misleads(what: str, evidence: dict[str, Any], expected: tuple[str | None, str]) -> None:
    verdict = judge(evidence)
    assert (verdict.vendor if expected != NOTHING else None, verdict.how) == expected, what
    assert expected != NOTHING or verdict.vendor == "cpu"


@pytest.mark.parametrize("image", ["g/gpustack:v0.7.1-cuda12.8", "r.example:5000/x/gpustack:v0.7.1"])
def test_a_tag_of_nvidia_alone_is_no_evidence(image: str) -> None:
    assert judge(gpu(), container(image)).vendor == "cpu"
    assert judge(NVIDIA_HOST, container(image)).how == "device nodes"


def test_the_image_of_a_vendor_without_a_file_is_refused() -> None:
    assert codes(judge(gpu(["/dev/exa0"]), container("gpustack/gpustack:v0.7.1-exa"))) == ["unknown_vendor"]
    assert judge(NVIDIA_HOST, container("g/gpustack:v0.7.1-own", runtime="nvidia")).vendor == "nvidia"
    assert judge(gpu(), container("g/gpustack:v0.7.1-exa"), choice="cpu").vendor == "cpu"


def test_several_vendors_are_for_the_operator_to_choose() -> None:
    evidence = dict(NVIDIA_HOST, devices=[*NVIDIA_NODES, "/dev/kfd"], paths=["/opt/rocm"])
    verdict = judge(evidence)
    assert codes(verdict) == ["several_vendors"]
    assert "amd (/dev/kfd), nvidia (/dev/nvidia0)" in verdict.refusals[0].cause
    assert "amd, nvidia" in verdict.refusals[0].way_out
    assert judge(evidence, container(device_requests=requested())).vendor == "nvidia"
    assert judge(evidence, choice="amd").vendor == "amd"


# --- what the inventory says


def test_the_inventory_wins_by_variable_then_by_group_then_evidence() -> None:
    def how(**inventory: Any) -> tuple[str | None, str | None]:
        verdict = judge(NVIDIA_HOST, container(device_requests=requested()), **inventory)
        return verdict.vendor, verdict.how

    assert how(choice="cpu", groups=["gpu_ascend", "all"]) == ("cpu", "inventory")
    assert how(groups=["gpu_ascend", "all"]) == ("ascend", "group gpu_ascend")
    assert how(groups=["gpu_nodes", "gpu_", "nvidia", "all"]) == ("nvidia", "legacy container")


def test_two_groups_that_name_vendors_are_refused() -> None:
    verdict = judge(gpu(), groups=["gpu_ascend", "gpu_amd"])
    assert codes(verdict) == ["several_vendor_groups"]
    assert "gpu_amd and gpu_ascend" in verdict.refusals[0].cause
    assert judge(gpu(), groups=["gpu_ascend", "gpu_amd"], choice="cpu").vendor == "cpu"


def test_an_unknown_vendor_names_the_known_ones() -> None:
    verdict = judge(gpu(), choice="voodoo")
    assert codes(verdict) == ["unknown_vendor"]
    assert "amd, ascend, cambricon, cpu, hygon" in verdict.refusals[0].way_out


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        ("gpustack/gpustack:v0.7.1-cuda12.8", "cuda12.8"),
        ("gpustack/gpustack:latest-npu-310p", "npu-310p"),
        ("r:5000/gpustack:0.7-rocm@sha256:00", "rocm"),
        ("gpustack/gpustack:v0.7.1", None),
        ("gpustack/gpustack", None),
        ("r:5000/gpustack", None),
        ("sha256:00", None),
        (None, None),
    ],
)
def test_the_suffix_of_a_tag(image: str | None, suffix: str | None) -> None:
    assert _vendors.image_suffix(image) == suffix


# --- what the host must have


@pytest.mark.parametrize("vendor", ["amd", "ascend", "iluvatar", "mthreads", "nvidia"])
def test_a_runtime_that_docker_does_not_have(vendor: str) -> None:
    verdict = judge(HOSTS[vendor], engine={"runtimes": ["runc"]})
    assert codes(verdict) == ["vendor_runtime"]
    assert vendor in verdict.refusals[0].cause
    assert "Docker" in verdict.refusals[0].way_out


@pytest.mark.parametrize(
    ("vendor", "missing"),
    [
        ("amd", "/opt/rocm"),
        ("cambricon", "/usr/bin/cnmon"),
        ("hygon", "/opt/dtk"),
        ("iluvatar", "/usr/local/corex"),
        ("metax", "/opt/maca"),
        ("thead", "/usr/local/PPU_SDK"),
    ],
)
def test_a_path_that_the_container_mounts(vendor: str, missing: str) -> None:
    host = HOSTS[vendor]
    verdict = judge(dict(host, paths=[path for path in host["paths"] if path != missing]), choice=vendor)
    assert codes(verdict) == ["vendor_paths"]
    assert f"ln -s WHERE {missing}" in verdict.refusals[0].way_out


@pytest.mark.parametrize(
    ("release", "cuda", "driver", "expected"),
    [
        ("2.0.3", "12.4", None, []),
        ("2.0.3", "12.3", None, ["driver_floor"]),
        ("2.1.0", "12.5", None, ["driver_floor"]),
        ("2.1.2", "12.6", None, []),
        ("2.2.3", "12.7", None, ["driver_floor"]),
        ("2.2.3", "13.0", None, []),
        ("2.2.0", None, "570.10", []),
        ("2.2.0", None, "560.35.03", ["driver_floor"]),
        ("2.1.0", None, "560.35.03", []),
    ],
)
def test_the_floor_of_nvidias_driver(release: str, cuda: str | None, driver: str | None, expected: list[str]) -> None:
    assert codes(judge(gpu(["/dev/nvidia0"], nvidia_smi(cuda, driver)), release=release)) == expected


@pytest.mark.parametrize(
    ("release", "rocm", "expected"),
    [("2.1.2", "6.3.4", ["driver_floor"]), ("2.1.2", "6.4", []), ("2.2.0", "6.4.1", ["driver_floor"])],
)
def test_the_floor_of_rocm(release: str, rocm: str, expected: list[str]) -> None:
    assert codes(judge(dict(HOSTS["amd"], versions={"rocm_version": rocm}), release=release)) == expected


def test_a_driver_that_tells_nothing_is_a_warning() -> None:
    verdict = judge(gpu(["/dev/nvidia0"]))
    assert (codes(verdict), warned(verdict)) == ([], ["driver_unknown"])


def test_a_vendor_that_the_release_does_not_know() -> None:
    assert codes(judge(HOSTS["thead"], release="2.0.3")) == ["vendor_release"]
    assert codes(judge(HOSTS["thead"], release="2.1.0")) == []


# --- devices


@pytest.mark.parametrize(
    ("legacy", "selected"),
    [
        (container(device_requests=requested(ids=["1"])), "1"),
        (container(device_requests=requested(ids=["GPU-5a", "GPU-6b"])), "GPU-5a,GPU-6b"),
        (container(device_requests=requested(count=1)), "0"),
        (container(runtime="nvidia", environment={"NVIDIA_VISIBLE_DEVICES": "0"}), "0"),
        (container(devices=devices("/dev/nvidiactl", "/dev/nvidia1")), "1"),
    ],
)
def test_a_restriction_is_carried_over_with_a_warning(legacy: dict[str, Any], selected: str) -> None:
    verdict = judge(NVIDIA_HOST, legacy)
    assert verdict.flags["environment"] == {"NVIDIA_VISIBLE_DEVICES": selected}
    assert (warned(verdict), verdict.gpu_gate) == (["device_selection"], _fleet_records.AT_LEAST)


@pytest.mark.parametrize(
    "legacy",
    [
        container(device_requests=requested()),
        container(device_requests=requested(count=2)),
        container(runtime="nvidia", environment={"NVIDIA_VISIBLE_DEVICES": "all"}),
        container(devices=devices("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia1")),
    ],
)
def test_all_devices_are_no_restriction(legacy: dict[str, Any]) -> None:
    verdict = judge(NVIDIA_HOST, legacy)
    assert (verdict.flags["environment"], verdict.warnings, verdict.gpu_gate) == ({}, [], _fleet_records.EXACT)


@pytest.mark.parametrize(
    ("evidence", "legacy", "selected"),
    [
        (ASCEND_HOST, CONTAINERS["ascend"], "0"),
        (gpu(["/dev/davinci12", "/dev/davinci4", "/dev/davinci_manager"]), None, "4"),
        (gpu(["/dev/davinci_manager"]), None, "0"),
        (ASCEND_HOST, container("g/g:v0.7.1-npu", devices=devices("/dev/davinci1", "/dev/davinci_manager")), "1"),
        (ASCEND_HOST, container("g/g:v0.7.1-npu", environment={"ASCEND_VISIBLE_DEVICES": "1"}), "1"),
        (
            gpu([*ASCEND_NODES, "/dev/davinci2", "/dev/davinci10"]),
            container("g/g:v0.7.1-npu", devices=devices("/dev/davinci10", "/dev/davinci2")),
            "2,10",
        ),
    ],
)
def test_ascend_always_names_a_device(evidence: dict[str, Any], legacy: dict[str, Any] | None, selected: str) -> None:
    assert judge(evidence, legacy).flags["environment"] == {"ASCEND_VISIBLE_DEVICES": selected}


def test_the_operators_devices_win_over_the_legacy_containers() -> None:
    verdict = judge(NVIDIA_HOST, container(device_requests=requested(ids=["1"])), devices=["0"])
    assert verdict.flags["environment"] == {"NVIDIA_VISIBLE_DEVICES": "0"}
    assert "gpustack_gpu_devices names the devices 0" in verdict.warnings[0].cause


def test_mig_is_a_warning_and_counts_are_not_compared() -> None:
    verdict = judge(gpu(NVIDIA_NODES, nvidia_smi(mig=[0, 3])))
    assert (codes(verdict), warned(verdict), verdict.gpu_gate) == ([], ["mig"], _fleet_records.VENDOR)
    assert "GPUs 0, 3" in verdict.warnings[0].cause


# --- everything together


@given(
    st.sets(st.sampled_from(sorted({node for host in HOSTS.values() for node in host["devices"]}))),
    st.sets(st.sampled_from(sorted({path for host in HOSTS.values() for path in host["paths"]}))),
    st.dictionaries(st.sampled_from(sorted(_gpu_sources.SHIPPED.tools)), st.sampled_from([0, 1, None])),
    st.sets(st.tuples(st.sampled_from(["0x10de", "0x1002", "0x19e5", "0x15b3"]), st.sampled_from([DISPLAY, NETWORK]))),
    st.sampled_from([None, *CONTAINERS.values()]),
)
def test_whatever_is_there_the_verdict_is_one_vendor_or_a_refusal(
    nodes: set[str], paths: set[str], tools: dict[str, Any], pci: set[tuple[str, str]], legacy: dict[str, Any] | None
) -> None:
    asked = {name: record for tool, code in tools.items() for name, record in answers(tool, code).items()}
    verdict = judge(gpu(nodes, asked, pci, paths), legacy)
    strongest = {each.vendor for each in verdict.candidates if each.how == verdict.candidates[0].how}
    if verdict.vendor is None:
        assert codes(verdict) == ["several_vendors"]
        assert len(strongest) > 1
    else:
        assert strongest == ({verdict.vendor} if verdict.candidates else set())
        assert all(notice.cause and notice.way_out for notice in [*verdict.refusals, *verdict.warnings])
    assert not ({"amd", "hygon"} <= {each.vendor for each in verdict.candidates if each.how == "device nodes"})


def test_no_verdict() -> None:
    assert _vendors.Verdict.none().as_dict() == {
        "vendor": None,
        "how": None,
        "flags": {},
        "candidates": [],
        "refusals": [],
        "warnings": [],
        "gpu_gate": "exact",
        "same_names": [],
    }


def test_a_verdict_as_data() -> None:
    data = judge(gpu(["/dev/nvidia0"])).as_dict()
    assert data["candidates"] == [{"vendor": "nvidia", "how": "device nodes", "what": "/dev/nvidia0"}]
    assert data["warnings"][0]["code"] == "driver_unknown"
