# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The legacy fleet of the lab, installed by upstream's script or by pip instead of in containers.

The program is the one of the legacy image, in a virtual environment of the host, as pipx and pip make them; the units
are written as install.sh of 0.7.1 writes them (function setup_systemd), and as an operator does by hand. Secrets stand
in files, so that no argument of the lab's own holds one.
"""

from __future__ import annotations

import time
from typing import Any

from tests.e2e import outside
from tests.lab import lifecycle
from tests.lab.fleet import Fleet, Reach

SCRIPT_UNIT = "gpustack.service"
PIP_UNIT = "ai-worker.service"
SCRIPT_DATA = "/var/lib/gpustack"
CACHE = "/srv/gpustack-cache"
ENV_FILE = "/etc/default/gpustack"
LOG = "/var/log/gpustack.log"
UNITS = "/etc/systemd/system"
#: Where pipx puts a program of root's, as upstream's script has it do.
PIPX = "/root/.local/share/pipx/venvs/gpustack"
PIP = "/opt/ai"
SCRIPT_TEXT = f"""\
[Unit]
Description=GPUStack Service
Wants=network-online.target
After=network-online.target

[Service]
EnvironmentFile=-/etc/default/%N
ExecStart=/root/.local/bin/gpustack start  {{arguments}}
LimitNOFILE=65535
Restart=always
StandardOutput=append:{LOG}
StandardError=append:{LOG}

[Install]
WantedBy=multi-user.target
"""
PIP_TEXT = f"""\
[Unit]
Description=GPUStack worker
After=network-online.target

[Service]
Environment="GPUSTACK_TOKEN={{token}}" HF_ENDPOINT=https://hf.example.com
ExecStart={PIP}/bin/gpustack start --data-dir {outside.DATA_DIR} \\
    --server-url ${{{{SERVER}}}} --worker-ip {{address}}
Environment=SERVER={{server}}
Restart=always

[Install]
WantedBy=multi-user.target
"""
#: What upstream's installer lays into the data directory; nobody may run it.
UNINSTALL = "#!/bin/sh\nrm -rf /var/lib/gpustack\n"

_INSTALL = """
set -e
venv=$1 image=$2
python3 -m venv --without-pip "$venv"
packages=$(echo "$venv"/lib/python3*/site-packages)
container=$(docker create "$image")
rm -rf "$packages"
docker cp "$container:/usr/local/lib/python3.11/dist-packages" "$packages"
docker cp "$container:/usr/local/bin/gpustack" "$venv/bin/gpustack"
docker rm "$container"
sed -i "1s|.*|#!$venv/bin/python|" "$venv/bin/gpustack"
"""


def unit_of(host: str) -> str:
    """The unit that runs GPUStack on a host once the fleet is converted."""
    return PIP_UNIT if host == "worker2" else SCRIPT_UNIT


def data_of(host: str) -> str:
    return outside.DATA_DIR if host == "worker2" else SCRIPT_DATA


def install_program(host: Reach, venv: str) -> None:
    """The real 0.7.1 with its dependencies, on the host itself."""
    host.exec_root("sh", "-c", _INSTALL, "sh", venv, outside.image_of(host))


def write(host: Reach, path: str, text: str, mode: str = "0644") -> None:
    host.run(f"sudo tee {path} >/dev/null", stdin=text)
    host.exec_root("chmod", mode, path)


def remove_container(host: Reach) -> None:
    host.exec_root("docker", "stop", "gpustack")
    host.exec_root("docker", "rm", "gpustack")


def start_unit(host: Reach, unit: str) -> None:
    host.exec_root("systemctl", "daemon-reload")
    host.exec_root("systemctl", "enable", unit)
    host.exec_root("systemctl", "restart", unit)


def by_script(host: Reach, arguments: str, variables: dict[str, str]) -> None:
    """pipx, gpustack.service, /etc/default/gpustack, and the data where the program puts it by itself."""
    install_program(host, PIPX)
    host.exec_root("mkdir", "-p", "/root/.local/bin", CACHE)
    host.exec_root("ln", "-s", f"{PIPX}/bin/gpustack", "/root/.local/bin/gpustack")
    remove_container(host)
    host.exec_root("cp", "--archive", outside.DATA_DIR, SCRIPT_DATA)
    write(host, f"{SCRIPT_DATA}/uninstall.sh", UNINSTALL, "0755")
    lines = ["# set by the operator", *(f'{name}="{value}"' for name, value in variables.items())]
    write(host, ENV_FILE, "\n".join(lines) + "\n", "0600")
    write(host, f"{UNITS}/{SCRIPT_UNIT}", SCRIPT_TEXT.format(arguments=arguments))
    start_unit(host, SCRIPT_UNIT)


def by_pip(host: Reach, server: str, token: str, address: str) -> None:
    """A virtual environment and a unit of the operator's own, with all that it needs in it."""
    install_program(host, PIP)
    remove_container(host)
    write(host, f"{UNITS}/{PIP_UNIT}", PIP_TEXT.format(token=token, server=server, address=address), "0600")
    start_unit(host, PIP_UNIT)


def convert(fleet: Fleet) -> None:
    """Server and worker1 as the script installs them, worker2 by pip; on the data that the fleet has."""
    since = time.time()
    server = fleet.host("server")
    token = server.exec_root("cat", f"{outside.DATA_DIR}/token").strip()
    by_script(server, "--disable-worker", {"HF_ENDPOINT": "https://hf.example.com"})
    url = fleet.data["server_url"]
    joined = f"--server-url {url} --worker-ip {fleet.hosts['worker1'].address} --cache-dir {CACHE}"
    by_script(fleet.host("worker1"), joined, {"GPUSTACK_TOKEN": token, "HF_ENDPOINT": "https://hf.example.com"})
    by_pip(fleet.host("worker2"), url, token, fleet.hosts["worker2"].address)
    lifecycle.wait_serving(fleet, since)


def unit_state(host: Reach, unit: str) -> tuple[str, str]:
    """Whether the unit is enabled and active, in systemd's words."""
    # Both exit with a code of their own for every answer but the best one.
    enabled, active = host.exec_root(
        "sh", "-c", f"systemctl is-enabled {unit}; systemctl is-active {unit}; true"
    ).split()
    return enabled, active


def files_of(host: Reach, name: str) -> dict[str, str]:
    """Checksums of what belongs to the legacy installation and must stay as it is."""
    paths = [f"{UNITS}/{unit_of(name)}", ENV_FILE, f"{data_of(name)}/uninstall.sh"]
    paths += [f"{PIPX}/bin/gpustack", f"{PIP}/bin/gpustack"]
    return outside.sha256(host, *paths)


def states(fleet: Fleet) -> dict[str, Any]:
    return {name: unit_state(fleet.host(name), unit_of(name)) for name in fleet.hosts}


def assert_legacy_serves(fleet: Fleet) -> None:
    """Every unit runs, and the legacy server knows every worker by the identity that it had."""
    assert states(fleet) == dict.fromkeys(fleet.hosts, ("enabled", "active"))
    found = outside.workers(fleet.admin(), "/v1/workers")
    seen = {name: (each["id"], each["worker_uuid"], outside.gpus(each)) for name, each in found.items()}
    assert seen == outside.recorded(fleet)
