# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts about a host, from the kernel's tables as they look on real machines."""

from __future__ import annotations

import contextlib
import os
import socket
import types
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _host_facts

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000  9999        0 2 1 0 100 0 0 10 0
   2: 0B00CB0A:0050 1500CB0A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:27A6 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
"""
MOUNTINFO = """\
22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:25 / /proc rw shared:5 - proc proc rw
40 22 8:17 /gpu /data rw shared:9 - xfs /dev/sdb1 rw
41 40 0:50 / /data/shared\\040models rw shared:10 - nfs4 filer:/export/models rw,vers=4.2
42 40 0:51 / /data/gluster rw - fuse.glusterfs gl1:/vol rw
43 22 8:33 / /data rw shared:11 - ext4 /dev/sdc1 rw
"""


@pytest.fixture
def mountinfo() -> list[dict[str, str]]:
    """The mounts of a host."""
    return _host_facts.parse_mountinfo(MOUNTINFO.splitlines(keepends=True))


@contextlib.contextmanager
def listener() -> Iterator[int]:
    """A port that somebody listens on."""
    with contextlib.closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(5)
        yield server.getsockname()[1]


def target(port: int, host: str = "127.0.0.1", **others: Any) -> dict[str, Any]:
    """An endpoint to try."""
    return {"host": host, "port": port, "kind": "asked", "worker": None, "ok": False, "error": None, **others}


def test_listening_ports_of_both_families(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TCP)
    (tmp_path / "net/tcp6").write_text(TCP6)
    assert _host_facts.listening_ports(str(tmp_path)) == [22, 5432, 10150]


def test_without_ipv6_there_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TCP)
    assert _host_facts.listening_ports(str(tmp_path)) == [22, 5432]


def test_the_ports_of_this_host_hold_one_that_was_just_opened() -> None:
    with listener() as port:
        assert port in _host_facts.listening_ports()


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/etc", "/dev/vda1"),
        ("/data", "/dev/sdc1"),
        ("/data/x", "/dev/sdc1"),
        ("/database", "/dev/vda1"),
        ("/data/shared models/a", "filer:/export/models"),
    ],
)
def test_the_deepest_and_last_mount_holds_a_path(mountinfo: list[dict[str, str]], path: str, device: str) -> None:
    assert _host_facts.mount_of(path, mountinfo)["source"] == device


@pytest.mark.parametrize(
    ("kind", "network"),
    [("nfs4", True), ("cifs", True), ("fuse.glusterfs", True), ("ext4", False), ("fuse.ntfs", False)],
)
def test_file_systems_of_other_machines(tmp_path: Path, kind: str, network: bool) -> None:
    mount = {"mount_point": "/", "type": kind, "source": "there:/it"}
    found = _host_facts.filesystem(str(tmp_path), [mount])
    assert found is not None
    assert (found["network"], found["export"]) == (network, "there:/it" if network else None)


def test_a_directory_that_can_be_written_and_one_that_will_be_made_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "not/yet"):
        found = _host_facts.filesystem(str(path), [])
        assert found is not None
        assert found["unwritable"] is None


def test_what_even_root_cannot_write_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only mount and an immutable directory of one's own would need privileges that a test may lack."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    told = str(_host_facts.unwritable(str(tmp_path / "not/yet")))
    assert told == f"{tmp_path}: not writable; where it is immutable (lsattr -d), take that away (chattr -i)"
    flags = types.SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr(os, "statvfs", lambda _path: flags)
    told = str(_host_facts.unwritable(str(tmp_path)))
    assert told == f"{tmp_path}: Read-only file system; mount it read-write"


def test_a_directory_that_does_not_exist_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    found = _host_facts.filesystem(str(tmp_path / "not/yet"), _host_facts.mounts())
    parent = _host_facts.filesystem(str(tmp_path), _host_facts.mounts())
    assert found is not None
    assert parent is not None
    assert (found["mount_point"], found["total"]) == (parent["mount_point"], parent["total"])
    assert found["total"] >= found["free"] > 0


@pytest.mark.parametrize(
    ("path", "environment", "expected"),
    [
        ("~/.ansible/tmp", {"SUDO_USER": "daemon"}, os.path.expanduser("~daemon") + "/.ansible/tmp"),
        ("~/.ansible/tmp", {"SUDO_USER": "nobody-of-this-name"}, os.path.expanduser("~") + "/.ansible/tmp"),
        ("~/.ansible/tmp", {}, os.path.expanduser("~") + "/.ansible/tmp"),
        ("/var/tmp/a~/b", {"SUDO_USER": "daemon"}, "/var/tmp/a~/b"),
    ],
)
def test_a_home_is_that_of_the_user_who_became_root(path: str, environment: dict[str, str], expected: str) -> None:
    assert _host_facts.of_login_user(path, environment) == expected


def test_owner_and_mode_of_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("abc")
    secret.chmod(0o600)
    os.utime(secret, (1000, 2000))
    found = {"uid": os.getuid(), "gid": os.getgid(), "mode": "0600", "size": 3, "modified": 2000}
    assert _host_facts.owner_and_mode(str(secret)) == found
    assert _host_facts.owner_and_mode(str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("environment", "info", "expected"),
    [
        ({}, {}, (False, False)),
        ({"HTTPS_PROXY": "http://u:hunter2@p:3128"}, {}, (True, False)),
        ({"http_proxy": "http://p", "NO_PROXY": "localhost"}, {}, (True, True)),
        ({"http_proxy": ""}, {}, (False, False)),
        ({}, {"HttpProxy": "http://p:3128", "NoProxy": "10.0.0.0/8"}, (True, True)),
    ],
)
def test_proxies_are_set_or_not_and_never_shown(environment: Any, info: Any, expected: tuple[bool, bool]) -> None:
    found = _host_facts.proxies(environment, info)
    assert (found["http_proxy"], found["no_proxy"]) == expected
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://server", ("server", 80)),
        ("https://server/", ("server", 443)),
        ("http://10.0.0.1:8080", ("10.0.0.1", 8080)),
        ("http://[fd00::1]:80", ("fd00::1", 80)),
    ],
)
def test_what_a_server_url_means(url: str, endpoint: tuple[str, int]) -> None:
    assert _host_facts.url_target(url) == endpoint


@pytest.mark.parametrize("url", ["server:80", "10.0.0.1", "http://", "http://server:eighty", "ftp://server"])
def test_a_url_that_cannot_be_used_is_a_failed_target(url: str) -> None:
    (found,) = _host_facts.reachability([_host_facts.probe_target(url, "worker_to_server", "w")])
    assert found["ok"] is False
    assert found["error"].startswith("The server URL cannot be used")


def test_open_and_closed_ports_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with listener() as opened:
        pass
    with listener() as port:
        good, bad = _host_facts.reachability([target(port), target(opened)])
    assert (good["ok"], good["error"]) == (True, None)
    assert (bad["ok"], bad["error"]) == (False, "connection refused")


def test_a_name_that_does_not_resolve() -> None:
    (found,) = _host_facts.reachability([target(80, host="no-such-host.invalid")])
    assert found["ok"] is False
    assert "does not resolve" in found["error"]


def test_no_targets_no_threads() -> None:
    assert _host_facts.reachability([]) == []


def test_the_evidence_about_this_host() -> None:
    found = _host_facts.host({}, {}, None)
    assert found["uid"] == os.geteuid()
    assert found["clock_offset"] is None
    assert found["hostname"] == socket.gethostname()
