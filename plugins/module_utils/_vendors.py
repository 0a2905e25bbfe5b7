# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPU evidence against vendor data: which vendor, how it is known, and its flags for a release. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases

AUTO = "auto"
CPU = "cpu"

# Flags that an entry of a vendor file may hold, with the value of those that it leaves out.
FLAGS: dict[str, Any] = {
    "runtime": None,
    "environment": {},
    "volumes": [],
    "devices": [],
    "capabilities": [],
    "privileged": False,
    "ipc_mode": None,
    "pid_mode": None,
    "group_add": [],
    "security_opt": [],
}


class VendorError(ValueError):
    """Vendor data that cannot serve; the message says the way out."""


class Notice(NamedTuple):
    """A refusal or a warning."""

    code: str
    cause: str
    way_out: str


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
        }


def judge(
    gpu: Mapping[str, Any],
    installation: Mapping[str, Any] | None,
    engine: Mapping[str, Any],
    vendors: Mapping[str, Mapping[str, Any]],
    choice: str | None = AUTO,
    release: str | _releases.Release = _releases.DEFAULT,
) -> Verdict:
    """
    The vendor of a host that runs a worker.

    `gpu`, `engine` and `installation` (the legacy container, if there is one) are the evidence of node_info, `vendors`
    the vendor data by name, `choice` what the inventory says.
    """
    version = release.version if isinstance(release, _releases.Release) else _releases.normalise(release)
    found = candidates(gpu, installation, vendors)
    if choice and choice != AUTO:
        if choice not in vendors:
            return Verdict(candidates=found, refusals=[_unknown(choice, vendors)])
        return _verdict(choice, "inventory", found, gpu, installation, engine, vendors, version)
    stranger = _foreign_suffix(installation, vendors)
    if stranger and not any(candidate.how == LEGACY_CONTAINER for candidate in found):
        return Verdict(
            candidates=found,
            refusals=[_unknown(stranger, vendors, f"the tag of the legacy image ends in '{stranger}'")],
        )
    if not found:
        return _verdict(CPU, "no accelerator found", found, gpu, installation, engine, vendors, version)
    strongest = [candidate for candidate in found if candidate.how == found[0].how]
    names = sorted({candidate.vendor for candidate in strongest})
    if len(names) > 1:
        return Verdict(candidates=found, refusals=[_several(strongest, names)])
    return _verdict(names[0], found[0].how, found, gpu, installation, engine, vendors, version)


def flags_for(data: Mapping[str, Any], release: str | _releases.Release) -> dict[str, Any]:
    """
    The flags of a vendor for a release: the newest entry that is not newer than the release, whole.

    With what `_container_spec.build` needs beside them: `devices_variable`, `legacy_environment` and `legacy_mounts`.
    """
    version = release.version if isinstance(release, _releases.Release) else _releases.normalise(release)
    entry = _newest_entry(data.get("flags") or [], version)
    if entry is None:
        raise VendorError(
            "the vendor data of {} has no flags for GPUStack {}; choose a newer release".format(
                data.get("title"), version
            )
        )
    unknown = sorted(set(entry) - set(FLAGS) - {"since"})
    if unknown:
        raise VendorError(
            "the vendor data of {} has the unknown flags {}; known are {}".format(
                data.get("title"), ", ".join(unknown), ", ".join(FLAGS)
            )
        )
    flags = {name: _copy(entry.get(name, default)) for name, default in FLAGS.items()}
    flags["devices_variable"] = data.get("devices_variable")
    flags["legacy_environment"] = list(data.get("legacy_environment") or [])
    flags["legacy_mounts"] = list(data.get("legacy_mounts") or [])
    return flags


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
        ("PCI", lambda evidence: _pci(evidence.get("pci") or {}, gpu)),
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
    for device in installation.get("devices") or []:
        if _matches(evidence.get("devices"), str(device.get("PathOnHost"))):
            return "device {}".format(device["PathOnHost"])
    return None


def _device_nodes(evidence: Mapping[str, Any], gpu: Mapping[str, Any]) -> str | None:
    present = gpu.get("devices") or []
    if _first_match(evidence.get("unless_device_nodes"), present):
        return None
    return _first_match(evidence.get("device_nodes"), present)


def _tool(evidence: Mapping[str, Any], gpu: Mapping[str, Any]) -> str | None:
    for name in evidence.get("tools") or []:
        if (gpu.get("tools") or {}).get(name, {}).get("rc") == 0:
            return str(name)
    return None


