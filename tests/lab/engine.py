# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine of the lab: the one that is there, else Debian's, installed and started here.

Debian 12's own engine (20.10) refuses `--privileged` on a machine that itself lacks a capability; the one of the
next suite does not. That suite is therefore added, from the mirror that the machine already uses, at a priority at
which nothing is taken from it unasked.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.lab import docker, machine
from tests.lab.errors import LabError
from tests.lab.progress import say, step

STATE = Path("/var/lib/gpustack-lab/engine")
PID_FILE = STATE / "dockerd.pid"
LOG_FILE = STATE / "dockerd.log"
CONTAINERD_PID_FILE = Path("/run/docker/containerd/containerd.pid")
APT_SOURCE = Path("/etc/apt/sources.list.d/gpustack-lab-trixie.sources")
APT_PREFERENCES = Path("/etc/apt/preferences.d/gpustack-lab-trixie")
SUITE = "trixie"
# Only these three come from the next suite. Its runc would bring a new libc with it, and is not needed.
FROM_TRIXIE = ("docker.io", "docker-cli", "containerd")
FROM_BOOKWORM = ("runc", "iptables", "debootstrap")
SOCKET_TIMEOUT = 60.0


def trixie_source(mirror: str, keyring: str) -> str:
    """The deb822 stanza that adds the next suite of the same mirror."""
    signed = f"Signed-By: {keyring}\n" if keyring else ""
    return f"Types: deb\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\n{signed}"


def ensure() -> None:
    """Return once an engine answers; install and start Debian's where none does."""
    if docker.answers():
        return
    if os.environ.get("LAB_ENGINE") == "never":
        raise LabError(
            "no Docker engine answers, and LAB_ENGINE=never forbids to start one; "
            "start Docker, set DOCKER_HOST, or unset LAB_ENGINE"
        )
    if os.environ.get("DOCKER_HOST"):
        raise LabError(f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}; start it or unset it")
    if os.geteuid() != 0:
        raise LabError("no Docker engine answers, and only root can install and start one; run as root or start Docker")
    if not _installed():
        _install()
    _start()


def describe() -> str:
    """One line about the engine in use."""
    if not docker.answers():
        return "no Docker engine answers"
    version = docker.out("version", "--format", "{{.Server.Version}}")
    whose = f"started by the lab, pid {_our_pid()}" if _our_pid() else "not started by the lab"
    return f"Docker {version} at {os.environ.get('DOCKER_HOST', 'the default socket')}, {whose}"


def stop() -> None:
    """Stop the engine if, and only if, the lab started it."""
    pid = _our_pid()
    if pid is None:
        say("no engine of the lab's own is running; nothing to stop")
        return
    with step(f"stopping dockerd (pid {pid})"):
        os.kill(pid, signal.SIGTERM)
        while _our_pid() is not None:
            time.sleep(0.2)


def _installed() -> bool:
    return Path(docker.DEBIAN_CLIENT).exists() and shutil.which("dockerd") is not None


def _our_pid() -> int | None:
    """The pid of the dockerd that the lab started, as long as that pid is still that program."""
    return _pid_in(PID_FILE, str(PID_FILE))


def _pid_in(path: Path, argument: str) -> int | None:
    """The pid that a file holds, as long as a program with this in its arguments has it."""
    try:
        pid = int(path.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if argument.encode() in command else None


def _install() -> None:
    if "VERSION_CODENAME=bookworm" not in Path("/etc/os-release").read_text() or not shutil.which("apt-get"):
        raise LabError(
            "no Docker engine answers, and the lab can install one on Debian 12 only; "
            "install Docker 24 or newer yourself, or point DOCKER_HOST at one"
        )
    mirror = machine.debian_mirror()
    if mirror is None:
        raise LabError(
            "no Docker engine answers, and this machine's apt sources name no Debian 12 mirror to install one from; "
            "install Docker 24 or newer yourself, or point DOCKER_HOST at one"
        )
    say(f"no Docker engine here. Adding Debian's {SUITE} suite at priority 100 ({APT_SOURCE}, {APT_PREFERENCES})")
    say(f"and installing from it: {' '.join(FROM_TRIXIE)}; from Debian 12 itself: {' '.join(FROM_BOOKWORM)}")
    APT_SOURCE.write_text(trixie_source(*mirror))
    APT_PREFERENCES.write_text(f"Package: *\nPin: release n={SUITE}\nPin-Priority: 100\n")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step("apt-get update"):
        _apt(["update"], env)
    with step("apt-get install"):
        packages = [*(f"{name}/{SUITE}" for name in FROM_TRIXIE), *FROM_BOOKWORM]
        _apt(["install", "--yes", "--no-install-recommends", *packages], env)


def _apt(args: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(
        ["apt-get", "-q", *args],
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise LabError(f"apt-get {args[0]} ended with {done.returncode}; the last lines say:\n{tail}")


def _start() -> None:
    """Start dockerd in a session of its own, so that it outlives this command, and wait for its socket."""
    STATE.mkdir(parents=True, exist_ok=True)
    # After a machine was cut off, the pids in these files may belong to other programs by now, for which dockerd waits.
    for path, argument in ((PID_FILE, str(PID_FILE)), (CONTAINERD_PID_FILE, "containerd")):
        if _pid_in(path, argument) is None:
            path.unlink(missing_ok=True)
    with step(f"starting dockerd in the background (log: {LOG_FILE})"), LOG_FILE.open("ab") as log:
        process = subprocess.Popen(
            ["dockerd", "--pidfile", str(PID_FILE)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + SOCKET_TIMEOUT
        while not docker.answers():
            if process.poll() is not None:
                raise LabError(f"dockerd ended with {process.returncode} at once; see the end of {LOG_FILE}")
            if time.monotonic() > deadline:
                raise LabError(f"dockerd did not answer within {SOCKET_TIMEOUT:.0f} s; see the end of {LOG_FILE}")
            time.sleep(0.2)
