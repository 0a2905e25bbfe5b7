# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A GPUStack that systemd runs by itself: found by what its unit starts, read, and refused where it must be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _attempt,
    _container_spec,
    _discovery,
    _from_definition,
    _loose_process,
    _releases,
    _takeover,
    _unit_install,
    _unit_paths,
    _unit_record,
    _way_back,
)
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_systemd import UNIT, FakeSystemd

SECRET = "planted-secret"


def facts(systemd: FakeSystemd) -> dict[str, Any]:
    record = _unit_install.record(UNIT, systemd.run)
    assert record is not None
    return _attempt.describe(record).facts


def problem(systemd: FakeSystemd) -> str:
    """Why it is refused, with the way out; empty when it is not."""
    return "; ".join(f"{each.cause}. {each.way_out}" for each in _takeover.problems(facts(systemd)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    found = tmp_path / "data"
    found.mkdir()
    return found


def test_a_unit_is_an_installation(tmp_path: Path, data: Path) -> None:
    (tmp_path / "cache").mkdir()
    systemd = FakeSystemd(
        tmp_path,
        f"--server-url http://server --data-dir {data} --cache-dir {tmp_path}/cache",
        "ExecStartPre=/bin/sleep 1",
    )
    systemd.defaults.write_text(f'GPUSTACK_TOKEN="{SECRET}"\n')
    found = facts(systemd)
    assert problem(systemd) == ""
    assert (found["kind"], found["id"], found["name"]) == ("systemd", f"systemd:{UNIT}", UNIT)
    assert (found["generation"], found["release"], found["release_source"]) == ("legacy", "0.7.1", "package")
    assert (found["role"], found["running"], found["network_mode"]) == ("worker", True, "host")
    assert found["data_dir"] == {
        "type": "bind",
        "host_path": str(data),
        "container_path": str(data),
        "volume": None,
        "read_path": str(data),
    }
    assert found["environment"] == {"GPUSTACK_TOKEN": "********"}
    assert _takeover.kept_by(found)["unit"] == {
        "name": UNIT,
        "enabled": True,
        "active": True,
        "makes": False,
        "removes": False,
        "further": ["ExecStartPre"],
    }
    (warning,) = _takeover.warnings(found)
    assert "its file, its variables and the program stay" in warning.cause
    assert "ExecStartPre of the unit mean nothing to the container" in warning.cause


def test_its_container_has_the_same_paths_and_no_secret_argument(tmp_path: Path, data: Path) -> None:
    systemd = FakeSystemd(tmp_path, f"--server-url http://server --token {SECRET} --data-dir {data}")
    record = _unit_install.record(UNIT, systemd.run)
    assert record is not None
    settings = {"image": "gpustack/gpustack:v2.2.3", "container_name": _unit_record.container_name(UNIT)}
    spec = _container_spec.build(record, {}, _releases.find("2.2.3"), "worker", {}, settings).spec
    assert (spec["name"], spec["network_mode"]) == ("gpustack", "host")
    assert (str(data), str(data)) in [(mount["source"], mount["target"]) for mount in spec["mounts"]]
    assert SECRET not in spec["command"]
    assert spec["environment"]["GPUSTACK_TOKEN"] == SECRET
    assert spec["labels"]["fleetops.gpustack.legacy"] == f"systemd:{UNIT}"


def test_what_the_unit_starts_is_what_systemd_says(tmp_path: Path, data: Path) -> None:
    systemd = FakeSystemd(tmp_path, f"--data-dir {data}", argv="/somewhere/else start")
    assert "systemd reads its ExecStart= in another way" in problem(systemd)
    assert "daemon-reload" in problem(systemd)


@pytest.mark.parametrize(
    ("lines", "shown", "cause"),
    [
        ([], {"User": "gpu"}, "runs as user gpu"),
        ([], {"DynamicUser": "yes"}, "DynamicUser"),
        ([], {"RootDirectory": "/srv/root"}, "root directory of its own"),
        ([], {"NeedDaemonReload": "yes"}, "was changed since it was loaded"),
        ([], {"TriggeredBy": "gpustack.timer"}, "other units start it too"),
        (["ExecStart=/usr/bin/gpustack start --debug"], {}, "several ExecStart="),
        (["ExecStart=", "ExecStart=/bin/bash -lc 'gpustack start'"], {}, "does not start gpustack by itself"),
        (["ExecStart=", "ExecStart=/usr/bin/env A=b /usr/bin/gpustack start"], {}, "does not start gpustack by itself"),
        (["Environment=A=%H"], {}, "specifier"),
    ],
)
def test_what_cannot_be_taken_over(
    tmp_path: Path, data: Path, lines: list[str], shown: dict[str, str], cause: str
) -> None:
    systemd = FakeSystemd(tmp_path, f"--data-dir {data} --token {SECRET}", *lines, **shown)
    assert cause in problem(systemd)
    assert SECRET not in problem(systemd)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ("--data-dir somewhere", "path from the working directory"),
        ("--data-dir /not/there", "/not/there, which is not on this host"),
        ("--data-dir {data} --ssl-certfile /not/there.pem --ssl-keyfile /etc/hostname", "--ssl-certfile names"),
    ],
)
def test_paths_that_a_container_could_not_see(tmp_path: Path, data: Path, arguments: str, cause: str) -> None:
    assert cause in problem(FakeSystemd(tmp_path, arguments.format(data=data)))


def test_a_template_is_refused(tmp_path: Path, data: Path) -> None:
    systemd = FakeSystemd(tmp_path, f"--data-dir {data}")
    record = _unit_install.record("gpustack@one.service", systemd.run)
    assert record is not None
    assert "made from a template" in record[_unit_record.KEY]["keeper"]["problem"]["cause"]


