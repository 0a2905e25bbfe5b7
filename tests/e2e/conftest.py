# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One real fleet for all tests of this folder; each module takes it from its freshly filled legacy state."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e import secrets
from tests.lab import lifecycle
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

pytest_plugins = ["tests.proofs.marks"]
NAME = os.environ.get("LAB_FLEET", "e2e")
TARGETS = ("2.0.0", "2.0.3", "2.2.3")


@pytest.fixture(scope="session")
def lab_fleet() -> Iterator[Fleet]:
    """The lab's fleet with every target image at hand, removed at the end; LAB_KEEP=1 keeps it for the next run."""
    yield lifecycle.up(Options(NAME, targets=TARGETS))
    if os.environ.get("LAB_KEEP") != "1":
        lifecycle.down(NAME)


@pytest.fixture(scope="module")
def fleet(lab_fleet: Fleet) -> Iterator[Fleet]:
    """The fleet in its legacy state; whatever ran on it is searched for secrets when the module is through."""
    fresh = lifecycle.reset(NAME)
    with secrets.sampled_arguments(fresh) as samples:
        yield fresh
    secrets.assert_none_shown(fresh, samples)
