# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU evidence against vendor data: which vendor, how it is known, and its flags for a release. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _fleet_records, _releases, _vendor_flags
from ansible_collections.fleetops.gpustack.plugins.module_utils._vendor_flags import Notice, VendorError

AUTO = "auto"
CPU = "cpu"
GROUP_PREFIX = "gpu_"


class Candidate(NamedTuple):
    """A vendor that a kind of evidence speaks for."""

    vendor: str
    how: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """Which vendor a host has, how it is known, with what flags, and what speaks against it."""

    vendor: str | None = None
    how: str | None = None
    flags: dict[str, Any] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    refusals: list[Notice] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
    #: How the GPUs that v2 sees are held against the legacy record: `_fleet_records.EXACT`, `AT_LEAST` or `VENDOR`.
    gpu_gate: str = _fleet_records.EXACT
    #: Patterns by which two names of a GPU are the same one.
    same_names: list[str] = field(default_factory=list)

    @classmethod
    def none(cls) -> Verdict:
        """For a host where no GPU matters."""
        return cls()

    def as_dict(self) -> dict[str, Any]:
        """For a template."""
        return {
            "vendor": self.vendor,
            "how": self.how,
            "flags": self.flags,
            "candidates": [dict(candidate._asdict()) for candidate in self.candidates],
            "refusals": [dict(notice._asdict()) for notice in self.refusals],
            "warnings": [dict(notice._asdict()) for notice in self.warnings],
            "gpu_gate": self.gpu_gate,
            "same_names": self.same_names,
        }


def judge(
    gpu: Mapping[str, Any],
    installation: Mapping[str, Any] | None,
    engine: Mapping[str, Any],
    vendors: Mapping[str, Mapping[str, Any]],
    choice: str | None = AUTO,
    release: str | _releases.Release = _releases.DEFAULT,
    groups: Sequence[str] = (),
    devices: Sequence[str] = (),
) -> Verdict:
    """
    The vendor of a host that runs a worker.

    `gpu`, `engine` and `installation` (the legacy container, if there is one) are the evidence of node_info, `vendors`
    the vendor data by name. The inventory speaks by a variable (`choice`) or, where that is `auto`, by the name of a
    group of the host: `gpu_` and a vendor; `devices` are those that it restricts the container to.
    """
    version = release.version if isinstance(release, _releases.Release) else _releases.normalise(release)
    found = candidates(gpu, installation, vendors)
    if choice and choice != AUTO:
        if choice not in vendors:
            return Verdict(candidates=found, refusals=[_unknown(choice, vendors)])
        return _verdict(choice, "inventory", found, gpu, installation, engine, vendors, version, devices)
    named = sorted({group for group in groups if _of_group(group) in vendors})
    if len(named) > 1:
        return Verdict(candidates=found, refusals=[_several_groups(named)])
    if named:
        return _verdict(
            _of_group(named[0]), f"group {named[0]}", found, gpu, installation, engine, vendors, version, devices
        )
    stranger = _foreign_suffix(installation, vendors)
    if stranger and not any(candidate.how == LEGACY_CONTAINER for candidate in found):
        return Verdict(
            candidates=found,
            refusals=[_unknown(stranger, vendors, f"the tag of the legacy image ends in '{stranger}'")],
        )
    if not found:
        return _verdict(CPU, "no accelerator found", found, gpu, installation, engine, vendors, version, devices)
    strongest = [candidate for candidate in found if candidate.how == found[0].how]
    names = sorted({candidate.vendor for candidate in strongest})
    if len(names) > 1:
        return Verdict(candidates=found, refusals=[_several(strongest, names)])
    return _verdict(names[0], found[0].how, found, gpu, installation, engine, vendors, version, devices)


# --- evidence -------------------------------------------------------------------------------------

LEGACY_CONTAINER = "legacy container"


