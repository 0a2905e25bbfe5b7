# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts about the host itself, from /proc, /sys and the file system."""

from __future__ import annotations

import os
import platform
import re
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

CONNECT_TIMEOUT = 3.0
PARALLEL_CONNECTS = 64
#: File systems whose other side is another machine. FUSE ones are told apart by the part after the dot.
NETWORK_FILESYSTEMS = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs"),
        *("ocfs2", "gfs2", "orangefs", "pvfs2"),
        *("fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.juicefs", "fuse.ceph", "fuse.cephfs", "fuse.rclone"),
        *("fuse.goofys", "fuse.moosefs", "fuse.seaweedfs"),
    )
)
_LISTEN = "0A"
_OCTAL_ESCAPE = re.compile(r"\\([0-7]{3})")


def host(
    environment: Mapping[str, str], engine_info: Mapping[str, Any], controller_clock: float | None
) -> dict[str, Any]:
    """The evidence ``host``."""
    clock = time.time()
    return {
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "uid": os.geteuid(),
        "architecture": platform.machine(),
        "clock": clock,
        "clock_offset": None if controller_clock is None else clock - controller_clock,
        "boot_id": boot_id(),
        "system_vendor": read_line("/sys/class/dmi/id/sys_vendor"),
        "proxy": proxies(environment, engine_info),
    }


def boot_id() -> str | None:
    """The identifier of this boot."""
    return read_line("/proc/sys/kernel/random/boot_id")


def read_line(path: str) -> str | None:
    """The stripped text of a small file; None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as small_file:
            return small_file.read(4096).strip()
    except OSError:
        return None


def proxies(environment: Mapping[str, str], engine_info: Mapping[str, Any]) -> dict[str, bool]:
    """Whether a proxy is set, and exceptions from it: never the values, which may hold a password."""
    names = {name.lower() for name, value in environment.items() if value}
    return {
        "http_proxy": bool(
            {"http_proxy", "https_proxy"} & names or engine_info.get("HttpProxy") or engine_info.get("HttpsProxy")
        ),
        "no_proxy": bool("no_proxy" in names or engine_info.get("NoProxy")),
    }


def listening_ports(proc: str = "/proc") -> list[int]:
    """TCP ports somebody listens on, IPv4 and IPv6."""
    ports: set[int] = set()
    for name in ("tcp", "tcp6"):
        try:
            with open(os.path.join(proc, "net", name), encoding="ascii") as table:
                ports.update(parse_listeners(table))
        except OSError:
            continue
    return sorted(ports)


def parse_listeners(lines: Iterable[str]) -> set[int]:
    """Ports of the sockets in state LISTEN of a table such as /proc/net/tcp."""
    fields = (line.split() for line in lines)
    return {int(field[1].rsplit(":", 1)[1], 16) for field in fields if len(field) > 3 and field[3] == _LISTEN}


def filesystem(path: str, mountinfo: Sequence[Mapping[str, str]]) -> dict[str, Any] | None:
    """Where a path lies, how big and how free that is; one that does not exist yet is judged by its nearest parent."""
    existing = nearest_existing(path)
    try:
        usage = os.statvfs(existing)
    except OSError:
        return None
    mount = mount_of(existing, mountinfo)
    kind = mount.get("type", "unknown")
    network = kind in NETWORK_FILESYSTEMS
    return {
        "mount_point": mount.get("mount_point"),
        "device": mount.get("source"),
        "type": kind,
        "total": usage.f_blocks * usage.f_frsize,
        "free": usage.f_bavail * usage.f_frsize,
        "unwritable": unwritable(existing),
        "network": network,
        "export": mount.get("source") if network else None,
    }


def of_login_user(path: str, environment: Mapping[str, str]) -> str:
    """A path below ``~`` as the login user means it, who became root by sudo or doas."""
    user = environment.get("SUDO_USER") or environment.get("DOAS_USER") or ""
    theirs = os.path.expanduser(path.replace("~/", f"~{user}/", 1)) if path.startswith("~/") else path
    return os.path.expanduser(path) if theirs.startswith("~") else theirs


def unwritable(path: str) -> str | None:
    """Why not even root could make something at a path; None when this process can."""
    existing = nearest_existing(path)
    if os.access(existing, os.W_OK):
        return None
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return f"{existing}: Read-only file system; mount it read-write"
    return f"{existing}: not writable; where it is immutable (lsattr -d), take that away (chattr -i)"


def nearest_existing(path: str) -> str:
    """The path itself, resolved, or its nearest parent that exists."""
    path = os.path.realpath(path)
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path)
    return path


def mounts(proc: str = "/proc") -> list[dict[str, str]]:
    """The mounts that this process sees, in their order."""
    try:
        with open(os.path.join(proc, "self", "mountinfo"), encoding="utf-8", errors="surrogateescape") as table:
            return parse_mountinfo(table)
    except OSError:
        return []


def parse_mountinfo(lines: Iterable[str]) -> list[dict[str, str]]:
    """Mount point, type and source of each line of mountinfo."""
    found = []
    for line in lines:
        before, _separator, after = line.rstrip("\n").partition(" - ")
        kind, _blank, rest = after.partition(" ")
        found.append(
            {
                "mount_point": unescape(before.split(" ")[4]),
                "type": kind,
                "source": unescape(rest.split(" ")[0]),
            }
        )
    return found


def unescape(text: str) -> str:
    """Octal escapes of the kernel's mount tables to characters."""
    return _OCTAL_ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)


