# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What mending does to containers and files; files are real, the engine is in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _mend, _wreck_here, _wrecks
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError, Work, describe
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

ATTEMPT = "20261124T031500Z"
ASIDE = f".gpustack-v2-{ATTEMPT}"


class Attempt:
    """The two facts of an attempt that mending needs."""

    def __init__(self, data_dir: Path) -> None:
        self.name, self.data_dir = ATTEMPT, str(data_dir)


class Host:
    """A server on which somebody started v2 beside the stopped legacy container."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        (self.data / "postgresql" / "data").mkdir(parents=True)
        (self.data / "cache").mkdir()
        for name in ("database.db", "token"):
            (self.data / name).write_text("legacy's")
        (self.data / "postgresql/data/PG_VERSION").write_text("15")
        (self.data / "initial_admin_password").write_text("v2's")
        mounts = [engine_records.bind(str(self.data))]
        self.legacy = engine_records.container(
            "gpustack-old", command=["--disable-worker"], mounts=mounts, running=False
        )
        self.v2 = engine_records.container(
            image="gpustack/gpustack:v2.2.3",
            entry_point=engine_records.V2_ENTRY_POINT,
            command=["--disable-worker"],
            env=["GPUSTACK_DATA_MIGRATION=true"],
            mounts=mounts,
        )
        self.engine = FakeEngine(self.legacy, self.v2)
        self.params: dict[str, Any] = {"stop_timeout": 1, "token": None, "mend_wrecks": True}

    def containers(self) -> list[dict[str, Any]]:
        return list(self.engine.records.values())

    def inspect_all(self, ids: list[str]) -> list[dict[str, Any]]:
        return [self.engine.records[each] for each in ids]

    def to_mend(self, *own: str) -> _wrecks.Wreck | None:
        entries = [{"step": step} for step in own]
        return _wreck_here.to_mend(self.params, self, describe(self.legacy), entries)  # type: ignore[arg-type]

    def mend(self) -> dict[str, Any]:
        wreck = self.to_mend("begin", "mend")
        assert wreck is not None
        work = Work(self.params, Attempt(self.data), self.engine, None, str)  # type: ignore[arg-type]
        return _mend.mend(work, wreck)

    def names(self) -> set[str]:
        return {path.name for path in self.data.iterdir()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_container_is_stopped_for_good_and_renamed(host: Host) -> None:
    assert host.mend()["containers"] == {"gpustack": f"gpustack-wreck-{ATTEMPT}"}
    record = host.engine.inspect(f"gpustack-wreck-{ATTEMPT}")
    assert record is not None
    assert not record["State"]["Running"]
    assert record["HostConfig"]["RestartPolicy"]["Name"] == "no"
    legacy = host.engine.inspect("gpustack-old")
    assert legacy is not None
    assert legacy["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_v2s_files_are_moved_and_legacy_ones_stay(host: Host) -> None:
    assert set(host.mend()["files"]) == {"postgresql", "initial_admin_password"}
    assert host.names() == {"database.db", "token", "cache", ASIDE}
    assert (host.data / ASIDE / "postgresql/data/PG_VERSION").read_text() == "15"


def test_after_it_there_is_nothing_to_mend(host: Host) -> None:
    host.mend()
    assert host.to_mend() is None


def test_mending_that_was_interrupted_is_done_to_its_end(host: Host) -> None:
    """The container was renamed and the first file moved before the kill."""
    host.engine.rename("gpustack", f"gpustack-wreck-{ATTEMPT}")
    (host.data / ASIDE).mkdir()
    (host.data / "initial_admin_password").rename(host.data / ASIDE / "initial_admin_password")
    host.mend()
    assert host.names() == {"database.db", "token", "cache", ASIDE}


def test_a_lost_token_is_replaced_and_v2s_kept(host: Host) -> None:
    (host.data / "token").write_text("gpustack_v2s\n")
    with pytest.raises(SwitchError, match="gpustack_token"):
        host.to_mend()
    host.params["token"] = "legacy-secret"
    assert host.mend()["token"] is True
    assert (host.data / "token").read_text() == "legacy-secret\n"
    assert (host.data / "token").stat().st_mode & 0o777 == 0o600
    assert (host.data / ASIDE / "token").read_text() == "gpustack_v2s\n"


def test_nothing_secret_is_journaled(host: Host) -> None:
    (host.data / "token").write_text("gpustack_v2s\n")
    host.params["token"] = "legacy-secret"
    wreck = host.to_mend()
    assert wreck is not None
    text = f"{_mend.announced(wreck)} {host.mend()}"
    assert "legacy-secret" not in text
    assert "gpustack_v2s" not in text


def test_without_consent_it_is_refused(host: Host) -> None:
    host.params["mend_wrecks"] = False
    with pytest.raises(SwitchError, match="set gpustack_mend_wrecks: true"):
        host.to_mend()


def test_consent_that_was_journaled_holds(host: Host) -> None:
    host.params["mend_wrecks"] = False
    assert host.to_mend("begin", "mend") is not None


def test_what_the_attempt_itself_left_is_no_wreck(host: Host) -> None:
    assert host.to_mend("begin", "mend", "stop", "create") is None


def test_containers_on_other_directories_are_left_alone(host: Host, tmp_path: Path) -> None:
    other = engine_records.container(
        "other",
        image="gpustack/gpustack:v2.2.3",
        entry_point=engine_records.V2_ENTRY_POINT,
        mounts=[engine_records.bind(str(tmp_path))],
    )
    host.engine.records[other["Id"]] = other
    host.mend()
    record = host.engine.inspect("other")
    assert record is not None
    assert record["State"]["Running"]
