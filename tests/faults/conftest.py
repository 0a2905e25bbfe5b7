# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server of a real fleet, legacy and at rest before each fault, and legacy again after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults import fleets, ledger, outcome
from tests.faults.controller import Answer
from tests.faults.subject import Subject, subjects

Keep = Callable[..., None]


@pytest.fixture(scope="session")
def hosts() -> dict[str, Subject]:
    """The hosts of the fleet, freshly filled and prepared; the fleet stays, as `make faults` goes on with it."""
    return subjects(fleets.fresh())


@pytest.fixture
def server(hosts: dict[str, Subject]) -> Iterator[Subject]:
    """A server whose legacy container stands still, so that every byte of it can be compared."""
    subject = hosts["server"]
    subject.rest_in_legacy()
    yield subject
    subject.go_back()


@pytest.fixture
def keep() -> Keep:
    """Writes a fault, what the user saw of it, and what it came to into the ledger."""
    began = time.monotonic()

    def add(fault: str, answer: Answer, came_to: str, then: str = "nothing") -> None:
        ledger.add(
            ledger.Entry(
                fault=fault,
                host="server",
                kind="",
                saw=ledger.first_sentence(answer.message),
                then=then,
                outcome=came_to,
                release=outcome.RELEASE,
                seconds=round(time.monotonic() - began, 1),
            )
        )

    return add