def mount_of(path: str, mountinfo: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """The mount that a path lies on: the deepest one, and of those the last, which hides the others."""
    best: Mapping[str, str] = {}
    for mount in mountinfo:
        if is_below(path, mount["mount_point"]) and len(mount["mount_point"]) >= len(best.get("mount_point", "")):
            best = mount
    return best


def is_below(path: str, directory: str) -> bool:
    """Whether a path is a directory or inside of it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def owner_and_mode(path: str) -> dict[str, Any] | None:
    """Owner, group, mode, size and time of the last change of a file; None when it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return {
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "size": status.st_size,
        "modified": status.st_mtime,
    }


def url_target(url: str) -> tuple[str, int]:
    """Host and port that a server URL means; ValueError when it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("it does not begin with http:// or https://")
    if not parts.hostname:
        raise ValueError("it names no host")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def probe_target(url: str, kind: str, worker: str | None) -> dict[str, Any]:
    """What to try for a server URL; one that cannot be understood is a target that failed already."""
    target: dict[str, Any] = {"host": None, "port": None, "kind": kind, "worker": worker, "ok": False, "error": None}
    try:
        target["host"], target["port"] = url_target(url)
    except ValueError as error:
        target["error"] = f"The server URL cannot be used: {error}."
    return target


def reachability(targets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every target with the result of one plain TCP connection, all at once; proxies play no part."""
    if not targets:
        return []
    with ThreadPoolExecutor(max_workers=min(PARALLEL_CONNECTS, len(targets))) as pool:
        return list(pool.map(reached, targets))


def reached(target: dict[str, Any]) -> dict[str, Any]:
    """One target with its result."""
    if target.get("error"):
        return target
    error = connect_error(str(target["host"]), int(target["port"]))
    return dict(target, ok=error is None, error=error)


def connect_error(address: str, port: int) -> str | None:
    """Why a TCP connection could not be made; None when it could."""
    try:
        with socket.create_connection((address, port), timeout=CONNECT_TIMEOUT):
            return None
    except socket.timeout:
        return f"no answer within {CONNECT_TIMEOUT:g} s"
    except socket.gaierror as error:
        return f"name does not resolve: {error.strerror}"
    except OSError as error:
        return (error.strerror or str(error)).lower()
