# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A removed legacy container comes back as it was. That the real engine agrees is for the end-to-end tests."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _recreate
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import Journal

from .engine_records import VOLUME_MOUNT, container
from .fake_engine import FakeEngine

ANONYMOUS = "5" * 64
IMAGE_ID = "sha256:1"
REFERENCE = "gpustack/gpustack:v0.7.1"


def anonymous_volume(destination: str, rw: bool = True) -> dict[str, Any]:
    return {"Type": "volume", "Name": ANONYMOUS, "Source": "/x/_data", "Destination": destination, "RW": rw}


def legacy(**host: Any) -> dict[str, Any]:
    record = container(Binds=["gpustack-data:/var/lib/gpustack"], **host)
    record["NetworkSettings"] = {"Networks": {}}
    return record


def engine_with(*references: str) -> FakeEngine:
    engine = FakeEngine()
    engine.images = {reference: {"Id": IMAGE_ID, "RepoTags": [REFERENCE]} for reference in references}
    return engine


def test_the_body_holds_what_the_user_asked_for() -> None:
    record = legacy(ShmSize=1024, Privileged=True)
    body = _recreate.create_body(record)
    assert body["Cmd"] == record["Config"]["Cmd"]
    assert body["Env"] == record["Config"]["Env"]
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert (body["HostConfig"]["ShmSize"], body["HostConfig"]["Privileged"]) == (1024, True)
    assert body["HostConfig"]["Binds"] == ["gpustack-data:/var/lib/gpustack"]


def test_v2s_container_under_the_name_is_not_taken_for_the_legacy_one() -> None:
    """A unit makes the legacy container anew under its name, so that it is looked for there."""
    v2 = {**container(labels={"fleetops.gpustack.attempt": "20261124T031500Z"}), "Id": "v2"}
    attempt = Attempt(
        name="20261124T031500Z",
        role="worker",
        release="2.2.3",
        image="",
        container_name="gpustack",
        legacy_id="gone",
        legacy_name="gpustack",
        restart_policy={},
        was_running=True,
        data_dir="/data",
        backup="/backup",
        kept_by={"auto_remove": True},
    )
    assert _recreate.find(FakeEngine(v2).inspect, attempt, []) is None
    retired = {**container(name=attempt.retired_name), "Id": "copy"}
    found = _recreate.find(FakeEngine(v2, retired).inspect, attempt, [])
    assert found is not None
    assert found["Id"] == "copy"


def test_the_record_stays_as_it_was() -> None:
    record = legacy(Mounts=[{"Type": "volume", "Target": "/var/lib/gpustack"}], Links=["/db:/gpustack/db"])
    before = copy.deepcopy(record)
    _recreate.create_body(record)
    assert record == before


@pytest.mark.parametrize(
    ("hostname", "host", "kept"),
    [
        ("gpu-host", {}, True),
        ("gpustack0000", {}, False),  # the short id
        ("gpu-host", {"NetworkMode": "container:abc"}, False),  # the engine refuses one there
        ("gpu-host", {"UTSMode": "host"}, False),
    ],
)
def test_only_a_hostname_of_the_users_own_is_kept(hostname: str, host: dict[str, Any], kept: bool) -> None:
    record = legacy(**host)
    record["Config"]["Hostname"] = hostname
    assert _recreate.create_body(record).get("Hostname") == (hostname if kept else None)


def test_no_entry_point_stays_none_instead_of_the_images() -> None:
    record = legacy()
    record["Config"]["Entrypoint"] = None
    assert _recreate.create_body(record)["Entrypoint"] == [""]


def test_an_anonymous_volume_is_bound_by_its_name() -> None:
    record = container(mounts=[anonymous_volume("/var/lib/gpustack")])
    record["Config"]["Volumes"] = {"/var/lib/gpustack": {}}
    assert _recreate.create_body(record)["HostConfig"]["Binds"] == [f"{ANONYMOUS}:/var/lib/gpustack"]


