# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that puts a transfer from macOS or Windows into lines for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.fleetops.gpustack.plugins.module_utils import _transfer_text


def transfer_text(source: Mapping[str, Any], target: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What comes and what does not."""
    try:
        return _transfer_text.lines(source, target, settings)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"fleetops.gpustack.transfer_text: unexpected input: {error!r}") from error


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"transfer_text": transfer_text}
