# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tests.lab.errors import LabError
from tests.lab.layout import Options, free_subnet, gateway, hosts_of


def test_the_default_fleet_is_a_server_and_two_workers_of_which_the_first_shows_gpus() -> None:
    hosts = hosts_of(Options("demo"), "10.203.4.0/24")

    assert {name: (host.address, host.gpus) for name, host in hosts.items()} == {
        "server": ("10.203.4.11", 0),
        "worker1": ("10.203.4.21", 2),
        "worker2": ("10.203.4.22", 0),
    }


def test_options_survive_the_way_through_json() -> None:
    options = Options("demo", workers=3, targets=("2.0.3", "2.2.3"), data="volume", fill=False)

    assert Options.from_json(options.as_json()) == options


def test_more_gpu_workers_than_workers_are_refused() -> None:
    with pytest.raises(LabError, match="a fleet of 1 workers cannot have 2 with GPUs"):
        Options("demo", workers=1, gpu_workers=2)


@pytest.mark.parametrize("name", ["", "Demo", "a b", "-x", "../x"])
def test_a_name_that_docker_or_a_path_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="cannot name a fleet"):
        Options(name)


def test_a_subnet_that_overlaps_a_network_in_use_is_passed_over() -> None:
    assert free_subnet(["172.17.0.0/16", "10.203.0.0/23", "fd00::/64"]) == "10.203.2.0/24"


def test_the_machine_is_the_first_address_of_the_subnet() -> None:
    assert gateway("10.203.2.0/24") == "10.203.2.1"