def test_an_anonymous_volume_of_a_mount_gets_its_name_there() -> None:
    record = container(
        mounts=[anonymous_volume("/var/lib/gpustack")], Mounts=[{"Type": "volume", "Target": "/var/lib/gpustack"}]
    )
    host = _recreate.create_body(record)["HostConfig"]
    assert host["Mounts"] == [{"Type": "volume", "Target": "/var/lib/gpustack", "Source": ANONYMOUS}]
    assert host["Binds"] is None


def test_a_bind_of_a_path_alone_names_its_volume() -> None:
    record = container(mounts=[anonymous_volume("/var/lib/gpustack")], Binds=["/var/lib/gpustack"])
    assert _recreate.create_body(record)["HostConfig"]["Binds"] == [f"{ANONYMOUS}:/var/lib/gpustack"]


def test_what_another_container_lent_is_bound_path_by_path() -> None:
    lent = {"Type": "bind", "Source": "/data/models", "Destination": "/models", "RW": False}
    record = container(mounts=[VOLUME_MOUNT, lent], VolumesFrom=["data-only"])
    host = _recreate.create_body(record)["HostConfig"]
    assert host["VolumesFrom"] is None
    assert host["Binds"] == ["gpustack-data:/var/lib/gpustack", "/data/models:/models:ro"]


def test_links_are_said_as_the_create_call_takes_them() -> None:
    assert _recreate.create_body(legacy(Links=["/db:/gpustack/sql"]))["HostConfig"]["Links"] == ["db:sql"]


@pytest.mark.parametrize("network", ["host", "bridge", "none"])
def test_the_engines_own_networks_need_no_words(network: str) -> None:
    record = legacy(NetworkMode=network)
    record["NetworkSettings"]["Networks"] = {network: {"IPAMConfig": None, "Aliases": None}}
    assert _recreate.create_body(record)["NetworkingConfig"] == {"EndpointsConfig": {}}


def in_two_networks() -> dict[str, Any]:
    record = legacy(NetworkMode="front")
    record["NetworkSettings"]["Networks"] = {
        "front": {
            "IPAMConfig": {"IPv4Address": "10.9.0.7"},
            "Aliases": ["gpustack0000", "server"],
            "IPAddress": "10.9.0.7",
            "NetworkID": "f" * 64,
        },
        "back": {"IPAMConfig": None, "Aliases": ["inside"], "NetworkID": "b" * 64},
    }
    return record


def test_addresses_and_aliases_of_user_networks_are_kept_without_the_short_id() -> None:
    assert _recreate.create_body(in_two_networks())["NetworkingConfig"]["EndpointsConfig"] == {
        "front": {"IPAMConfig": {"IPv4Address": "10.9.0.7"}, "Aliases": ["server"]},
        "back": {"Aliases": ["inside"]},
    }


@pytest.mark.parametrize("mode", ["front", "f" * 64])
def test_further_networks_are_connected_afterwards(mode: str) -> None:
    record = in_two_networks()
    record["HostConfig"]["NetworkMode"] = mode
    engine = engine_with(IMAGE_ID, REFERENCE)
    made = _recreate.recreate(engine, record, "gpustack")
    assert engine.connected == [(made, "back", {"Aliases": ["inside"]})]


def test_it_is_made_under_the_name_and_not_started() -> None:
    engine = engine_with(IMAGE_ID, REFERENCE)
    made = engine.records[_recreate.recreate(engine, legacy(), "gpustack-legacy-20261124T000000Z")]
    assert made["Name"] == "/gpustack-legacy-20261124T000000Z"
    assert made["Config"]["Image"] == REFERENCE
    assert not made["State"]["Running"]


def test_a_reference_that_means_another_image_now_is_not_followed() -> None:
    engine = engine_with(IMAGE_ID)
    engine.images[REFERENCE] = {"Id": "sha256:moved"}
    made = engine.records[_recreate.recreate(engine, legacy(), "gpustack")]
    assert made["Config"]["Image"] == IMAGE_ID
    assert engine.images[REFERENCE] == {"Id": "sha256:moved"}


