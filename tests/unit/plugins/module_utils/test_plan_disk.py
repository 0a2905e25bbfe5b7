# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for an upgrade: what needs it, on which file system, and that it is refused one byte below."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _plan_disk
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

MIB, GIB = 1024**2, 1024**3
CONTAINER = _plan_disk.CONTAINER_SIZE


def refused(fleet: dict[str, dict[str, Any]], **settings: Any) -> list[tuple[str, str]]:
    """Host and cause of each refusal; all are about room."""
    refusals = make_plan(fleet, plan_evidence.settings(**settings))["refusals"]
    assert {refusal["code"] for refusal in refusals} <= {"disk"}
    return [(refusal["host"], refusal["cause"]) for refusal in refusals]


def fleet(size: int = 0, wal_size: int = 0, image: bool = True, **free: int) -> dict[str, dict[str, Any]]:
    """A fleet whose server has a database of this size, and these free bytes on file systems of its own."""
    hosts = plan_evidence.fleet()
    server = hosts["s"]
    legacy = server["installations"][0]
    legacy["database"].update(size=size, wal_size=wal_size)
    server["image"]["present"] = image
    places = {
        name: plan_evidence.filesystem(f"/{name}", free.get(name, 500 * GIB))
        for name in ("data", "backup", "docker_root", "state", "remote_tmp")
    }
    legacy["data"]["filesystem"] = places.pop("data")
    server["filesystems"] = places
    return hosts


@pytest.mark.parametrize(
    ("place", "room"),
    [("data", 3 * 4 * GIB), ("backup", 2 * 4 * GIB), ("docker_root", 4 * 4 * GIB + CONTAINER)],
)
def test_a_server_needs_multiples_of_its_database_with_the_wal(place: str, room: int) -> None:
    assert refused(fleet(3 * GIB, GIB, **{place: room})) == []
    (problem,) = refused(fleet(3 * GIB, GIB, **{place: room - 1}))
    assert problem[0] == "s"
    assert problem[1].startswith(f"/{place} has ")


def test_data_in_a_containers_layer_needs_room_for_its_copy() -> None:
    room = 5 * GIB + CONTAINER
    hosts = fleet(GIB, docker_root=room)
    hosts["s"]["installations"][0]["data_dir"]["type"] = "layer"
    assert refused(hosts) == []
    hosts["s"]["filesystems"]["docker_root"]["free"] -= 1
    ((_host, cause),) = refused(hosts)
    assert "copy of the data 1.0 GiB" in cause


def test_a_worker_needs_room_for_its_container_though_the_image_is_there() -> None:
    hosts = fleet()
    hosts["w1"]["filesystems"]["docker_root"] = plan_evidence.filesystem("/docker", CONTAINER)
    assert refused(hosts) == []
    hosts["w1"]["filesystems"]["docker_root"]["free"] -= 1
    assert [host for host, _cause in refused(hosts)] == ["w1"]


def test_a_missing_image_needs_room_in_dockers_root() -> None:
    room = 10 * GIB + CONTAINER
    assert refused(fleet(image=False, docker_root=room), image_size=10 * GIB) == []
    ((host, cause),) = refused(fleet(image=False, docker_root=room - 1), image_size=10 * GIB)
    assert host == "s"
    assert "image 10.0 GiB" in cause


def test_an_archive_from_the_controller_needs_room_beside_the_journal() -> None:
    assert refused(fleet(image=False, state=5 * GIB), archive_size=5 * GIB) == []
    ((host, cause),) = refused(fleet(image=False, state=5 * GIB - 1), archive_size=5 * GIB)
    assert host == "s"
    assert "image archive 5.0 GiB" in cause


def test_an_archive_needs_room_where_ansible_lays_it_down_first() -> None:
    assert refused(fleet(image=False, remote_tmp=5 * GIB), archive_size=5 * GIB) == []
    ((host, cause),) = refused(fleet(image=False, remote_tmp=5 * GIB - 1), archive_size=5 * GIB)
    assert host == "s"
    assert "image archive on its way 5.0 GiB" in cause


def test_an_archive_is_not_copied_to_a_host_that_has_the_image() -> None:
    assert refused(fleet(state=0), archive_size=5 * GIB) == []


@given(size=st.integers(0, 1 << 40), wal_size=st.integers(0, 1 << 34), missing=st.booleans())
def test_needs_that_meet_on_one_file_system_are_added_up(size: int, wal_size: int, missing: bool) -> None:
    hosts = fleet(size, wal_size, image=not missing)
    room = (3 + 2 + 4) * (size + wal_size) + CONTAINER + missing * (10 * GIB + 7 * GIB)
    one = plan_evidence.filesystem("/", room)
    hosts["s"]["installations"][0]["data"]["filesystem"] = one
    hosts["s"]["filesystems"] = {"docker_root": one, "backup": one, "state": one, "remote_tmp": one}
    assert refused(hosts, image_size=10 * GIB, archive_size=7 * GIB) == []
    one["free"] -= 1
    assert len(refused(hosts, image_size=10 * GIB, archive_size=7 * GIB)) == 1
