# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU evidence against vendor data: the shipped files, and made-up ones for what only further vendors need."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases, _vendors

FILES = Path(__file__).parents[4] / "roles" / "gpu_runtime" / "vars" / "vendors"
VENDORS = {
    name.replace("gpu_runtime_vendor_", ""): data
    for path in sorted(FILES.glob("*.yml"))
    for name, data in yaml.safe_load(path.read_text(encoding="utf-8")).items()
}
PCI_CLASSES = ["0x03", "0x0b40", "0x12"]
# Two vendors that share a device node, and one whose PCI number is on chips that are no accelerator.
FURTHER = {
    "amd": {
        "title": "AMD",
        "evidence": {
            "container": {"image_suffixes": ["rocm"], "devices": ["/dev/kfd"]},
            "device_nodes": ["/dev/kfd"],
            "unless_device_nodes": ["/dev/mkfd"],
            "pci": {"vendor": "0x1002", "classes": PCI_CLASSES, "requires_device_nodes": ["/dev/kfd"]},
        },
        "flags": [
            {"since": "2.0.0", "runtime": "amd", "privileged": True},
            {"since": "2.0.1", "runtime": "amd", "privileged": True, "volumes": ["/opt/rocm:/opt/rocm:ro"]},
        ],
        "required_directories": ["/opt/rocm"],
    },
    "hygon": {
        "title": "Hygon",
        "evidence": {"container": {"image_suffixes": ["dcu"]}, "device_nodes": ["/dev/mkfd"]},
        "flags": [{"since": "2.1.0", "privileged": True}],
    },
}
ALL = dict(VENDORS, **FURTHER)
ENGINE = {"runtimes": ["runc", "nvidia", "amd"]}


def gpu(devices=(), tools=None, pci=(), directories=()):
    return {
        "devices": list(devices),
        "tools": tools or {},
        "pci": list(pci),
        "modules": [],
        "directories": list(directories),
    }


def smi(cuda="12.8", driver="570.86.15", code=0):
    return {
        "nvidia-smi": {
            "path": "/usr/bin/nvidia-smi",
            "rc": code,
            "cuda_version": cuda,
            "gpus": [{"driver_version": driver}],
        }
    }


def container(image="gpustack/gpustack:v0.7.1", **more):
    return dict({"image": image, "runtime": "runc", "devices": [], "device_requests": [], "environment": {}}, **more)


def judge(evidence, legacy=None, choice="auto", release="2.2.3", vendors=None, engine=None):
    return _vendors.judge(evidence, legacy, engine or ENGINE, vendors or ALL, choice, release)


def codes(verdict):
    return [refusal.code for refusal in verdict.refusals]


