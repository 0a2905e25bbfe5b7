# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that chooses a host's GPU vendor and flags from its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _gpu_sources,
    _releases,
    _vendor_schema,
    _vendors,
)


def gpu_runtime(
    evidence: Mapping[str, Any],
    vendors: Mapping[str, Mapping[str, Any]],
    vendor: str = _vendors.AUTO,
    release: str = _releases.DEFAULT,
    groups: Sequence[str] = (),
) -> dict[str, Any]:
    """The verdict about a host from the result of ``fleetops.gpustack.node_info`` or the facts of ``gpu_facts``."""
    node = evidence.get("node", evidence)
    try:
        return _vendors.judge(node["gpu"], _legacy(node), node["engine"], vendors, vendor, release, groups).as_dict()
    except _releases.UnknownReleaseError as error:
        raise AnsibleFilterError(f"fleetops.gpustack.gpu_runtime: {error}") from error
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"fleetops.gpustack.gpu_runtime: the evidence lacks {error};"
            " hand over the result of fleetops.gpustack.node_info, or gpustack_gpu of fleetops.gpustack.gpu_facts"
        ) from error


def _legacy(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The legacy container that speaks for a vendor; of two candidates neither does."""
    installations = node.get("installations") or []
    legacy = [each for each in installations if each["generation"] == "legacy" and not each["retired"]]
    return legacy[0] if len(legacy) == 1 else None


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "gpu_runtime": gpu_runtime,
            "gpu_sources": _gpu_sources.of_vendors,
            "vendor_problems": _vendor_schema.problems,
        }
