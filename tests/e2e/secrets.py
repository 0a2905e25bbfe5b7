# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The known secrets of a fleet, and a search for them in everything that a run leaves behind (law 8)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.lab import legacy
from tests.lab.fleet import Fleet, Reach

SAMPLER = Path(__file__).with_name("argv_sampler.py")
ON_HOST = "/usr/local/lib/argv_sampler.py"
SAMPLES = "/var/lib/argv_samples"
UNIT = "/etc/systemd/system/argv-sampler.service"
# A unit that is enabled, so that a host which is rebooted in the middle is sampled on.
UNIT_TEXT = f"""
[Unit]
After=docker.service
[Service]
ExecStart=python3 {ON_HOST} {SAMPLES}
[Install]
WantedBy=multi-user.target
"""

# What this collection writes on a host outside the backups and the private environment.
STATE = "/var/lib/fleetops-gpustack"


#: Secrets that a test has planted besides, by what they are.
_PLANTED: dict[str, str] = {}
READABLE = Path(__file__).with_name("readable_secrets.py")
READABLE_ON_HOST = "/usr/local/lib/readable_secrets.py"


def plant(words: Mapping[str, str]) -> None:
    """Search for these, too, when the module is through."""
    _PLANTED.update(words)


def readable_by_others(host: Reach) -> set[str]:
    """Files of a host, and lines of its system journal, that somebody else can read and that hold a planted secret."""
    words = [*_PLANTED.values(), *legacy.PLANTED_ENVIRONMENT.values(), legacy.PLANTED_ARGUMENT]
    words += [legacy.PLANTED_IN_URL, legacy.PLANTED_LABEL]
    host.run(f"sudo tee {READABLE_ON_HOST} >/dev/null", stdin=READABLE.read_text())
    # By standard input: a search must not plant what it looks for.
    return set(host.sudo("python3", READABLE_ON_HOST, stdin=json.dumps(words)).stdout.splitlines())


def known(fleet: Fleet) -> dict[str, str]:
    """Every secret that the fleet was filled with, by what it is."""
    server, directory = fleet.host("server"), fleet.data.get("data_dir", legacy.DIRECTORY)
    found = {
        "admin password": fleet.data["admin"]["password"],
        "registration token": server.exec_root("cat", f"{directory}/token").strip(),
        "session key": server.exec_root("cat", f"{directory}/jwt_secret_key").strip(),
    }
    for key in fleet.data["api_keys"]:
        found[f"API key {key['name']}"] = key["value"]
    for user in fleet.data["users"]:
        found[f"password of {user['username']}"] = user["password"]
    found.update({"in a URL": legacy.PLANTED_IN_URL, "in a label": legacy.PLANTED_LABEL, **_PLANTED})
    return {**found, **legacy.PLANTED_ENVIRONMENT, "--huggingface-token": legacy.PLANTED_ARGUMENT}


@contextmanager
def sampled_arguments(fleet: Fleet) -> Iterator[dict[str, str]]:
    """While the block runs, note the arguments of every process of every host that is not inside a legacy container."""
    samples: dict[str, str] = {}
    for name in fleet.hosts:
        host = fleet.host(name)
        host.run(f"sudo tee {ON_HOST} >/dev/null", stdin=SAMPLER.read_text())
        host.run(f"sudo tee {UNIT} >/dev/null", stdin=UNIT_TEXT)
        host.exec_root("rm", "-f", SAMPLES)
        host.exec_root("systemctl", "daemon-reload")
        host.exec_root("systemctl", "enable", "--now", "argv-sampler")
    try:
        yield samples
    finally:
        for name in fleet.hosts:
            host = fleet.host(name)
            host.exec_root("systemctl", "disable", "--now", "argv-sampler")
            samples[name] = host.exec_root("cat", SAMPLES)


@contextmanager
def unsampled(fleet: Fleet) -> Iterator[None]:
    """While the block runs, arguments are the test's own, as those of containers that it starts are the operator's."""
    for name in fleet.hosts:
        fleet.host(name).exec_root("systemctl", "stop", "argv-sampler")
    yield
    for name in fleet.hosts:
        fleet.host(name).exec_root("systemctl", "start", "argv-sampler")


def assert_none_shown(fleet: Fleet, samples: dict[str, str]) -> None:
    """No secret in output, journal, results, logs or arguments."""
    secrets = known(fleet)
    places = {f"output {path.name}": path.read_text() for path in sorted((fleet.folder / "output").iterdir())}
    places.update({f"arguments on {name}": text for name, text in samples.items()})
    for name in fleet.hosts:
        places.update(_state_files(fleet.host(name), name))
    report = fleet.folder / "report.json"
    if report.exists():
        places["report"] = report.read_text()
    shown = [
        f"{what} in {place}" for place, text in places.items() for what, secret in secrets.items() if secret in text
    ]
    assert not shown, shown
    # The search is worth something only where there was something to search.
    assert all("fleetops" in text or "AnsiballZ" in text or "docker" in text for text in samples.values())


def _state_files(host: Reach, name: str) -> dict[str, str]:
    """What the collection wrote on a host outside of backups and libraries; nothing at all where it only looked."""
    find = f"find {STATE} -name venv -prune -o -name wheels.tar -prune -o -type f -print"
    listing = host.exec_root("sh", "-c", f"if [ -d {STATE} ]; then {find}; fi")
    return {f"{path} on {name}": host.exec_root("cat", path) for path in listing.splitlines()}
