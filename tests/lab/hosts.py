# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of a fleet: one privileged container that runs systemd, sshd and a Docker engine of its own."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass

from tests.lab import docker, host_image, nvidia, volumes
from tests.lab.errors import LabError

BOOT_TIMEOUT = 90.0
OPERATOR_UID, OPERATOR_GID = 1000, 37


@dataclass(frozen=True)
class Host:
    """What distinguishes one host from the others of its fleet."""

    fleet: str
    name: str
    address: str
    gpus: int = 0

    @property
    def container(self) -> str:
        """The container that is this host."""
        return f"gpustack-lab-{self.fleet}-{self.name}"

    @property
    def volumes(self) -> dict[str, str]:
        """The volumes that hold its state, by the directory at which they appear."""
        return {"/var/lib/docker": f"{self.container}-docker", "/data": f"{self.container}-data"}

    @property
    def snapshots(self) -> dict[str, str]:
        """The volumes that keep a copy of that state, by the same directories."""
        return {path: f"{volume}-snapshot" for path, volume in self.volumes.items()}

    def facts(self) -> dict[str, object]:
        """What `fleet.json` says about the host."""
        return {"address": self.address, "container": self.container, "gpus": self.gpus}


@dataclass(frozen=True)
class Access:
    """How the controller gets in: a public key to accept, and the host key to show."""

    authorized_key: str
    host_key: str
    host_key_public: str


def create(host: Host, access: Access, peers: dict[str, str], mirror: str | None) -> None:
    """Make the container of a host and write what is its own into it; do not start it."""
    options = ["--privileged", "--cgroupns=private", "--tmpfs=/run", "--tmpfs=/run/lock", "--stop-timeout=60"]
    options += [f"--name={host.container}", f"--hostname={host.name}", f"--label=gpustack-lab.fleet={host.fleet}"]
    options += [f"--network={network(host.fleet)}", f"--ip={host.address}"]
    options += [f"--add-host={name}:{address}" for name, address in sorted(peers.items())]
    for path, volume in host.volumes.items():
        options += ["--volume", f"{volume}:{path}"]
    docker.run("create", *options, host_image.ensure())
    docker.run("cp", "-", f"{host.container}:/", stdin=_own_files(host, access, mirror))


def network(fleet: str) -> str:
    """The name of a fleet's bridge network."""
    return f"gpustack-lab-{fleet}"


def start(host: Host) -> None:
    """Start (boot) a host without waiting for it."""
    docker.run("start", host.container)


def wait_booted(host: Host) -> None:
    """Return once systemd has started every unit; fail when one of them failed."""
    # In its first moments systemd listens nowhere yet.
    script = "until [ -S /run/systemd/private ]; do sleep 0.1; done; systemctl is-system-running --wait"
    state = docker.run("exec", host.container, "sh", "-c", script, check=False, timeout=BOOT_TIMEOUT).stdout.strip()
    if state != "running":
        failed = docker.run("exec", host.container, "systemctl", "--failed", "--no-legend", check=False).stdout.strip()
        raise LabError(
            f"the host {host.name} of the fleet {host.fleet} came up {state or 'not at all'} (failed units: {failed}); "
            f"look with `docker exec {host.container} journalctl -b`, then run `down` and `up` again"
        )


def stop(host: Host) -> None:
    """Shut a host down as a real one: systemd stops the engine, which stops its containers."""
    docker.run("stop", host.container)


def execute(host: Host, *command: str, check: bool = True) -> str:
    """Run a command as root on a host, past ssh, and return what it prints."""
    done = docker.run("exec", host.container, *command, check=False)
    if check and done.returncode != 0:
        what = " ".join(command[:6])
        raise LabError(f"`{what} ...` on {host.name} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def create_volumes(host: Host) -> None:
    """Make the empty volumes of a host."""
    for volume in host.volumes.values():
        volumes.create(volume, {"gpustack-lab.fleet": host.fleet})


def _own_files(host: Host, access: Access, mirror: str | None) -> bytes:
    """The files in which this host differs from its image, as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "etc/ssh/ssh_host_ed25519_key", access.host_key, mode=0o600)
        _add(archive, "etc/ssh/ssh_host_ed25519_key.pub", access.host_key_public)
        _add(archive, "home/operator/.ssh/authorized_keys", access.authorized_key, mode=0o600, operator=True)
        _add(archive, "etc/docker/daemon.json", json.dumps(daemon_settings(host, mirror), indent=2) + "\n")
        if host.gpus:
            for path, content, mode in nvidia.host_files(host.gpus, seed=host.container):
                _add(archive, path, content, mode=mode)
    return buffer.getvalue()


def daemon_settings(host: Host, mirror: str | None) -> dict[str, object]:
    """The configuration of the host's own engine."""
    settings: dict[str, object] = {}
    if mirror:
        settings["registry-mirrors"] = [mirror]
    if host.gpus:
        settings["runtimes"] = {"nvidia": {"path": nvidia.RUNTIME, "runtimeArgs": []}}
        settings["exec-opts"] = ["native.cgroupdriver=cgroupfs"]
    return settings


def _add(
    archive: tarfile.TarFile, path: str, content: str | bytes, *, mode: int = 0o644, operator: bool = False
) -> None:
    data = content.encode() if isinstance(content, str) else content
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(data), mode
    if operator:
        entry.uid, entry.gid = OPERATOR_UID, OPERATOR_GID
    archive.addfile(entry, io.BytesIO(data))
