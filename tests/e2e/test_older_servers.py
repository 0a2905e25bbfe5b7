# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of 0.3 and 0.5 on one host each, to 2.2.3 and back: by the way each release was documented to be run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import older_server
from tests.lab.fleet import Fleet

HEADS = {"0.3.2": "0f7dde8b3c4b", "0.5.1": "e6bf9e067296"}
DROPPED = {"api_keys": 1}


@pytest.fixture(scope="module", params=sorted(HEADS))
def older(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """A server of that release."""
    with older_server.served(request.param) as made:
        yield made


def test_what_gets_lost_is_refused_and_what_is_deleted_is_said(older: Fleet) -> None:
    older_server.assert_losses_are_refused(older, DROPPED)
    assessed = older_server.run(older, "assess.yml", **older_server.ACCEPTED)
    assert assessed.said("cache/huggingface/models--Qwen--Qwen2.5-0.5B-Instruct")


@pytest.mark.proves("installations", "0.3", older_server.RELEASE)
@pytest.mark.proves("installations", "0.5", older_server.RELEASE)
def test_every_row_is_there_and_the_way_back_is_open(older: Fleet) -> None:
    killed = older_server.run(older, "upgrade.yml", **older_server.ACCEPTED, **older_server.KILLED)
    assert killed.code != 0
    done = older_server.run(older, "upgrade.yml", **older_server.ACCEPTED)
    older_server.assert_upgraded(older, done, HEADS[older.options.legacy], DROPPED)
    older_server.assert_goes_back(older)
