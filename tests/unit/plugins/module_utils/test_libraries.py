# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private environment: what it must hold, where its wheels come from, and that it is never half-built."""

from __future__ import annotations

import ensurepip
import io
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _libraries
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.module_run import run_command


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("6.1.3", False), ("7.0.0", True), ("7.2.0", True), ("8.0.0", False), ("7.1.0.dev3", True), (None, False)],
)
def test_docker_sdk_versions(version: str | None, accepted: bool) -> None:
    assert _libraries.DOCKER.accepts(version) is accepted


def test_psycopg_3_1_is_too_old() -> None:
    assert not _libraries.PSYCOPG.accepts("3.1.20")
    assert _libraries.PSYCOPG.accepts("3.2.13")


def test_only_a_server_needs_psycopg() -> None:
    assert _libraries.required(server=False) == [_libraries.DOCKER]
    assert _libraries.required(server=True) == [_libraries.DOCKER, _libraries.PSYCOPG]


def test_a_server_with_an_external_mysql_needs_pymysql_instead() -> None:
    assert _libraries.required(server=True, database="mysql") == [_libraries.DOCKER, _libraries.PYMYSQL]
    assert _libraries.required(server=False, database="mysql") == [_libraries.DOCKER]


def test_pymysql_is_known_by_its_own_version(tmp_path: Path) -> None:
    module = tmp_path / "fleetops_stand_in.py"
    module.write_text('VERSION_STRING = "1.1.2"\n__version__ = "1.4.6"\n', encoding="utf-8")
    wanted = _libraries.Requirement("fleetops_stand_in", "none", (1,), (2,))

    def beside_it(command: list[str], **more: Any) -> Any:
        return run_command(command, **{**more, "environ_update": {"PYTHONPATH": str(tmp_path)}})

    assert _libraries.probe(beside_it, sys.executable, [wanted]) == {"fleetops_stand_in": "1.1.2"}


def test_what_pip_is_asked_for() -> None:
    assert [requirement.specifier for requirement in _libraries.required(True)] == [
        "docker>=7,<8",
        "psycopg[binary]>=3.2,<4",
    ]


def test_a_host_takes_wheels_for_its_glibc_and_older_ones() -> None:
    assert _libraries.wheel_platforms("glibc", "2.19", "x86_64") == [
        "manylinux_2_19_x86_64",
        "manylinux_2_18_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ]


@pytest.mark.parametrize(("libc", "version"), [("", ""), ("glibc", "2.12"), ("musl", "1.2")])
def test_other_hosts_get_no_standard_wheels(libc: str, version: str) -> None:
    assert _libraries.wheel_platforms(libc, version, "x86_64") == []


def test_wheels_for_this_host_include_pip_and_what_another_python_would_not_add() -> None:
    wanted = _libraries.wanted_wheels(_libraries.required(True))
    assert wanted["packages"][0] == "pip"
    assert "typing_extensions>=4.6" in wanted["packages"]
    assert (_libraries.ZONEINFO_BACKPORT in wanted["packages"]) == (sys.version_info < (3, 9))


def test_probe_reports_what_does_not_import_as_missing() -> None:
    absent = _libraries.Requirement("fleetops_no_such_library", "none", (1,), (2,))
    found = _libraries.probe(run_command, sys.executable, [absent])
    assert found == {"fleetops_no_such_library": None}
    assert _libraries.missing(found, [absent]) == [absent]


def test_probe_of_an_interpreter_that_is_not_there() -> None:
    assert _libraries.probe(run_command, "/nonexistent/python", [_libraries.DOCKER]) == {"docker": None}


def test_only_wheels_leave_a_tar_file_and_none_leaves_the_directory(tmp_path: Path) -> None:
    archive = tmp_path / "wheels.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("../../outside.whl", "inner/a.whl", "script.sh"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"data"))
    _libraries._unpack_wheels(str(archive), str(tmp_path / "wheels"))
    assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == ["a.whl", "outside.whl"]
    assert not (tmp_path.parent / "outside.whl").exists()


def wheel(directory: Path, name: str, version: str, source: str) -> None:
    """A wheel with one module, as pip takes it."""
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """pip's own wheel, the one that Python carries along."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    bundled = Path(ensurepip.__file__).parent / "_bundled"
    pip = max(bundled.glob("pip-*.whl"))
    (directory / pip.name).write_bytes(pip.read_bytes())
    return directory


def build(state_dir: Path, wheels: Path) -> dict[str, str | None]:
    state_dir.mkdir(exist_ok=True)
    return _libraries._build(run_command, str(state_dir), [_libraries.DOCKER], str(wheels))


def test_the_environment_is_built_from_wheels_without_an_index(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "docker", "7.9.9", "__version__ = '7.9.9'\n")
    assert build(tmp_path / "state", wheels) == {"docker": "7.9.9"}
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["venv"]
    python = _libraries.environment_python(str(tmp_path / "state"))
    assert _libraries.probe(run_command, python, [_libraries.DOCKER]) == {"docker": "7.9.9"}


def test_a_build_that_fails_leaves_the_old_environment_and_nothing_else(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "docker", "7.9.9", "__version__ = '7.9.9'\n")
    build(tmp_path / "state", wheels)
    wheel(wheels, "docker", "7.9.10", "raise ImportError('broken')\n")
    with pytest.raises(_libraries.LibrariesError, match="docker cannot be imported"):
        build(tmp_path / "state", wheels)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["venv"]
    python = _libraries.environment_python(str(tmp_path / "state"))
    assert _libraries.probe(run_command, python, [_libraries.DOCKER]) == {"docker": "7.9.9"}


def test_what_an_interrupted_build_left_is_not_in_the_way(tmp_path: Path, wheels: Path) -> None:
    leftover = tmp_path / "state" / "venv.new" / "bin"
    leftover.mkdir(parents=True)
    (leftover / "python").write_text("half")
    wheel(wheels, "docker", "7.9.9", "__version__ = '7.9.9'\n")
    assert build(tmp_path / "state", wheels) == {"docker": "7.9.9"}


def test_wheels_without_pip_say_what_is_missing_and_what_to_bring(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(_libraries.LibrariesError, match=r"no wheel of pip itself.*gpustack_wheels_dir") as caught:
        build(tmp_path / "state", tmp_path / "empty")
    assert caught.value.wanted["packages"] == ["pip", "docker>=7,<8"]


def test_a_directory_for_several_pythons_holds_a_pip_that_this_one_does_not_run(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "docker", "7.9.9", "__version__ = '7.9.9'\n")
    with zipfile.ZipFile(wheels / "pip-99.0-py3-none-any.whl", "w") as archive:
        archive.writestr("pip/__main__.py", "raise SystemExit('needs Python 9')\n")
    assert build(tmp_path / "state", wheels) == {"docker": "7.9.9"}


def test_a_missing_wheel_is_named(tmp_path: Path, wheels: Path) -> None:
    with pytest.raises(_libraries.LibrariesError, match=r"could not install from the wheels.*docker"):
        build(tmp_path / "state", wheels)


def test_check_mode_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_libraries, "DOCKER", _libraries.DOCKER._replace(at_least=(99,), below=(100,)))
    outcome = _libraries.ensure(run_command, str(tmp_path / "state"), server=False, wheels=None, check_mode=True)
    assert outcome["changed"]
    assert outcome["actions"] == [f"build {tmp_path}/state/venv with docker>=99,<100 from the package index"]
    assert list(tmp_path.iterdir()) == []
