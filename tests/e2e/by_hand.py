# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades by hand that go wrong: the commands of a person who follows upstream's guide, or does not quite."""

from __future__ import annotations

from tests.e2e import outside
from tests.lab.api import wait_until
from tests.lab.fleet import Reach

#: What such a person calls the legacy container.
OLD = "gpustack-old"
SECONDS = 180.0


def retire(host: Reach) -> None:
    """Stop the legacy container and get it out of the way."""
    host.exec_root("docker", "stop", "gpustack")
    host.exec_root("docker", "rename", "gpustack", OLD)


def run_v2(host: Reach, release: str, variable: str, *arguments: str) -> None:
    """The guide's command on the legacy data directory."""
    command = ["docker", "run", "-d", "--name", "gpustack", "--restart", "unless-stopped", "--network", "host"]
    command += ["-v", f"{outside.DATA_DIR}:/var/lib/gpustack", "-e", variable]
    host.exec_root(*command, f"gpustack/gpustack:v{release}", *arguments)


def log_of(host: Reach) -> str:
    return host.exec_root("sh", "-c", "docker logs gpustack 2>&1")


def wait_for_log(host: Reach, text: str) -> None:
    """Wait until the container has said something."""
    wait_until(f"{text!r} in the log", lambda: text in log_of(host), SECONDS, "see `docker logs gpustack`")


def kill_at(host: Reach, text: str) -> None:
    """Kill the container the moment it says something."""
    script = f"timeout {SECONDS:g} grep -q -m1 '{text}' <(docker logs -f gpustack 2>&1) && docker kill gpustack"
    host.exec_root("bash", "-c", script)


def v2_files(host: Reach) -> set[str]:
    """Names in the data directory that a legacy server does not make."""
    names = set(host.exec_root("ls", "-A", outside.DATA_DIR).splitlines())
    return names & {"postgresql", "run", "higress", "postgres_root_pass", "bootstrap_version", "worker_token"}


def state_of(host: Reach) -> dict[str, tuple[str, str, str]]:
    """Every container by name: id, restart policy, and its last start while nothing restarts it."""
    return {
        name: (each["Id"], each["HostConfig"]["RestartPolicy"]["Name"], each["Config"]["Image"])
        for name, each in outside.containers(host).items()
    }
