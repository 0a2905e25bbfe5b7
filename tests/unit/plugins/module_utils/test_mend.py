# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What mending does to containers and files; files are real, the engine is in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _mend, _supervisors, _wreck_here, _wrecks
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
        self.params: dict[str, Any] = {
            "stop_timeout": 1,
            "token": None,
            "mend_wrecks": True,
            "run_command": lambda *_arguments, **_options: (0, self.unit, ""),
        }
        #: What systemd says of a unit.
        self.unit = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"

    def containers(self) -> list[dict[str, Any]]:
        return list(self.engine.records.values())

    def inspect_all(self, ids: list[str]) -> list[dict[str, Any]]:
        return [self.engine.records[each] for each in ids]

    def add(self, name: str, data: Path, **changes: Any) -> None:
        """One more v2 container."""
        mounts = [engine_records.bind(str(data))]
        entry_point = engine_records.V2_ENTRY_POINT
        record = engine_records.container(
            name, image="gpustack/gpustack:v2.2.3", entry_point=entry_point, mounts=mounts, **changes
        )
        self.engine.records[record["Id"]] = record

    def to_mend(self, *own: dict[str, Any]) -> _wrecks.Wreck | None:
        entries = list(own)
        return _wreck_here.to_mend(self.params, self, describe(self.legacy), entries)  # type: ignore[arg-type]

    def mend(self) -> dict[str, Any]:
        wreck = self.to_mend()
        assert wreck is not None
        work = Work(self.params, Attempt(self.data), self.engine, None, str)  # type: ignore[arg-type]
        return _mend.mend(work, wreck)

    def names(self) -> set[str]:
        return {path.name for path in self.data.iterdir()}


def entry(step: str, state: str = "done", **detail: Any) -> dict[str, Any]:
    return {"step": step, "state": state, "detail": detail}


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> list[_supervisors.UnitCommand]:
    """The units of the host; those of the machine on which the tests run are not looked at."""
    found: list[_supervisors.UnitCommand] = []
    monkeypatch.setattr(_supervisors, "unit_commands", lambda: found)
    return found


@pytest.fixture
def host(tmp_path: Path, units: list[_supervisors.UnitCommand]) -> Host:
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
    """The container was stopped and renamed, and the first file moved, before the kill."""
    host.engine.stop("gpustack", 1)
    host.engine.rename("gpustack", f"gpustack-wreck-{ATTEMPT}")
    (host.data / ASIDE).mkdir()
    (host.data / "initial_admin_password").rename(host.data / ASIDE / "initial_admin_password")
    host.mend()
    assert host.names() == {"database.db", "token", "cache", ASIDE}


def test_a_lost_token_is_replaced_and_v2s_kept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.data / "token").write_text("gpustack_v2s\n")
    with pytest.raises(SwitchError, match="give the legacy one"):
        host.to_mend()
    host.params["token"] = "gpustack_v2s"
    with pytest.raises(SwitchError, match="begins with 'gpustack'"):
        host.to_mend()
    host.params["token"] = "legacy-secret"
    owners: list[tuple[str, int, int]] = []
    monkeypatch.setattr(_mend.os, "chown", lambda path, uid, gid: owners.append((path, uid, gid)))
    before = (host.data / "token").stat()
    assert host.mend()["token"] is True
    assert owners == [(str(host.data / "token"), before.st_uid, before.st_gid)]
    assert (host.data / "token").read_text() == "legacy-secret\n"
    assert (host.data / "token").stat().st_mode & 0o777 == 0o600
    assert (host.data / ASIDE / "token").read_text() == "gpustack_v2s\n"


def test_a_link_in_the_place_of_the_new_token_is_not_followed(host: Host, tmp_path: Path) -> None:
    (host.data / "token").write_text("gpustack_v2s\n")
    (tmp_path / "elsewhere").write_text("root's own")
    (host.data / "token.new").symlink_to(tmp_path / "elsewhere")
    host.params["token"] = "legacy-secret"
    host.mend()
    assert (tmp_path / "elsewhere").read_text() == "root's own"
    assert not (host.data / "token").is_symlink()


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