def candidates(
    gpu: Mapping[str, Any], installation: Mapping[str, Any] | None, vendors: Mapping[str, Mapping[str, Any]]
) -> list[Candidate]:
    """Every vendor that some evidence speaks for, the strongest kind of evidence first."""
    kinds: Sequence[tuple[str, Callable[[Mapping[str, Any]], str | None]]] = (
        (LEGACY_CONTAINER, lambda evidence: _container(evidence.get("container") or {}, installation)),
        ("device nodes", lambda evidence: _device_nodes(evidence, gpu)),
        ("tool", lambda evidence: _tool(evidence, gpu)),
        ("PCI", lambda evidence: _pci(evidence, gpu)),
    )
    return [
        Candidate(name, how, what)
        for how, look in kinds
        for name, data in sorted(vendors.items())
        for what in [look(data.get("evidence") or {})]
        if what
    ]


def _container(evidence: Mapping[str, Any], installation: Mapping[str, Any] | None) -> str | None:
    """What the legacy container was given: a tag's suffix, a runtime, device requests, devices."""
    if not installation:
        return None
    suffix = image_suffix(installation.get("image"))
    if suffix and _matches(evidence.get("image_suffixes"), suffix):
        return "image {}".format(installation["image"])
    if installation.get("runtime") in (evidence.get("runtimes") or []):
        return "runtime {}".format(installation["runtime"])
    for request in installation.get("device_requests") or []:
        asked = {request.get("Driver"), *(name for names in request.get("Capabilities") or [] for name in names)}
        if asked & set(evidence.get("device_requests") or []):
            return "requested GPUs"
    devices = [str(device.get("PathOnHost")) for device in installation.get("devices") or []]
    if _first_match(evidence.get("unless_devices"), devices):
        return None
    device = _first_match(evidence.get("devices"), devices)
    return device and f"device {device}"


def _is_driven(evidence: Mapping[str, Any], gpu: Mapping[str, Any]) -> bool:
    """Whether the host has what the vendor's driver needs, and nothing that shows another vendor of its family.

    Graphics inside of a CPU have the vendor's number and even its device node, but nobody installed its software.
    """
    present, paths = gpu.get("devices") or [], gpu.get("paths") or []
    if _first_match(evidence.get("unless_device_nodes"), present):
        return False
    nodes, software = evidence.get("requires_device_nodes"), evidence.get("requires_paths")
    return (not nodes or bool(_first_match(nodes, present))) and (not software or bool(set(software) & set(paths)))


def _device_nodes(evidence: Mapping[str, Any], gpu: Mapping[str, Any]) -> str | None:
    if not _is_driven(evidence, gpu):
        return None
    return _first_match(evidence.get("device_nodes"), gpu.get("devices") or [])


def _tool(evidence: Mapping[str, Any], gpu: Mapping[str, Any]) -> str | None:
    if not _is_driven(evidence, gpu):
        return None
    for name in evidence.get("tools") or {}:
        if (gpu.get("tools") or {}).get(name, {}).get("rc") == 0:
            return str(name)
    return None


def _pci(evidence: Mapping[str, Any], gpu: Mapping[str, Any]) -> str | None:
    """A vendor's number alone is not enough: it is also on network chips, and on graphics inside of a CPU."""
    wanted = evidence.get("pci") or {}
    if not _is_driven(evidence, gpu):
        return None
    for device in gpu.get("pci") or []:
        classes = tuple(wanted.get("classes") or ())
        if device.get("vendor") == wanted.get("vendor") and str(device.get("class") or "").startswith(classes):
            return str(device.get("address"))
    return None


def image_suffix(image: str | None) -> str | None:
    """What follows the version in a legacy tag: v0.7.1-cuda12.8 -> cuda12.8; None without one."""
    tag = str(image or "").split("@", 1)[0].rsplit("/", 1)[-1].partition(":")[2]
    match = re.fullmatch(r"(?:v?\d+(?:\.\d+)*|latest|main)-(?P<suffix>.+)", tag)
    return match.group("suffix") if match else None


