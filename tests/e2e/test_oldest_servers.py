# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of 0.1, 0.2 and 0.4 on one host each, to 2.2.3 and back.

0.1 as its guide says, without a volume: the data is in the container's own layer.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import older_server
from tests.lab.fleet import Fleet

HEADS = {"0.1.2": "8277680cfcb7", "0.2.1": "6dcb3a50da19", "0.4.1": "004c73a5c09e"}
#: Up to 0.1 there was an instance of a model, which v2 makes anew.
DROPPED = {"0.1.2": {"api_keys": 1, "model_instances": 1}}


@pytest.fixture(scope="module", params=sorted(HEADS))
def oldest(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """A server of that release."""
    with older_server.served(request.param, volume=request.param >= "0.2") as made:
        yield made


@pytest.mark.proves("installations", "0.1", older_server.RELEASE)
@pytest.mark.proves("installations", "0.2", older_server.RELEASE)
@pytest.mark.proves("installations", "0.4", older_server.RELEASE)
def test_every_row_is_there_and_the_way_back_is_open(oldest: Fleet) -> None:
    dropped = DROPPED.get(oldest.options.legacy, {"api_keys": 1})
    older_server.assert_losses_are_refused(oldest, dropped)
    done = older_server.run(oldest, "upgrade.yml", **older_server.ACCEPTED)
    older_server.assert_upgraded(oldest, done, HEADS[oldest.options.legacy], dropped)
    older_server.assert_goes_back(oldest)