@pytest.mark.parametrize("end", [[], [entry("mend", "failed", error="no space")]])
def test_consent_that_was_journaled_holds(host: Host, end: list[dict[str, Any]]) -> None:
    host.params["mend_wrecks"] = False
    assert host.to_mend(entry("begin"), entry("mend", "started", containers=["gpustack"]), *end) is not None


@pytest.mark.parametrize(
    "own",
    [
        [entry("mend", "started", containers=["gpustack"]), entry("mend"), entry("permissions")],
        [entry("mend", "started", containers=["another"])],
    ],
)
def test_consent_does_not_reach_a_wreck_that_was_made_since(host: Host, own: list[dict[str, Any]]) -> None:
    host.params["mend_wrecks"] = False
    with pytest.raises(SwitchError, match="set gpustack_mend_wrecks: true"):
        host.to_mend(entry("begin"), *own)


def test_what_the_attempt_itself_left_is_no_wreck(host: Host) -> None:
    assert host.to_mend(entry("begin"), entry("mend"), entry("stop"), entry("create", "started")) is None


def test_a_finished_migration_that_serves_is_left_alone(host: Host) -> None:
    (host.data / "run").mkdir()
    (host.data / "run/state_migration_done").touch()
    with pytest.raises(SwitchError, match="docker stop gpustack"):
        host.to_mend()


def test_one_that_sees_the_directory_by_another_path_too(host: Host, tmp_path: Path) -> None:
    (host.data / "run").mkdir()
    (host.data / "run/state_migration_done").touch()
    (tmp_path / "link").symlink_to(host.data)
    host.engine.records[host.v2["Id"]]["Mounts"] = [engine_records.bind(str(tmp_path / "link"))]
    with pytest.raises(SwitchError, match="docker stop gpustack"):
        host.to_mend()


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("mine", {"fleetops.gpustack.attempt": "20251124T031500Z"}),
        ("mine-failed-20251124T031500Z", {"fleetops.gpustack.attempt": "20251124T031500Z"}),
        ("mine-wreck-20251124T031500Z", {}),
    ],
)
def test_files_that_a_running_container_uses_are_not_moved(host: Host, name: str, labels: dict[str, str]) -> None:
    host.engine.remove("gpustack")
    host.add(name, host.data, labels=labels)
    with pytest.raises(SwitchError, match=f"docker stop {name}, then run again"):
        host.to_mend()
    host.engine.stop(name, 1)
    wreck = host.to_mend()
    assert wreck is not None
    assert wreck.containers == ()


def test_a_unit_that_would_start_it_again_is_the_operators_to_disable(
    host: Host, units: list[_supervisors.UnitCommand]
) -> None:
    words = ("docker", "start", "-a", "gpustack")
    units.append(_supervisors.UnitCommand("ai.service", "/etc/systemd/system/ai.service", words))
    with pytest.raises(SwitchError, match=r"systemctl disable --now ai\.service"):
        host.to_mend()
    host.unit = "LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n"
    assert host.to_mend() is not None


def test_a_container_with_rm_that_was_never_started_takes_no_restart_policy(host: Host) -> None:
    record = host.engine.records[host.v2["Id"]]
    record["State"].update(Running=False, Status="created")
    record["HostConfig"]["AutoRemove"] = True
    assert host.mend()["containers"] == {"gpustack": f"gpustack-wreck-{ATTEMPT}"}


def test_a_container_that_was_renamed_already_keeps_its_name(host: Host) -> None:
    """The kill came between its new name and the journal's entry, and the wreck was judged before that."""
    wreck = host.to_mend()
    assert wreck is not None
    host.engine.rename("gpustack", f"gpustack-wreck-{ATTEMPT}")
    work = Work(host.params, Attempt(host.data), host.engine, None, str)  # type: ignore[arg-type]
    assert _mend.mend(work, wreck)["containers"] == {"gpustack": f"gpustack-wreck-{ATTEMPT}"}


def test_containers_on_other_directories_are_left_alone(host: Host, tmp_path: Path) -> None:
    host.add("other", tmp_path)
    host.mend()
    record = host.engine.inspect("other")
    assert record is not None
    assert record["State"]["Running"]