def _foreign_suffix(installation: Mapping[str, Any] | None, vendors: Mapping[str, Mapping[str, Any]]) -> str | None:
    """A tag's suffix that no vendor data claims: the image of a vendor that is not supported yet, or somebody's own."""
    suffix = image_suffix((installation or {}).get("image"))
    if not suffix:
        return None
    known = [((data.get("evidence") or {}).get("container") or {}).get("image_suffixes") for data in vendors.values()]
    weak = [
        ((data.get("evidence") or {}).get("container") or {}).get("image_suffixes_without_meaning")
        for data in vendors.values()
    ]
    return None if any(_matches(patterns, suffix) for patterns in known + weak) else suffix


def _matches(patterns: Iterable[str] | None, text: str) -> bool:
    return any(re.fullmatch(pattern, text) for pattern in patterns or ())


def _first_match(patterns: Iterable[str] | None, texts: Iterable[str]) -> str | None:
    listed = list(patterns or ())
    return next((text for text in texts if _matches(listed, text)), None)


# --- the verdict ----------------------------------------------------------------------------------


def _verdict(
    vendor: str,
    how: str,
    found: list[Candidate],
    gpu: Mapping[str, Any],
    installation: Mapping[str, Any] | None,
    engine: Mapping[str, Any],
    vendors: Mapping[str, Mapping[str, Any]],
    version: str,
    devices: Sequence[str],
) -> Verdict:
    if vendor not in vendors:
        return Verdict(candidates=found, refusals=[_unknown(vendor, vendors)])
    data = vendors[vendor]
    try:
        flags = _vendor_flags.flags_for(data, version, gpu.get("paths") or ())
    except VendorError as error:
        return Verdict(
            vendor,
            how,
            candidates=found,
            refusals=[Notice("vendor_release", str(error), "or set gpustack_gpu_vendor to another vendor")],
        )
    restricted = _vendor_flags.select_devices(flags, data, installation, gpu, devices)
    divided = _divided(data, gpu)
    refusals, unchecked = _driver(data, gpu, version)
    refusals += _runtime(data, flags, engine) + _paths(data, flags, gpu)
    gate = _fleet_records.EXACT
    if divided:
        gate = _fleet_records.VENDOR
    elif restricted:
        gate = _fleet_records.AT_LEAST
    names = list(data.get("same_names") or [])
    warnings = [*_contradicted(vendor, how, found), *restricted, *divided, *unchecked]
    return Verdict(vendor, how, flags, found, refusals, warnings, gate, names)


def _contradicted(vendor: str, how: str, found: Sequence[Candidate]) -> list[Notice]:
    """The inventory wins over the legacy container, but a slip there would leave a worker without its GPUs."""
    seen = [candidate for candidate in found if candidate.how == LEGACY_CONTAINER]
    if not seen or vendor in [candidate.vendor for candidate in seen]:
        return []
    speaks = ", ".join(f"{candidate.vendor} ({candidate.what})" for candidate in seen)
    return [
        Notice(
            "vendor_contradicted",
            f"{how} says {vendor}, but the legacy container speaks for {speaks}",
            "correct the group, or gpustack_gpu_vendor, unless the host's accelerators were changed",
        )
    ]


def _unknown(vendor: str, vendors: Mapping[str, Any], cause: str | None = None) -> Notice:
    return Notice(
        "unknown_vendor",
        f"{cause}, and there is no vendor data for it" if cause else f"there is no vendor data for '{vendor}'",
        "set gpustack_gpu_vendor for this host to one of: {}".format(", ".join(sorted(vendors))),
    )


def _of_group(group: str) -> str:
    return group[len(GROUP_PREFIX) :] if group.startswith(GROUP_PREFIX) else ""


def _several_groups(groups: Sequence[str]) -> Notice:
    return Notice(
        "several_vendor_groups",
        "the inventory has the host in the groups {}, which speak for several vendors".format(" and ".join(groups)),
        "leave it in one of them, or set gpustack_gpu_vendor for this host",
    )


