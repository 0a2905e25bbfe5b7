# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which systemd units around a container are understood, and how they are switched off and on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _systemd_unit
from ansible_collections.fleetops.gpustack.plugins.module_utils._systemd_unit import Unit, UnitError

ENABLED = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
RUN = "/usr/bin/docker run --rm --name gpustack -v /data:/var/lib/gpustack gpustack/gpustack --token planted"


def unit(*settings: tuple[str, str], name: str = "ai.service", **properties: str) -> Unit:
    return Unit(name, {**ENABLED, **properties}, settings)


def problem(*settings: tuple[str, str], **others: str) -> str:
    """The cause of the problem; empty when the unit is understood."""
    found = _systemd_unit.problem(unit(*settings, **others), "gpustack")
    return found["cause"] if found else ""


@pytest.mark.parametrize(
    "settings",
    [
        [("ExecStart", RUN)],
        [("ExecStart", "/usr/bin/docker start -a gpustack"), ("ExecStop", "/usr/bin/docker stop -t 30 gpustack")],
        [("ExecStartPre", "-/usr/bin/docker rm -f gpustack"), ("ExecStart", RUN.replace("--rm", "--init"))],
        [("ExecStartPre", "/usr/bin/docker pull gpustack/gpustack:v0.7.1"), ("ExecStart", RUN)],
        [("ExecStart", "/bin/sh -c 'docker rm -f gpustack >/dev/null 2>&1 || true; exec docker start -a gpustack'")],
        [("ExecStart", "/usr/bin/docker container start --attach gpustack"), ("ExecStartPost", "/bin/sleep 2")],
        [("ExecStart", "/usr/bin/other"), ("ExecStart", ""), ("ExecStart", RUN)],
        [("ExecStart", RUN), ("ExecReload", "/usr/bin/docker kill -s HUP gpustack")],
        [("ExecStart", RUN), ("ExecStartPost", "/usr/bin/docker exec gpustack true")],
    ],
)
def test_units_around_one_container_are_understood(settings: list[tuple[str, str]]) -> None:
    assert problem(*settings) == ""


@pytest.mark.parametrize(
    "command",
    [
        "/usr/bin/docker start gpustack other",
        "/usr/bin/docker run --name other gpustack/gpustack",
        "/usr/bin/docker run gpustack/gpustack",
        "/usr/bin/docker compose up",
        "/usr/bin/docker system prune -f",
        "/usr/local/bin/start-everything",
        "/bin/sh -c 'docker start $NAME'",
        "/bin/sh -c 'docker stop gpustack; docker pull $(cat image)'",
        "/bin/sh -c 'docker start gpustack && start-proxy'",
        "/usr/bin/docker -H tcp://elsewhere start gpustack",
    ],
)
def test_a_unit_that_does_more_is_not(command: str) -> None:
    assert "more than run container gpustack" in problem(("ExecStart", RUN), ("ExecStartPre", command))


def test_what_is_said_of_a_unit_holds_no_argument() -> None:
    foreign = unit(("ExecStart", "/usr/bin/ai --token planted"))
    assert "planted" not in str(_systemd_unit.problem(foreign, "gpustack"))
    assert "planted" not in str(_systemd_unit.facts(unit(("ExecStart", RUN))))


@pytest.mark.parametrize(
    ("properties", "cause"),
    [
        ({"name": "ai@.service"}, "template"),
        ({"LoadState": "not-found"}, "does not know it"),
        ({"NeedDaemonReload": "yes"}, "was changed"),
        ({"UnitFileState": "transient"}, "transient"),
        ({"UnitFileState": "generated"}, "generated"),
        ({"UnitFileState": ""}, "without a file"),
        ({"TriggeredBy": "ai.timer"}, "ai.timer"),
        ({"WantedBy": "multi-user.target proxy.service"}, "proxy.service"),
    ],
)
def test_units_that_cannot_be_switched_off_and_on(properties: dict[str, str], cause: str) -> None:
    assert cause in problem(("ExecStart", RUN), ("WantedBy", "multi-user.target"), **properties)


def test_the_targets_that_disable_takes_it_out_of_are_no_others() -> None:
    assert problem(("ExecStart", RUN), ("WantedBy", "multi-user.target"), WantedBy="multi-user.target") == ""


def test_a_unit_that_takes_others_along_cannot_be_switched_off_alone() -> None:
    assert "proxy.service (Also=)" in problem(("ExecStart", RUN), ("Also", "proxy.service"))