def _pci(evidence: Mapping[str, Any], gpu: Mapping[str, Any]) -> str | None:
    """A vendor's number alone is not enough: it is also on network chips, and on graphics inside of a CPU."""
    needed = evidence.get("requires_device_nodes")
    if needed and not _first_match(needed, gpu.get("devices") or []):
        return None
    for device in gpu.get("pci") or []:
        classes = tuple(evidence.get("classes") or ())
        if device.get("vendor") == evidence.get("vendor") and str(device.get("class") or "").startswith(classes):
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
) -> Verdict:
    if vendor not in vendors:
        return Verdict(candidates=found, refusals=[_unknown(vendor, vendors)])
    data = vendors[vendor]
    try:
        flags = flags_for(data, version)
    except VendorError as error:
        return Verdict(
            vendor,
            how,
            candidates=found,
            refusals=[Notice("vendor_release", str(error), "or set gpustack_gpu_vendor to another vendor")],
        )
    warnings = _select_devices(flags, installation)
    refusals, unchecked = _driver(data, gpu, version)
    refusals += _runtime(data, flags, engine) + _directories(data, gpu)
    return Verdict(vendor, how, flags, found, refusals, warnings + unchecked)


def _unknown(vendor: str, vendors: Mapping[str, Any], cause: str | None = None) -> Notice:
    return Notice(
        "unknown_vendor",
        f"{cause}, and there is no vendor data for it" if cause else f"there is no vendor data for '{vendor}'",
        "set gpustack_gpu_vendor for this host to one of: {}".format(", ".join(sorted(vendors))),
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


def _directories(data: Mapping[str, Any], gpu: Mapping[str, Any]) -> list[Notice]:
    missing = [path for path in data.get("required_directories") or [] if path not in (gpu.get("directories") or [])]
    if not missing:
        return []
    way_out = f"install the driver there, or link the directory to where it is (ln -s WHERE {missing[0]})"
    return [
        Notice(
            "vendor_directories",
            "the host lacks {}, which {} containers mount".format(", ".join(missing), data.get("title")),
            way_out,
        )
    ]


def _driver(data: Mapping[str, Any], gpu: Mapping[str, Any], version: str) -> tuple[list[Notice], list[Notice]]:
    """Refusals and warnings about the driver: below the release's floor, or not to be found out."""
    driver = data.get("driver") or {}
    floor = _newest_entry(driver.get("floors") or [], version)
    if floor is None:
        return [], []
    record = (gpu.get("tools") or {}).get(driver["tool"]) or {}
    needed = {name: str(value) for name, value in floor.items() if name != "since"}
    wanted = " or ".join("{} {}".format(name.replace("_", " "), value) for name, value in needed.items())
    for name, minimum in needed.items():
        value = record.get(name) or next((each.get(name) for each in record.get("gpus") or [] if each.get(name)), None)
        if value is None:
            continue
        if _releases.at_least(str(value), minimum):
            return [], []
        cause = "the driver has {} {}; GPUStack {} needs at least {}".format(
            name.replace("_", " "), value, version, minimum
        )
        return [Notice("driver_floor", cause, str(driver["way_out"]))], []
    cause = "{} does not tell the driver's version; GPUStack {} needs at least {}".format(
        driver["tool"], version, wanted
    )
    return [], [
        Notice("driver_unknown", cause, "the GPU trial will tell; see that {} runs on the host".format(driver["tool"]))
    ]


def _select_devices(flags: dict[str, Any], installation: Mapping[str, Any] | None) -> list[Notice]:
    """Devices that the legacy container was restricted to stay the only ones that the vendor's variable names."""
    variable = flags["devices_variable"]
    legacy = installation or {}
    if not variable:
        return []
    requested = [
        str(device) for request in legacy.get("device_requests") or [] for device in request.get("DeviceIDs") or []
    ]
    selected = ",".join(requested) or (legacy.get("environment") or {}).get(variable)
    if not selected or selected == "all":
        return []
    flags["environment"] = dict(flags["environment"], **{variable: selected})
    if not flags["privileged"]:
        return []
    cause = (
        f"the legacy container was restricted to the devices {selected}; {variable}={selected} is carried over, but"
        " v2's container is privileged and sees all"
    )
    return [
        Notice(
            "device_selection", cause, "expect the GPU trial to report the others, or give the worker the whole host"
        )
    ]


def _newest_entry(entries: Iterable[Mapping[str, Any]], version: str) -> Mapping[str, Any] | None:
    """The entry with the highest `since` that is not newer than the version."""
    fitting = [entry for entry in entries if _releases.at_least(version, str(entry["since"]))]
    return max(fitting, key=lambda entry: _releases.version_key(str(entry["since"])), default=None)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, (list, tuple)) else value