def _several(strongest: Sequence[Candidate], names: Sequence[str]) -> Notice:
    seen = ", ".join(f"{candidate.vendor} ({candidate.what})" for candidate in strongest)
    return Notice(
        "several_vendors",
        f"{strongest[0].how} speak for several vendors: {seen}; a container has one runtime",
        "set gpustack_gpu_vendor for this host to one of: {}".format(", ".join(names)),
    )


def _runtime(data: Mapping[str, Any], flags: Mapping[str, Any], engine: Mapping[str, Any]) -> list[Notice]:
    runtime = flags["runtime"]
    registered = engine.get("runtimes") or []
    if not runtime or runtime in registered:
        return []
    cause = "Docker has no runtime '{}', which {} needs; it has: {}".format(
        runtime, data.get("title"), ", ".join(registered) or "none"
    )
    return [
        Notice(
            "vendor_runtime",
            cause,
            str(data.get("runtime_way_out") or "install the vendor's container toolkit and register its runtime"),
        )
    ]


def _paths(data: Mapping[str, Any], flags: Mapping[str, Any], gpu: Mapping[str, Any]) -> list[Notice]:
    """Docker makes an empty directory of a mount's source that is missing, and nothing says so later."""
    sources = [volume.split(":", 1)[0] for volume in flags["volumes"]]
    missing = [path for path in sources if path not in (gpu.get("paths") or [])]
    if not missing:
        return []
    way_out = f"install the driver there, or link the path to where it is (ln -s WHERE {missing[0]})"
    return [
        Notice(
            "vendor_paths",
            "the host lacks {}, which {} containers mount".format(", ".join(missing), data.get("title")),
            way_out,
        )
    ]


def _divided(data: Mapping[str, Any], gpu: Mapping[str, Any]) -> list[Notice]:
    """GPUs in MIG mode: releases count them differently (gpustack-runtime, detector/nvidia.py)."""
    divided = [
        index
        for name in (data.get("evidence") or {}).get("tools") or {}
        for index in _of_tool(gpu, name).get("mig", [])
    ]
    if not divided:
        return []
    return [
        Notice(
            "mig",
            "the GPUs {} are in MIG mode; 0.x and v2 list MIG devices in different ways, so that count and index of"
            " this host's GPUs are not compared".format(", ".join(str(index) for index in divided)),
            "look at the worker's GPUs after the upgrade, and at models that name GPUs of this host by index",
        )
    ]


def _of_tool(gpu: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    record: Mapping[str, Any] = (gpu.get("tools") or {}).get(name) or {}
    return record


def _driver(data: Mapping[str, Any], gpu: Mapping[str, Any], version: str) -> tuple[list[Notice], list[Notice]]:
    """Refusals and warnings about the driver: below the release's floor, or not to be found out."""
    driver = data.get("driver") or {}
    floor = _vendor_flags.newest_entry(driver.get("floors") or [], version)
    if floor is None:
        return [], []
    needed = {name: str(value) for name, value in floor.items() if name != "since"}
    wanted = " or ".join("{} {}".format(name.replace("_", " "), value) for name, value in needed.items())
    for name, minimum in needed.items():
        value = _version_of(name, driver, gpu)
        if value is None:
            continue
        if _releases.at_least(value, minimum):
            return [], []
        cause = "the driver has {} {}; GPUStack {} needs at least {}".format(
            name.replace("_", " "), value, version, minimum
        )
        return [Notice("driver_floor", cause, str(driver["way_out"]))], []
    cause = f"nothing tells the driver's version; GPUStack {version} needs at least {wanted}"
    return [], [Notice("driver_unknown", cause, "the GPU trial will tell; see that the vendor's tool runs on the host")]


def _version_of(name: str, driver: Mapping[str, Any], gpu: Mapping[str, Any]) -> str | None:
    """A version from the vendor's tool, from its GPUs, or from the file that holds it."""
    record = _of_tool(gpu, str(driver.get("tool")))
    places = [record, *(record.get("gpus") or []), gpu.get("versions") or {}]
    return next((str(place[name]) for place in places if place.get(name)), None)
