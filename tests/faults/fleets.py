# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet that faults are tried on: one server and two workers, made or made new."""

from __future__ import annotations

import os

from tests.lab import lifecycle
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

NAME = os.environ.get("LAB_FLEET", "faults")


def fresh() -> Fleet:
    """A freshly filled legacy fleet."""
    made_before = NAME in Fleet.names()
    fleet = lifecycle.up(Options(NAME))
    return lifecycle.reset(NAME) if made_before else fleet


def remove() -> None:
    """Remove it; LAB_KEEP=1 keeps it for the next run."""
    if os.environ.get("LAB_KEEP") != "1":
        lifecycle.down(NAME)
