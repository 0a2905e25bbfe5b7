# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `-e name=value` gives is text, and a consent that was denied is none."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _settings


@pytest.mark.parametrize(
    ("given", "meant"), [(True, True), (False, False), ("false", False), ("no", False), ("0", False), ("true", True)]
)
def test_a_flag_is_what_its_text_says(given: Any, meant: bool) -> None:
    assert _settings.flag({"mend_wrecks": given}, "mend_wrecks") is meant


@pytest.mark.parametrize("given", ["perhaps", "", None, []])
def test_what_is_neither_true_nor_false_is_refused_by_name(given: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="gpustack_mend_wrecks must be true or false"):
        _settings.flag({"mend_wrecks": given}, "mend_wrecks")


@pytest.mark.parametrize(
    ("given", "meant"),
    [([], ()), ("", ()), (["ollama", "caches"], ("ollama", "caches")), ("ollama, caches", ("ollama", "caches"))],
)
def test_a_list_may_be_a_text(given: Any, meant: tuple[str, ...]) -> None:
    assert _settings.names({"accept_losses": given}, "accept_losses") == meant


def test_what_is_no_list_is_refused_by_name() -> None:
    with pytest.raises(AnsibleFilterError, match="gpustack_accept_losses must be a list"):
        _settings.names({"accept_losses": {"ollama": True}}, "accept_losses")