def test_units_are_found_by_what_they_start(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "systemd" / "system"
    (folder / "d.service.d").mkdir(parents=True)
    for name, command in {
        "a.service": "/opt/ai/bin/gpustack start --debug",
        "b.service": "/bin/bash -c 'exec /opt/ai/bin/gpustack start'",
        "c.service": "/usr/bin/docker run --name x gpustack/gpustack start",
        "d.service": "/usr/bin/true",
        "e.service": "/usr/bin/gpustack-exporter start",
    }.items():
        (folder / name).write_text(f"[Service]\nExecStart={command}\n")
    (folder / "d.service.d" / "own.conf").write_text("[Service]\nExecStart=\nExecStart=/usr/bin/gpustack start\n")

    def no_command(args: list[str], **_options: Any) -> tuple[int, str, str]:
        raise AssertionError(args)

    assert _unit_install.unit_names(no_command, str(tmp_path)) == ["a.service", "b.service", "d.service"]


def test_a_unit_that_is_switched_off_is_a_leftover(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = FakeSystemd(tmp_path, f"--data-dir {data}")
    monkeypatch.setattr(_unit_install, "unit_names", lambda _run: [UNIT])
    assert len(_unit_install.find(systemd.run, None)) == 1
    systemd.set(enabled=False, active=False)
    assert _unit_install.find(systemd.run, None) == []
    (kept,) = _unit_install.find(systemd.run, f"systemd:{UNIT}")
    assert kept["State"]["Running"] is False


def test_a_unit_that_is_gone_has_a_way_out(tmp_path: Path, data: Path) -> None:
    systemd = FakeSystemd(tmp_path, f"--data-dir {data}")
    systemd.file.unlink()
    assert _unit_install.record(UNIT, systemd.run) is None
    attempt = _attempt.Attempt(
        name="20261124T031500Z",
        role="worker",
        release="2.2.3",
        image="",
        container_name="gpustack",
        legacy_id=f"systemd:{UNIT}",
        legacy_name=UNIT,
        restart_policy={},
        was_running=True,
        data_dir=str(data),
        backup=str(tmp_path / "backup"),
    )
    look = _unit_install.look(lambda _name: None, systemd.run)
    found = _way_back.obstacle(attempt, [], look, lambda _name: None)
    assert found is not None
    assert "write the unit again" in found
    assert str(tmp_path / "backup" / "container.json") in found


def test_links_to_other_disks_lead_somewhere(tmp_path: Path, data: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "models").mkdir(parents=True)
    (data / "cache").mkdir()
    (data / "cache" / "huggingface").symlink_to(disk / "models")
    assert _unit_paths.same_paths([str(data), str(data / "log"), *_unit_paths._links(str(data))]) == [
        (str(data), str(data)),
        (str(disk / "models"), str(disk / "models")),
    ]


def test_models_by_path_are_mounted_where_the_host_has_them(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.gguf").write_text("")
    (tmp_path / "mounted" / "model").mkdir(parents=True)
    paths = [f"{tmp_path}/own/model.gguf", f"{tmp_path}/mounted/model", "/not/here", "relative"]
    assert _unit_paths.model_volumes(paths, [f"{tmp_path}/mounted"]) == [f"{tmp_path}/own:{tmp_path}/own"]


def test_its_definition_makes_no_container(tmp_path: Path, data: Path) -> None:
    systemd = FakeSystemd(tmp_path, f"--data-dir {data}")
    path = tmp_path / "container.json"
    path.write_text(_attempt.json.dumps(_unit_install.record(UNIT, systemd.run)))
    with pytest.raises(_attempt.SwitchError, match="a unit is not made again"):
        _from_definition.read(str(path))


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        (UNIT, "gpustack"),
        ("ai-worker.service", "ai-worker"),
        ("x.service", "gpustack"),
        ("gpu\\x2dstack.service", "gpu-x2dstack"),
    ],
)
def test_the_containers_name(unit: str, name: str) -> None:
    assert _unit_record.container_name(unit) == name
    assert _unit_record.container_name("gpustack-2") == "gpustack-2"


def test_the_interpreter_of_a_long_path(tmp_path: Path, data: Path) -> None:
    systemd = FakeSystemd(tmp_path, f"--data-dir {data}")
    systemd.bin.write_text(f"#!/bin/sh\n'''exec' \"{systemd.bin.parent}/python\" \"$0\" \"$@\"\n' '''\n")
    assert facts(systemd)["release"] == "0.7.1"


def test_a_process_that_nobody_keeps(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "gpustack"
    program.write_text("import time\nprint(flush=True)\ntime.sleep(60)\n")
    words = [sys.executable, str(program), "start", "--data-dir", str(data), "--token", SECRET]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            found = [each for each in _loose_process.find(set()) if each["Name"] == f"/process {process.pid}"]
            known = _loose_process.find({os.getpid()})
            with monkeypatch.context() as patch:
                # As of a unit that has restarted since it was asked for its processes.
                patch.setattr(_loose_process, "_unit_of", lambda _pid, _proc: "gpustack.service")
                of_unit = _loose_process.find(set(), {"gpustack.service"})
        finally:
            process.kill()
    (record,) = found
    assert f"/process {process.pid}" not in {each["Name"] for each in [*known, *of_unit]}
    installation = _discovery.installation(record, {}, [record], [], lambda _path: None).facts
    assert (installation["kind"], installation["data_dir"]["host_path"]) == ("process", str(data))
    (refused,) = _takeover.problems(installation)
    assert f"process {process.pid} (gpustack start)" in refused.cause
    assert "let a systemd unit of its own start it" in refused.way_out
    assert SECRET not in str(installation)