@pytest.mark.parametrize(
    ("commands", "makes", "removes"),
    [
        ([("ExecStart", RUN)], True, True),
        ([("ExecStart", "/usr/bin/docker start -a gpustack")], False, False),
        ([("ExecStart", "docker start -a gpustack"), ("ExecStopPost", "-docker rm gpustack")], False, True),
        ([("ExecStart", "docker start gpustack"), ("ExecStopPost", "docker create --name gpustack x")], False, False),
        ([("ExecStartPre", "docker create --name gpustack x"), ("ExecStart", "docker start gpustack")], True, False),
    ],
)
def test_whether_a_unit_makes_and_removes_the_container(commands: Any, makes: bool, removes: bool) -> None:
    found = _systemd_unit.facts(unit(*commands))
    assert (found["makes"], found["removes"]) == (makes, removes)


@pytest.mark.parametrize(
    ("properties", "used"),
    [
        ({}, True),
        ({"ActiveState": "inactive"}, True),
        ({"UnitFileState": "disabled"}, True),
        ({"UnitFileState": "disabled", "ActiveState": "inactive"}, False),
        ({"UnitFileState": "disabled", "ActiveState": "failed"}, False),
        ({"UnitFileState": "disabled", "ActiveState": "inactive", "TriggeredBy": "ai.timer"}, True),
        ({"UnitFileState": "static", "ActiveState": "inactive", "WantedBy": "site.target"}, True),
        ({"LoadState": "error", "UnitFileState": "", "ActiveState": "inactive"}, True),
    ],
)
def test_a_unit_that_systemd_has_switched_off_is_not_in_use(properties: dict[str, str], used: bool) -> None:
    assert _systemd_unit.in_use(unit(**properties)) is used


class Systemctl:
    """What systemctl was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.status, self.output = 0, ""

    def __call__(self, args: list[str], **_options: Any) -> tuple[int, str, str]:
        self.asked.append(args[args.index("--no-pager") + 1 :])
        return self.status, self.output, ""


@pytest.fixture
def systemctl() -> Systemctl:
    return Systemctl()


def test_a_unit_is_read_from_all_of_its_files(systemctl: Systemctl, tmp_path: Path) -> None:
    main, drop_in = tmp_path / "ai.service", tmp_path / "10.conf"
    main.write_text("[Service]\nExecStart=/usr/bin/docker start gpustack\n[Install]\nWantedBy=multi-user.target\n")
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/docker \\\n  run --rm --name gpustack x\n")
    systemctl.output = f"LoadState=loaded\nUnitFileState=enabled\nFragmentPath={main}\nDropInPaths={drop_in}\n"
    found = _systemd_unit.read("ai.service", systemctl)
    assert found.enabled
    assert _systemd_unit.facts(found)["makes"] is True
    assert _systemd_unit.problem(found, "gpustack") is None


def test_it_is_disabled_before_it_is_stopped_and_enabled_before_it_is_started(systemctl: Systemctl) -> None:
    was = {"name": "ai.service", "enabled": True, "active": True}
    _systemd_unit.switch_off(was, systemctl)
    _systemd_unit.switch_on(was, systemctl)
    assert systemctl.asked == [[verb, "ai.service"] for verb in ("disable", "stop", "reset-failed", "enable", "start")]


@pytest.mark.parametrize(("state", "verbs"), [("enabled", ["enable"]), ("active", ["start"])])
def test_it_comes_back_as_it_was(systemctl: Systemctl, state: str, verbs: list[str]) -> None:
    _systemd_unit.switch_on({"name": "ai.service", "enabled": False, "active": False, state: True}, systemctl)
    assert [argv[0] for argv in systemctl.asked] == verbs


def test_a_refusal_of_systemd_is_told(systemctl: Systemctl) -> None:
    systemctl.status, systemctl.output = 1, "Job for ai.service failed.\n"
    with pytest.raises(UnitError, match=r"stop ai\.service.*Job for ai\.service failed"):
        _systemd_unit.switch_off({"name": "ai.service", "enabled": False, "active": True}, systemctl)


def test_only_units_in_use_are_judged(systemctl: Systemctl) -> None:
    systemctl.output = "LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n"
    compose = {"kind": "compose", "name": "ai/gpustack", "file": None, "problem": None}
    keepers = [compose, {"kind": "systemd", "name": "ai.service", "file": "f", "problem": None}]
    assert _systemd_unit.judged(keepers, "gpustack", systemctl) == [compose]
    systemctl.output = "LoadState=loaded\nActiveState=active\nUnitFileState=disabled\n"
    assert [each["kind"] for each in _systemd_unit.judged(keepers, "gpustack", systemctl)] == ["compose", "systemd"]
