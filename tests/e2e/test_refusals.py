# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals on real hosts: one thing is spoilt, the run names it with its way out, and no container is touched.

Refusals that need nothing but evidence are also tested one by one in tests/unit/plugins/module_utils/test_plan.py.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e import outside, playbook
from tests.lab import lifecycle
from tests.lab.fleet import Fleet

GPUS = "/etc/gpustack-lab/gpus.csv"


@dataclass(frozen=True)
class Spoilt:
    """What is spoilt on which host, how it is mended, and the code of the refusal."""

    code: str
    host: str = "server"
    spoil: str = "true"
    mend: str = "true"
    variables: dict[str, Any] = field(default_factory=dict)


# Found by assess.
ASSESSED = {
    "two candidates": Spoilt(
        "several_candidates",
        "worker1",
        "docker create --name second gpustack/gpustack:v0.7.1 --server-url http://x",
        "docker rm second",
    ),
    "port taken": Spoilt(
        "port_taken", "server", "systemd-run --unit=squatter python3 -m http.server 5432", "systemctl stop squatter"
    ),
    "not traversable": Spoilt("permissions", "server", "chmod 0700 /data/gpustack", "chmod 0755 /data/gpustack"),
    "unknown vendor": Spoilt("unknown_vendor", "worker1", variables={"gpustack_gpu_vendor": "voodoo"}),
    "runtime not registered": Spoilt("vendor_runtime", "worker2", variables={"gpustack_gpu_vendor": "nvidia"}),
    "driver too old": Spoilt(
        "driver_floor",
        "worker1",
        f"cp {GPUS} {GPUS}.kept && sed -i 's/,[0-9.]*$/,470.57.02/' {GPUS}",
        f"mv {GPUS}.kept {GPUS}",
    ),
    "unknown release": Spoilt("unknown_release", variables={"gpustack_version": "2.9.9"}),
    "engine stopped": Spoilt(
        "no_engine", "worker2", "systemctl stop docker docker.socket", "systemctl start docker && docker start gpustack"
    ),
}

# Found by prepare, beside the serving legacy containers; the code is a part of the message.
PREPARED = {
    "image not to be had": Spoilt(
        "image gpustack/gpustack:v9.9.9 could not be pulled", variables={"gpustack_image": "gpustack/gpustack:v9.9.9"}
    ),
    "image of another version": Spoilt(
        "image gpustack/gpustack:v2.0.3 is 2.0.3, asked for 2.2.3",
        variables={"gpustack_image": "gpustack/gpustack:v2.0.3"},
    ),
    "GPU trial differs": Spoilt(
        "does not see the GPUs that the legacy worker has",
        "worker1",
        f"cp {GPUS} {GPUS}.kept && sed -i '$d' {GPUS}",
        f"mv {GPUS}.kept {GPUS}",
    ),
}


def starts(fleet: Fleet) -> dict[str, str]:
    """When each installation's container was started, by host."""
    return {name: outside.gpustack(fleet.host(name))["State"]["StartedAt"] for name in fleet.hosts}


@pytest.mark.parametrize("name", ASSESSED)
def test_assess_refuses(fleet: Fleet, name: str) -> None:
    spoilt = ASSESSED[name]
    host = fleet.host(spoilt.host)
    host.exec_root("sh", "-c", spoilt.spoil)
    try:
        run = playbook.run(fleet, "assess.yml", **spoilt.variables)
    finally:
        since = time.time()
        host.exec_root("sh", "-c", spoilt.mend)
    if "docker" in spoilt.mend:
        lifecycle.wait_serving(fleet, since)
    assert run.code != 0
    assert re.search(rf"code\"?: \"?{spoilt.code}\b", run.output), run.output[-3000:]
    assert run.said("Way out:")


@pytest.mark.parametrize("name", PREPARED)
def test_prepare_refuses_before_the_server_is_touched(fleet: Fleet, name: str) -> None:
    spoilt = PREPARED[name]
    host = fleet.host(spoilt.host)
    before = starts(fleet)
    host.exec_root("sh", "-c", spoilt.spoil)
    try:
        run = playbook.run(fleet, "upgrade.yml", **spoilt.variables)
    finally:
        host.exec_root("sh", "-c", spoilt.mend)
    assert run.code != 0
    assert run.said(spoilt.code), run.output[-3000:]
    assert "TASK [fleetops.gpustack.gpustack : Switch" not in run.output
    assert starts(fleet) == before
