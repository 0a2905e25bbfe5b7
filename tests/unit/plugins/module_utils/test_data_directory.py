# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is found in a data directory, and that secrets stay there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _data_directory
from ansible_collections.fleetops.gpustack.plugins.module_utils._legacy_settings import settings

TOKEN = "0123456789abcdef0123456789abcdef"


def digest(salt: str, value: str) -> str:
    """What two hosts compare."""
    return hashlib.sha256((salt + value).encode()).hexdigest()


def test_files_of_a_legacy_server(tmp_path: Path) -> None:
    for name in ("database.db", "database.db-wal", "token", "something-else"):
        (tmp_path / name).write_text("x")
    (tmp_path / "token").chmod(0o600)
    found = _data_directory.data(str(tmp_path), [])
    assert found is not None
    assert found["files"].keys() == {"database.db", "database.db-wal", "token"}
    assert found["files"]["token"]["mode"] == "0600"
    assert found["v2_files"] == []


def test_what_v2_left(tmp_path: Path) -> None:
    (tmp_path / "postgresql/data").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/state_migration_done").touch()
    (tmp_path / "gpustack_migration_temp_database.db").touch()
    assert _data_directory.v2_files(str(tmp_path)) == [
        "gpustack_migration_temp_database.db",
        "postgresql",
        "run",
        "run/state_migration_done",
    ]


@pytest.mark.parametrize(("mode", "traversable"), [(0o755, True), (0o750, False), (0o751, False), (0o705, True)])
def test_the_directorys_own_bits_for_others(tmp_path: Path, mode: int, traversable: bool) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    directory.chmod(mode)
    found = _data_directory.data(str(directory), [])
    assert found is not None
    assert found["traversable_by_others"] is traversable


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert _data_directory.data(str(tmp_path / "none"), []) is None


def test_the_token_of_the_arguments_is_compared_by_its_digest() -> None:
    found = _data_directory.token(settings(["--token", TOKEN], {}, legacy=True), None, "salt")
    assert found == {"source": "argument", "digest": digest("salt", TOKEN), "reserved_prefix": False}


def test_the_token_of_the_file_is_the_same_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    found = _data_directory.token(settings([], {}, legacy=True), str(tmp_path), "salt")
    assert (found["source"], found["digest"]) == ("file", digest("salt", TOKEN))


def test_no_token_and_no_salt() -> None:
    assert _data_directory.token(settings([], {}, legacy=True), None, "salt")["source"] == "none"
    assert _data_directory.token(settings(["-t", TOKEN], {}, legacy=True), None, "")["digest"] is None


def test_a_token_that_v2_would_not_take_for_a_legacy_one() -> None:
    found = _data_directory.token(settings([], {"GPUSTACK_TOKEN": "gpustack-secret"}, legacy=True), None, "s")
    assert (found["source"], found["reserved_prefix"]) == ("environment", True)


def test_the_workers_name_by_the_programs_own_order(tmp_path: Path) -> None:
    plain = settings(["--server-url", "http://s"], {}, legacy=True)
    named = settings(["--server-url", "http://s", "--worker-name", "told"], {}, legacy=True)
    by_hostname = _data_directory.worker(plain, str(tmp_path), "gpu-host")
    (tmp_path / "worker_name").write_text("kept\n")
    (tmp_path / "worker_uuid").write_text("1-2-3\n")
    by_file = _data_directory.worker(plain, str(tmp_path), "gpu-host")
    by_argument = _data_directory.worker(named, str(tmp_path), "gpu-host")
    found = [(each["name"], each["name_source"], each["uuid"]) for each in (by_hostname, by_file, by_argument)]
    assert found == [("gpu-host", "hostname", None), ("kept", "file", "1-2-3"), ("told", "argument", "1-2-3")]


def test_the_workers_address_and_server() -> None:
    found = _data_directory.worker(
        settings(["--server-url", "http://s", "--worker-ip", "10.0.0.9", "--worker-port", "10250"], {}, legacy=True),
        None,
        "h",
    )
    assert (found["ip"], found["port"], found["server_url"]) == ("10.0.0.9", 10250, "http://s")


def test_a_password_in_the_servers_url_is_masked() -> None:
    found = _data_directory.worker(settings(["--server-url", "http://u:planted@s:80"], {}, legacy=True), None, "h")
    assert found["server_url"] == "http://u:********@s:80"


def test_the_release_of_the_package_in_a_container(tmp_path: Path) -> None:
    for package in ("gpustack-0.7.1.dist-info", "gpustack_runtime-0.1.0.dist-info"):
        (tmp_path / "usr/local/lib/python3.11/dist-packages" / package).mkdir(parents=True)
    assert _data_directory.package_release([str(tmp_path / "no-root"), str(tmp_path)]) == "0.7.1"
    assert _data_directory.package_release([str(tmp_path / "no-root")]) is None


def test_the_package_of_the_rocm_and_dcu_images_of_0_5_and_0_6_lies_in_an_environment_of_pipx(tmp_path: Path) -> None:
    packages = "root/.local/share/pipx/venvs/gpustack/lib/python3.10/site-packages"
    (tmp_path / packages / "gpustack-0.6.2.dist-info").mkdir(parents=True)
    assert _data_directory.package_release([str(tmp_path)]) == "0.6.2"


def test_downloads_in_the_layout_of_0_5_are_found_in_whatever_cache_there_is(tmp_path: Path) -> None:
    for name in ("models--Qwen--Qwen2.5", "Qwen/Qwen3", "models--half"):
        (tmp_path / "huggingface" / name).mkdir(parents=True)
    assert _data_directory.old_hub_cache(str(tmp_path)) == ["cache/huggingface/models--Qwen--Qwen2.5"]
    assert _data_directory.old_hub_cache(str(tmp_path / "nowhere")) == []
    assert _data_directory.old_hub_cache(None) == []


def test_where_a_containers_files_are() -> None:
    storage = {"Data": {"UpperDir": "/o/2/diff", "LowerDir": "/o/1/diff:/o/0/diff"}}
    running = {"State": {"Running": True, "Pid": 42}, "GraphDriver": storage}
    stopped = {"State": {"Running": False, "Pid": 0}, "GraphDriver": None}
    assert _data_directory.container_roots(running) == ["/proc/42/root", "/o/2/diff", "/o/1/diff", "/o/0/diff"]
    assert _data_directory.container_roots(stopped) == []


def test_downloaded_models_are_named_and_empty_directories_are_not(tmp_path: Path) -> None:
    """A 0.7.1 server makes `cache/gguf-parser` and `cache/vox-box`, and leaves them empty until they are needed."""
    for name in ("gguf-parser", "vox-box", "huggingface/Qwen"):
        (tmp_path / "cache" / name).mkdir(parents=True)
    (tmp_path / "cache" / "note.txt").write_text("of the operator's")
    assert _data_directory.cached(str(tmp_path)) == ["huggingface", "note.txt"]


def test_a_data_directory_without_a_cache(tmp_path: Path) -> None:
    assert _data_directory.cached(str(tmp_path)) == []
