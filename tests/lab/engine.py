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
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.lab import docker
from tests.lab.errors import LabError
from tests.lab.progress import say, step

STATE = Path("/var/lib/gpustack-lab/engine")
PID_FILE = STATE / "dockerd.pid"
LOG_FILE = STATE / "dockerd.log"
APT = Path("/etc/apt")
APT_SOURCE = APT / "sources.list.d/gpustack-lab-trixie.sources"
APT_PREFERENCES = APT / "preferences.d/gpustack-lab-trixie"
SUITE = "trixie"
PACKAGES = ("docker.io", "docker-cli", "containerd", "runc", "iptables", "debootstrap")
SOCKET_TIMEOUT = 60.0


def mirror_of(text: str) -> tuple[str, str] | None:
    """The first plain Debian mirror in one apt source file, with its keyring ('' when none is named).

    Takes both forms: deb822 stanzas (`URIs: ...`) and one-line entries (`deb [options] URI suite ...`).
    """
    return _mirror_of_stanzas(text) or _mirror_of_lines(text)


def _mirror_of_stanzas(text: str) -> tuple[str, str] | None:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines) if value}
        if fields.get("enabled", "yes").lower() == "no" or "deb" not in fields.get("types", "").split():
            continue
        if "bookworm" in fields.get("suites", "").split() and fields.get("uris"):
            return fields["uris"].split()[0], fields.get("signed-by", "")
    return None


def _mirror_of_lines(text: str) -> tuple[str, str] | None:
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+bookworm\s+.*\bmain\b", line)
        if match:
            keyring = re.search(r"signed-by=(\S+)", match["options"] or "")
            return match["uri"], keyring.group(1) if keyring else ""
    return None


def machine_mirror() -> tuple[str, str]:
    """The mirror (and keyring) from which this machine takes Debian 12."""
    files = [*sorted((APT / "sources.list.d").glob("*.sources")), APT / "sources.list"]
    files += sorted((APT / "sources.list.d").glob("*.list"))
    for path in files:
        found = mirror_of(path.read_text()) if path.is_file() else None
        if found:
            return found
    raise LabError(
        "this machine's apt sources name no Debian bookworm mirror, so the lab cannot install an engine; "
        "install Docker 24 or newer yourself, or point DOCKER_HOST at one"
    )


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
    try:
        pid = int(PID_FILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(PID_FILE).encode() in command else None


def _install() -> None:
    if 'VERSION_CODENAME=bookworm' not in Path("/etc/os-release").read_text() or not shutil.which("apt-get"):
        raise LabError(
            "no Docker engine answers, and the lab can install one on Debian 12 only; "
            "install Docker 24 or newer yourself, or point DOCKER_HOST at one"
        )
    mirror, keyring = machine_mirror()
    say(f"no Docker engine here. Adding Debian's {SUITE} suite at priority 100 ({APT_SOURCE}, {APT_PREFERENCES})")
    say(f"and installing from it: {' '.join(PACKAGES)}")
    APT_SOURCE.write_text(trixie_source(mirror, keyring))
    APT_PREFERENCES.write_text(f"Package: *\nPin: release n={SUITE}\nPin-Priority: 100\n")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step("apt-get update"):
        _apt(["update"], env)
    with step("apt-get install"):
        _apt(["install", "--yes", "--no-install-recommends", "-t", SUITE, *PACKAGES], env)


def _apt(args: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(["apt-get", "-q", *args], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise LabError(f"apt-get {args[0]} ended with {done.returncode}; the last lines say:\n{tail}")


def _start() -> None:
    """Start dockerd in a session of its own, so that it outlives this command, and wait for its socket."""
    STATE.mkdir(parents=True, exist_ok=True)
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
