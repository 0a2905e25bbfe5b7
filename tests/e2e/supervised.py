# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Legacy containers of the lab's hosts, made again as operators have them who let something else keep them.

Secrets go into a file for `--env-file`, so that no argument of the lab's own holds one.
"""

from __future__ import annotations

import shlex
from typing import Any

from tests.e2e import outside
from tests.lab.fleet import Fleet, Reach

ENV_FILE = "/etc/gpustack-legacy.env"
DATA = "/var/lib/gpustack"
UNIT = "gpustack-worker.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
UNIT_TEXT = """\
[Unit]
Description=GPUStack worker
After=docker.service
Requires=docker.service

[Service]
ExecStartPre=-/usr/bin/docker rm --force gpustack
ExecStart={command}
ExecStop=/usr/bin/docker stop --time 60 gpustack
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
COMPOSE_FILE = "/srv/ai/compose.yaml"
COMPOSE_LABELS = {
    "com.docker.compose.project": "ai",
    "com.docker.compose.service": "worker",
    "com.docker.compose.project.working_dir": "/srv/ai",
    "com.docker.compose.project.config_files": COMPOSE_FILE,
}


def run_command(host: Reach, verb: str, *options: str) -> list[str]:
    """`docker run` or `docker create` of what the host runs now, with other options and without its secrets."""
    now = outside.gpustack(host)
    arguments = list(now["Config"]["Cmd"])
    for option in ("--token", "--huggingface-token"):
        if option in arguments:
            del arguments[arguments.index(option) : arguments.index(option) + 2]
    gpus = ["--gpus", "all", "--ipc=host"] if now["HostConfig"]["DeviceRequests"] else []
    fixed = ["--name", "gpustack", "--network=host", f"--env-file={ENV_FILE}", *gpus]
    return ["/usr/bin/docker", verb, *fixed, *options, now["Config"]["Image"], *arguments]


def write_env_file(host: Reach, token: str) -> None:
    """The container's own variables, and the token that was among its arguments."""
    own = [entry for entry in outside.gpustack(host)["Config"]["Env"] if entry.startswith(("HF_", "MIRROR_"))]
    host.run(f"sudo tee {ENV_FILE} >/dev/null", stdin="\n".join([*own, f"GPUSTACK_TOKEN={token}"]) + "\n")
    host.exec_root("chmod", "0600", ENV_FILE)


def remove(host: Reach) -> None:
    host.exec_root("docker", "stop", "gpustack")
    host.exec_root("docker", "rm", "gpustack")


def under_unit(host: Reach) -> None:
    """A unit that runs the container with --rm, on the same data directory."""
    command = run_command(host, "run", "--rm", "--volume", f"{outside.DATA_DIR}:{DATA}")
    remove(host)
    host.run(f"sudo tee {UNIT_FILE} >/dev/null", stdin=UNIT_TEXT.format(command=shlex.join(command)))
    host.exec_root("systemctl", "daemon-reload")
    host.exec_root("systemctl", "enable", "--now", UNIT)


def of_compose(host: Reach) -> None:
    """Labelled as Compose labels its containers, its data in its own layer; and a Watchtower beside it."""
    labels = [f"--label={name}={value}" for name, value in COMPOSE_LABELS.items()]
    command = run_command(host, "create", "--restart=unless-stopped", *labels)
    remove(host)
    host.exec_root(*command)
    host.exec_root("docker", "cp", "--archive", f"{outside.DATA_DIR}/.", f"gpustack:{DATA}")
    host.exec_root("docker", "start", "gpustack")
    stand_in = ["--label=com.centurylinklabs.watchtower=true", "--entrypoint=cat", outside.image_of(host)]
    host.exec_root("docker", "run", "--detach", "--interactive", "--name", "tower", *stand_in)


def throwaway(host: Reach) -> None:
    """With --rm, its data in an anonymous volume."""
    command = run_command(host, "create", "--rm", "--volume", DATA)
    remove(host)
    host.exec_root(*command)
    host.exec_root("cp", "--archive", f"{outside.DATA_DIR}/.", volume_path(host))
    host.exec_root("docker", "start", "gpustack")


def volume_path(host: Reach) -> str:
    """Where the data lies on the host."""
    (mount,) = (mount for mount in outside.gpustack(host)["Mounts"] if mount["Destination"] == DATA)
    return str(mount["Source"])


def convert(fleet: Fleet) -> None:
    """Every host of the fleet gets a container that something else keeps."""
    token = fleet.host("server").exec_root("cat", f"{outside.DATA_DIR}/token").strip()
    for name in fleet.hosts:
        write_env_file(fleet.host(name), token)
    throwaway(fleet.host("server"))
    under_unit(fleet.host("worker1"))
    of_compose(fleet.host("worker2"))


def in_layer(host: Reach) -> None:
    """Started without any volume, as the first releases' guide says."""
    data = volume_path(host)
    command = run_command(host, "create", "--restart=unless-stopped")
    host.exec_root("cp", "--archive", data, "/run/data")
    host.exec_root("docker", "stop", "gpustack")
    host.exec_root("sh", "-c", "while docker inspect gpustack >/dev/null 2>&1; do sleep 0.2; done")  # it was --rm
    host.exec_root(*command)
    host.exec_root("docker", "cp", "--archive", "/run/data/.", f"gpustack:{DATA}")
    host.exec_root("docker", "start", "gpustack")


def layer_path(container: dict[str, Any]) -> str:
    """Where the engine keeps the data that lies in a container's own layer."""
    return f"{container['GraphDriver']['Data']['UpperDir']}{DATA}"
