# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on real databases, in a folder and in archives: what it takes, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import plistlib
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _transfer_evidence, _transfer_source
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.legacy_database import insert, make
from ansible_collections.fleetops.gpustack.tests.unit.plugins.modules.run_module import run_module

SECRET = "planted-secret-of-the-mac"
PLACE = "Library/Application Support/GPUStack"


class Mac:
    """A stopped server, whose rows are in the WAL alone, with what a Mac has around it."""

    def __init__(self, root: Path, **database: Any) -> None:
        self.root, self.data = root, root / "disk" / PLACE
        live = root / "live"
        live.mkdir()
        with contextlib.closing(make(live / "database.db", **database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            insert(connection, "users", id=1, username="admin")
            insert(connection, "models", id=1, name="mine", source="local_path", local_path="/Users/ada/mine.gguf")
            gpu = {"name": "Apple M2", "vendor": "Apple", "index": 0}
            insert(
                connection, "workers", id=1, name="mac", worker_uuid="u-1", status=json.dumps({"gpu_devices": [gpu]})
            )
            shutil.copytree(str(live), str(self.data))
        (self.data / "token").write_bytes(SECRET.encode() + b"\r\n")
        (self.data / "worker_uuid").write_text("u-1")
        (self.data / "._token").write_bytes(b"fork")
        (self.data / "bin").mkdir()
        (self.data / "cache").mkdir()
        (self.data / "cache/model.gguf").write_bytes(b"weights")
        daemons = root / "disk/Library/LaunchDaemons"
        daemons.mkdir(parents=True)
        words = ["gpustack", "start", "--huggingface-token", SECRET, "--port", "8080"]
        (daemons / "ai.gpustack.plist").write_bytes(plistlib.dumps({"ProgramArguments": words}))

    def packed(self) -> Path:
        path = self.root / "mac.tar.gz"
        with tarfile.open(str(path), "w:gz") as archive:
            archive.add(str(self.root / "disk"), ".")
        return path

    def read(self, path: Path | None = None, **parameters: Any) -> dict[str, Any]:
        return run_module("transfer_info", self.root, path=str(path or self.root / "disk"), **parameters)


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_told_without_its_secrets_and_not_written_to(mac: Mac) -> None:
    before = bytes_below(mac.root / "disk")
    result = mac.read()
    assert result["changed"] is False
    source = result["source"]
    assert (source["form"], source["system"], source["installation"]) == ("folder", "macos", "desktop installer")
    assert [each["name"] for each in source["files"]] == [
        "database.db",
        "database.db-wal",
        "token",
        "worker_uuid",
        "ai.gpustack.plist",
    ]
    assert source["database"]["counts"]["users"] == 1
    assert source["database"]["release"] == "0.7.1"
    assert source["database"]["old_paths"] == [{"table": "models", "row": "mine", "path": "/Users/ada/mine.gguf"}]
    assert source["worker"] == {"name": "mac", "gpus": ["Apple M2"]}
    assert source["settings"] == {"kept": ["huggingface_token", "port"], "dropped": [], "port": 8080}
    assert (source["left_behind"], source["noise"], source["cache"]) == (["bin/"], 1, [])
    assert SECRET not in json.dumps(result)
    assert bytes_below(mac.root / "disk") == before


def test_an_archive_is_the_same_source(mac: Mac) -> None:
    packed = mac.read(mac.packed(), whole=True)["source"]
    assert packed["form"] == "tar"
    assert packed["id"] == mac.read()["source"]["id"]
    assert packed["archive"]["size"] == mac.packed().stat().st_size


def test_caches_are_hashed_when_they_are_asked_for(mac: Mac) -> None:
    (cached,) = mac.read(cache=True)["source"]["cache"]
    assert (cached["name"], cached["size"]) == ("model.gguf", 7)


def test_another_row_is_another_source(mac: Mac) -> None:
    before = mac.read()["source"]["id"]
    (mac.data / "token").write_text("other")
    assert mac.read()["source"]["id"] != before


def test_a_server_that_runs_is_refused_with_how_to_stop_it(mac: Mac) -> None:
    with open(str(mac.data / "database.db"), "rb"):
        result = mac.read()
    assert "the server still runs: process" in result["msg"]
    assert "launchctl bootout system /Library/LaunchDaemons/ai.gpustack.plist" in result["msg"]


def test_a_log_that_ends_in_the_middle_is_refused(mac: Mac) -> None:
    log = mac.data / "database.db-wal"
    log.write_bytes(log.read_bytes()[:-100])
    assert "ends in the middle of a transaction" in mac.read()["msg"]


def test_a_database_without_its_log_is_refused_where_nothing_is_left(tmp_path: Path) -> None:
    mac = Mac(tmp_path)
    (mac.data / "database.db").write_bytes(b"")
    (mac.data / "database.db-wal").unlink()
    assert "database.db-wal included" in mac.read()["msg"]


@pytest.mark.parametrize(("head", "said"), [("c45e397531d1", "that of GPUStack 0.6.2"), ("0123", "no legacy release")])
def test_other_releases_are_refused(tmp_path: Path, head: str, said: str) -> None:
    message = Mac(tmp_path, head=head).read()["msg"]
    assert said in message
    assert "Bring the server to 0.7.1" in message


def test_a_rollback_journal_belongs_to_it(tmp_path: Path) -> None:
    mac = Mac(tmp_path, journal_mode="DELETE")
    (mac.data / "database.db-journal").write_bytes(b"")
    assert "database.db-journal" in [each["name"] for each in mac.read()["source"]["files"]]


def test_links_in_caches_are_refused_only_when_they_are_asked_for(mac: Mac) -> None:
    (mac.data / "cache/link").symlink_to("/etc/passwd")
    assert mac.read()["source"]["left_behind"] == ["bin/", f"{PLACE}/cache/link"]
    assert "its caches hold links or the like" in mac.read(cache=True)["msg"]


def test_a_settings_file_that_is_not_there_is_named(mac: Mac) -> None:
    assert "/no/such.plist cannot be read" in mac.read(settings=["/no/such.plist"])["msg"]


def test_two_settings_files_of_one_name_are_refused(mac: Mac) -> None:
    other = mac.root / "ai.gpustack.plist"
    other.write_bytes(b"")
    assert "there are several ai.gpustack.plist" in mac.read(settings=[str(other)])["msg"]


def test_settings_from_elsewhere_travel_too(mac: Mac) -> None:
    helper = mac.root / "config.yaml"
    helper.write_text("disable_update_check: true\n")
    source = mac.read(settings=[str(helper)])["source"]
    assert "disable_update_check" in source["settings"]["kept"]
    assert [each["path"] for each in source["files"] if each["name"] == "config.yaml"] == [str(helper)]


def test_files_that_change_while_they_are_read_are_refused(
    mac: Mac, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recover = _transfer_evidence._snapshot.recover

    def recovered_while_somebody_writes(*arguments: Any, **options: Any) -> Any:
        (mac.data / "token").write_text("new")
        return recover(*arguments, **options)

    monkeypatch.setattr(_transfer_evidence._snapshot, "recover", recovered_while_somebody_writes)
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o700)
    request = _transfer_evidence.Request(
        path=str(mac.data), settings=[], arguments=[], environment={}, cache=False, whole=False, scratch=str(scratch),
        run=lambda *_words, **_options: (0, "", ""),
    )  # fmt: skip
    with pytest.raises(_transfer_source.SourceError, match="token changed while it was read"):
        _transfer_evidence.read(request)
