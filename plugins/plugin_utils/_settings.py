# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role variables as the types that they stand for: ``-e name=false`` on a command line gives the text ``false``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.validation import check_type_bool, check_type_list


def flag(settings: Mapping[str, Any], name: str) -> bool:
    """A variable that is true or false, in any of Ansible's words for it."""
    try:
        return bool(check_type_bool(settings[name]))
    except TypeError as error:
        raise AnsibleFilterError(f"gpustack_{name} must be true or false: {error}") from error


def names(settings: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A variable that is a list; a text is one whose elements are separated by commas."""
    try:
        found = [str(each).strip() for each in check_type_list(settings[name])]
    except TypeError as error:
        raise AnsibleFilterError(f"gpustack_{name} must be a list: {error}") from error
    return tuple(each for each in found if each)