def test_a_reference_that_was_removed_is_given_back() -> None:
    engine = engine_with(IMAGE_ID)
    made = engine.records[_recreate.recreate(engine, legacy(), "gpustack")]
    assert made["Config"]["Image"] == REFERENCE
    assert engine.images[REFERENCE]["Id"] == IMAGE_ID


def test_a_digest_cannot_be_given_back_as_a_tag() -> None:
    record = legacy()
    record["Config"]["Image"] = "gpustack/gpustack@sha256:" + "d" * 64
    engine = engine_with(IMAGE_ID)
    made = engine.records[_recreate.recreate(engine, record, "gpustack")]
    assert made["Config"]["Image"] == IMAGE_ID
    assert set(engine.images) == {IMAGE_ID}


def test_an_image_that_is_gone_is_loaded_from_its_archive() -> None:
    engine = engine_with()
    engine.archives["/backup/legacy-image.tar"] = {"Id": IMAGE_ID, "RepoTags": [REFERENCE]}
    made = _recreate.recreate(engine, legacy(), "gpustack", "/backup/legacy-image.tar")
    assert engine.records[made]["Config"]["Image"] == REFERENCE


def test_an_archive_is_not_opened_when_the_image_is_there() -> None:
    engine = engine_with(IMAGE_ID, REFERENCE)
    _recreate.recreate(engine, legacy(), "gpustack", "/does/not/exist.tar")


def test_without_image_and_archive_the_refusal_says_how_to_bring_it_back() -> None:
    engine = engine_with()
    with pytest.raises(SwitchError, match=r"gpustack/gpustack:v0\.7\.1.*docker pull.*docker load"):
        _recreate.recreate(engine, legacy(), "gpustack")
    assert "create" not in engine.calls


def test_an_archive_of_another_image_is_refused_by_name() -> None:
    engine = engine_with()
    engine.archives["/backup/legacy-image.tar"] = {"Id": "sha256:other", "RepoTags": [REFERENCE]}
    with pytest.raises(SwitchError, match=r"nor in /backup/legacy-image\.tar"):
        _recreate.recreate(engine, legacy(), "gpustack", "/backup/legacy-image.tar")


class TestLegacyRecord:
    def work(self, engine: FakeEngine, tmp_path: Path, legacy_id: str) -> Work:
        attempt = Attempt(
            name="20261124T000000Z",
            role="worker",
            release="2.2.3",
            image="gpustack/gpustack:v2.2.3",
            container_name="gpustack",
            legacy_id=legacy_id,
            legacy_name="gpustack",
            restart_policy={"Name": "no"},
            was_running=True,
            data_dir=str(tmp_path),
            backup=str(tmp_path / "backup"),
        )
        return Work({}, attempt, engine, Journal(str(tmp_path / "state"), attempt.name), print)

    def test_by_the_attempts_own_id(self, tmp_path: Path) -> None:
        record = legacy()
        found = _recreate.legacy_record(self.work(FakeEngine(record), tmp_path, record["Id"]))
        assert found is not None
        assert found["Id"] == record["Id"]

    def test_by_the_newest_recreation_when_that_is_gone(self, tmp_path: Path) -> None:
        record = legacy()
        work = self.work(FakeEngine(record), tmp_path, "gone")
        for made in ("gone too", record["Id"]):
            with work.journal.step("recreate") as found:
                found["container"] = made
        found = _recreate.legacy_record(work)
        assert found is not None
        assert found["Id"] == record["Id"]

    def test_none_when_there_is_neither(self, tmp_path: Path) -> None:
        work = self.work(FakeEngine(), tmp_path, "gone")
        assert _recreate.legacy_record(work) is None
        work.journal.record("recreate", "started", {})
        assert _recreate.legacy_record(work) is None