NVIDIA_HOST = gpu(["/dev/nvidiactl", "/dev/nvidia0"], smi())
PCI_NVIDIA = {"address": "0000:01:00.0", "vendor": "0x10de", "class": "0x030200"}
ALL_GPUS = [{"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]]}]


# --- which vendor


@pytest.mark.parametrize(
    ("evidence", "legacy", "vendor", "how"),
    [
        (gpu(), None, "cpu", "no accelerator found"),
        (gpu(), container(), "cpu", "no accelerator found"),
        (gpu(), container("gpustack/gpustack:v0.7.1-cpu"), "cpu", "legacy container"),
        (NVIDIA_HOST, container("gpustack/gpustack:v0.7.1-cpu"), "cpu", "legacy container"),
        (NVIDIA_HOST, container(device_requests=ALL_GPUS), "nvidia", "legacy container"),
        (NVIDIA_HOST, container(runtime="nvidia"), "nvidia", "legacy container"),
        (NVIDIA_HOST, container(devices=[{"PathOnHost": "/dev/nvidia0"}]), "nvidia", "legacy container"),
        (NVIDIA_HOST, container("r.example:5000/x/gpustack:v0.7.1-cuda12.8"), "nvidia", "device nodes"),
        (gpu(tools=smi()), None, "nvidia", "tool"),
        (gpu(tools=smi(code=9)), None, "cpu", "no accelerator found"),
        (gpu(pci=[PCI_NVIDIA]), None, "nvidia", "PCI"),
        (gpu(pci=[dict(PCI_NVIDIA, **{"class": "0x020700"})]), None, "cpu", "no accelerator found"),
        (gpu(["/dev/kfd"], directories=["/opt/rocm"]), None, "amd", "device nodes"),
        (gpu(["/dev/kfd", "/dev/mkfd"]), None, "hygon", "device nodes"),
        (gpu(pci=[{"address": "a", "vendor": "0x1002", "class": "0x030000"}]), None, "cpu", "no accelerator found"),
        (gpu(pci=[{"address": "a", "vendor": "0x1a03", "class": "0x030000"}]), None, "cpu", "no accelerator found"),
    ],
)
def test_the_strongest_evidence_decides(evidence, legacy, vendor, how):
    verdict = judge(evidence, legacy)
    assert (verdict.vendor, verdict.how, codes(verdict)) == (vendor, how, [])


def test_the_inventory_wins():
    verdict = judge(NVIDIA_HOST, container(device_requests=ALL_GPUS), choice="cpu")
    assert (verdict.vendor, verdict.how) == ("cpu", "inventory")
    assert {candidate.vendor for candidate in verdict.candidates} == {"nvidia"}


def test_an_unknown_vendor_names_the_known_ones():
    verdict = judge(gpu(), choice="voodoo", vendors=VENDORS)
    assert codes(verdict) == ["unknown_vendor"]
    assert "cpu, nvidia" in verdict.refusals[0].way_out


def test_the_image_of_a_vendor_without_a_file_is_refused():
    assert codes(judge(gpu(["/dev/davinci0"]), container("gpustack/gpustack:v0.7.1-npu"))) == ["unknown_vendor"]
    assert judge(NVIDIA_HOST, container("g/gpustack:v0.7.1-own", runtime="nvidia")).vendor == "nvidia"
    assert judge(gpu(), container("g/gpustack:v0.7.1-npu"), choice="cpu").vendor == "cpu"


def test_several_vendors_are_for_the_operator_to_choose():
    evidence = gpu(["/dev/nvidia0", "/dev/kfd"], smi(), directories=["/opt/rocm"])
    verdict = judge(evidence)
    assert codes(verdict) == ["several_vendors"]
    assert "amd, nvidia" in verdict.refusals[0].way_out
    assert judge(evidence, container(device_requests=ALL_GPUS)).vendor == "nvidia"
    assert judge(evidence, choice="amd").vendor == "amd"


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
def test_the_suffix_of_a_tag(image, suffix):
    assert _vendors.image_suffix(image) == suffix


# --- what the host must have


def test_a_runtime_that_docker_does_not_have():
    verdict = judge(NVIDIA_HOST, engine={"runtimes": ["runc"]})
    assert codes(verdict) == ["vendor_runtime"]
    assert "nvidia-ctk" in verdict.refusals[0].way_out


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
def test_the_floor_of_the_driver_is_the_releases(release, cuda, driver, expected):
    assert codes(judge(gpu(["/dev/nvidia0"], smi(cuda, driver)), release=release)) == expected


def test_a_driver_that_tells_nothing_is_a_warning():
    verdict = judge(gpu(["/dev/nvidia0"]))
    assert codes(verdict) == []
    assert [warning.code for warning in verdict.warnings] == ["driver_unknown"]


def test_directories_that_the_container_mounts():
    assert codes(judge(gpu(["/dev/kfd"]))) == ["vendor_directories"]


def test_a_vendor_that_the_release_does_not_know():
    assert codes(judge(gpu(["/dev/mkfd"]), release="2.0.3")) == ["vendor_release"]


# --- flags


@pytest.mark.parametrize("version", list(_releases.RELEASES))
@pytest.mark.parametrize(("vendor", "runtime"), [("nvidia", "nvidia"), ("cpu", None)])
def test_the_shipped_vendors_have_flags_for_every_release(version, vendor, runtime):
    flags = _vendors.flags_for(VENDORS[vendor], version)
    assert (flags["runtime"], flags["privileged"]) == (runtime, True)
    assert set(_vendors.FLAGS) < set(flags)


def test_the_newest_entry_that_is_not_newer_counts_whole():
    assert _vendors.flags_for(FURTHER["amd"], "2.0.0")["volumes"] == []
    assert _vendors.flags_for(FURTHER["amd"], _releases.find("2.2.3"))["volumes"] == ["/opt/rocm:/opt/rocm:ro"]


def test_a_flag_that_nobody_knows_is_refused():
    with pytest.raises(_vendors.VendorError, match="gpus"):
        _vendors.flags_for({"title": "X", "flags": [{"since": "2.0.0", "gpus": "all"}]}, "2.2.3")


def test_flags_are_not_shared():
    _vendors.flags_for(FURTHER["amd"], "2.2.3")["volumes"].append("x")
    assert "x" not in _vendors.flags_for(FURTHER["amd"], "2.2.3")["volumes"]


@pytest.mark.parametrize(
    "legacy",
    [
        container(device_requests=[{"Driver": "", "DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}]),
        container(runtime="nvidia", environment={"NVIDIA_VISIBLE_DEVICES": "0,1"}),
    ],
)
def test_a_restriction_to_devices_is_carried_over_with_a_warning(legacy):
    verdict = judge(NVIDIA_HOST, legacy)
    assert verdict.flags["environment"] == {"NVIDIA_VISIBLE_DEVICES": "0,1"}
    assert [warning.code for warning in verdict.warnings] == ["device_selection"]


@pytest.mark.parametrize(
    "legacy",
    [container(device_requests=ALL_GPUS), container(runtime="nvidia", environment={"NVIDIA_VISIBLE_DEVICES": "all"})],
)
def test_all_devices_are_no_restriction(legacy):
    verdict = judge(NVIDIA_HOST, legacy)
    assert (verdict.flags["environment"], verdict.warnings) == ({}, [])


def test_no_verdict():
    assert _vendors.Verdict.none().as_dict() == {
        "vendor": None,
        "how": None,
        "flags": {},
        "candidates": [],
        "refusals": [],
        "warnings": [],
    }


def test_a_verdict_as_data():
    data = judge(gpu(["/dev/nvidia0"])).as_dict()
    assert data["candidates"] == [{"vendor": "nvidia", "how": "device nodes", "what": "/dev/nvidia0"}]
    assert data["warnings"][0]["code"] == "driver_unknown"
