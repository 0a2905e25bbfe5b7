# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals on real hosts: one thing is spoilt, the run names it with its way out, and no container is touched.

Refusals that need nothing but evidence are also tested one by one in tests/unit/plugins/module_utils/test_plan.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet

GPUS = "/etc/gpustack-lab/gpus.csv"
DAEMON, REMAPPED = "/etc/docker/daemon.json", '{"userns-remap": "operator"}'
STATE = "/var/lib/fleetops-gpustack"
SPOILT_DATA = (Path(__file__).parent / "spoilt_data.py").read_text()
NETWORK_MOUNT = (Path(__file__).parent / "network_mount.py").read_text()
# A clock of its own for Python alone, since all hosts of the lab share this machine's.
LATE_PYTHON = """mkdir /opt/late
printf '%s\n' 'import time' 'true_time = time.time' 'time.time = lambda: true_time() - 60' > /opt/late/sitecustomize.py
printf '%s\n' '#!/bin/sh' 'PYTHONPATH=/opt/late exec /usr/bin/python3 "$@"' > /opt/late/python3
chmod 0755 /opt/late/python3"""


def spoilt_data(kind: str) -> str:
    """A shell command that makes a spoilt copy of the server's data in /data/spoilt."""
    return f"python3 - {kind} <<'END'\n{SPOILT_DATA}\nEND"


def only(host: str, value: str, others: str = "") -> str:
    """A variable's value for one host, as a template."""
    return f"{{{{ '{value}' if inventory_hostname == '{host}' else '{others}' }}}}"


def data_of(host: str, directory: str) -> dict[str, Any]:
    """The variable by which one host's data directory is taken to be elsewhere."""
    return {"gpustack_data_dir": only(host, directory)}


@dataclass(frozen=True)
class Spoilt:
    """What is spoilt on which host, how it is mended, and the code of the refusal."""

    code: str
    host: str = "server"
    spoil: str = "true"
    mend: str = "true"
    variables: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    inventory: dict[str, Any] = field(default_factory=dict)


# Found by assess.
ASSESSED = {
    "two candidates": Spoilt(
        "several_candidates",
        "worker1",
        "docker create --name second gpustack/gpustack:v0.7.1 --server-url http://x",
        "docker rm second",
    ),
    "port taken": Spoilt(
        "port_taken", "server", "systemd-run --unit=squatter python3 -m http.server 5432", "systemctl stop squatter"
    ),
    "not traversable": Spoilt("permissions", "server", "chmod 0700 /data/gpustack", "chmod 0755 /data/gpustack"),
    "unknown vendor": Spoilt("unknown_vendor", "worker1", variables={"gpustack_gpu_vendor": "voodoo"}),
    "runtime not registered": Spoilt("vendor_runtime", "worker2", variables={"gpustack_gpu_vendor": "nvidia"}),
    "driver too old": Spoilt(
        "driver_floor",
        "worker1",
        f"cp {GPUS} {GPUS}.kept && sed -i 's/,[0-9.]*$/,470.57.02/' {GPUS}",
        f"mv {GPUS}.kept {GPUS}",
    ),
    "unknown release": Spoilt("unknown_release", variables={"gpustack_version": "2.9.9"}),
    "database corrupt": Spoilt(
        "database_corrupt",
        spoil=spoilt_data("corrupt"),
        mend="rm -r /data/spoilt",
        variables=data_of("server", "/data/spoilt"),
    ),
    "loss not accepted": Spoilt(
        "loss", spoil=spoilt_data("ollama"), mend="rm -r /data/spoilt", variables=data_of("server", "/data/spoilt")
    ),
    "Ollama rows and v2.0.0": Spoilt(
        "ollama_release",
        spoil=spoilt_data("ollama"),
        mend="rm -r /data/spoilt",
        variables={
            **data_of("server", "/data/spoilt"),
            "gpustack_version": "2.0.0",
            "gpustack_accept_losses": ["ollama"],
        },
    ),
    "token like one of v2": Spoilt(
        "wreck_token_unknown",
        spoil=spoilt_data("token"),
        mend="rm -r /data/spoilt",
        variables=data_of("server", "/data/spoilt"),
    ),
    "backup disk too small": Spoilt(
        "disk",
        spoil="mkdir /srv/small && mount -t tmpfs -o size=64k tmpfs /srv/small",
        mend="umount /srv/small && rmdir /srv/small",
        variables={"gpustack_backup_dir": "/srv/small/gpustack"},
    ),
    "data directory on a network file system": Spoilt(
        "network_filesystem",
        spoil=f"mkdir /srv/far && cat > /srv/far.py <<'END'\n{NETWORK_MOUNT}\nEND\n"
        "systemd-run --unit=far python3 /srv/far.py /srv/far && until mountpoint -q /srv/far; do sleep 0.1; done",
        mend="umount /srv/far && rmdir /srv/far && rm /srv/far.py",
        variables=data_of("server", "/srv/far"),
    ),
    "READY worker left out": Spoilt("worker_not_in_run", arguments=("--limit", "server,worker1")),
    "worker that the server does not know": Spoilt(
        "worker_unknown",
        "worker2",
        "mkdir /data/stranger && cd /data/stranger && echo stranger > worker_name && echo 0-0-0 > worker_uuid",
        "rm -r /data/stranger",
        variables=data_of("worker2", "/data/stranger"),
    ),
    "two servers": Spoilt("several_servers", inventory={"gpustack_servers": {"hosts": {"worker2": None}}}),
    "batches in the inventory": Spoilt("batch_variable", inventory={"all": {"vars": {"gpustack_batches": [2]}}}),
    "server out of a worker's reach": Spoilt(
        "server_unreachable",
        "worker2",
        "iptables -I OUTPUT -p tcp --dport 80 -j REJECT",
        "iptables -D OUTPUT -p tcp --dport 80 -j REJECT",
    ),
    "worker out of the server's reach": Spoilt(
        "worker_unreachable",
        "worker2",
        "iptables -I INPUT -p tcp --dport 10150 -j REJECT",
        "iptables -D INPUT -p tcp --dport 10150 -j REJECT",
    ),
    "clock apart": Spoilt(
        "clock",
        "worker2",
        LATE_PYTHON,
        "rm -r /opt/late",
        {"ansible_python_interpreter": only("worker2", "/opt/late/python3", "/usr/bin/python3")},
    ),
    "not root": Spoilt("not_root", variables={"ansible_become": False}),
    "another run at work": Spoilt(
        "locked",
        "worker2",
        f"mkdir {STATE} && systemd-run --unit=other-run flock {STATE}/lock sleep 60",
        f"systemctl stop other-run && rm -r {STATE}",
    ),
}

# Found by prepare, beside the serving legacy containers; the code is a part of the message.
PREPARED = {
    "argument of no release": Spoilt(
        "2.2.3 does not take gpustack_extra_args: unrecognized arguments: --ray-prt-range",
        "worker2",
        variables={"gpustack_extra_args": ["--ray-prt-range", "42000-42999"]},
    ),
    "image not to be had": Spoilt(
        "image gpustack/gpustack:v9.9.9 could not be pulled", variables={"gpustack_image": "gpustack/gpustack:v9.9.9"}
    ),
    "image of another version": Spoilt(
        "image gpustack/gpustack:v2.0.3 is 2.0.3, asked for 2.2.3",
        variables={"gpustack_image": "gpustack/gpustack:v2.0.3"},
    ),
    "GPU trial differs": Spoilt(
        "does not see the GPUs that the legacy worker has",
        "worker1",
        f"cp {GPUS} {GPUS}.kept && sed -i '$d' {GPUS}",
        f"mv {GPUS}.kept {GPUS}",
    ),
}


CREATE = "docker create --name gpustack --network host"
WORKER = "gpustack/gpustack:v0.7.1-cpu --server-url http://server"
SERVER = "gpustack/gpustack:v0.7.1-cpu --disable-worker"

# Found by assess where the installed container is gone, in the one that these commands make in its place. None of them
# is started, and none gives way to the old one again, so they come last; the server's at the very end.
REPLACED = {
    "engine stopped": Spoilt("no_engine", "worker2", "systemctl stop docker docker.socket", "systemctl start docker"),
    "engine with userns-remap": Spoilt(
        "engine_kind",
        "worker2",
        f"cp {DAEMON} {DAEMON}.kept && echo '{REMAPPED}' > {DAEMON} && systemctl restart docker",
        f"mv {DAEMON}.kept {DAEMON} && systemctl restart docker",
    ),
    "nothing installed": Spoilt("no_legacy_installation", "worker2"),
    "no token": Spoilt("no_token", "worker2", f"{CREATE} {WORKER}"),
    "unknown argument": Spoilt("options", "worker2", f"{CREATE} {WORKER} --token x --no-such-option"),
    "Ray": Spoilt("loss", "worker2", f"{CREATE} {WORKER} --token x --enable-ray"),
    "Swarm": Spoilt("supervised", "worker2", f"{CREATE} --label com.docker.swarm.service.name=ai {WORKER} --token x"),
    "upgraded by hand": Spoilt(
        "foreign_v2", "worker2", f"{CREATE} gpustack/gpustack:v2.2.3 --server-url http://server"
    ),
    "hot rollback journal": Spoilt(
        "hot_journal",
        spoil=f"{spoilt_data('hot_journal')}\n{CREATE} -v /data/spoilt:/var/lib/gpustack {SERVER}",
        mend="rm -r /data/spoilt",
    ),
    "data directory of its own and v2.0.0": Spoilt(
        "data_dir_release",
        spoil=f"{CREATE} -v /data/gpustack:/data/gpustack {SERVER} --data-dir /data/gpustack",
        variables={"gpustack_version": "2.0.0"},
    ),
    "bridge and v2.0.0": Spoilt(
        "network",
        spoil=f"docker create --name gpustack -p 80:80 -v /data/gpustack:/var/lib/gpustack {SERVER}",
        variables={"gpustack_version": "2.0.0", "gpustack_network": only("server", "bridge")},
    ),
    "external database": Spoilt(
        "external_database",
        spoil=f"{CREATE} -v /data/gpustack:/var/lib/gpustack {SERVER} --database-url postgresql://db.invalid/gpustack",
    ),
}


def assess(fleet: Fleet, spoilt: Spoilt, folder: Path) -> playbook.Run:
    """Spoil, assess, mend."""
    host, arguments = fleet.host(spoilt.host), spoilt.arguments
    if spoilt.inventory:
        (folder / "more.json").write_text(json.dumps(spoilt.inventory))
        arguments += ("--inventory", str(folder / "more.json"))
    host.exec_root("sh", "-ec", spoilt.spoil)
    try:
        return playbook.run(fleet, "assess.yml", *arguments, **spoilt.variables)
    finally:
        host.exec_root("sh", "-ec", spoilt.mend)


def assert_refused(run: playbook.Run, code: str) -> None:
    assert run.code != 0
    assert re.search(rf"code\"?: \"?{code}\b", run.output), run.output[-3000:]
    assert run.said("Way out:")


def starts(fleet: Fleet) -> dict[str, str]:
    """When each installation's container was started, by host."""
    return {name: outside.gpustack(fleet.host(name))["State"]["StartedAt"] for name in fleet.hosts}


@pytest.mark.parametrize("name", ASSESSED)
def test_assess_refuses(fleet: Fleet, tmp_path: Path, name: str) -> None:
    assert_refused(assess(fleet, ASSESSED[name], tmp_path), ASSESSED[name].code)


@pytest.mark.parametrize("name", PREPARED)
def test_prepare_refuses_before_the_server_is_touched(fleet: Fleet, name: str) -> None:
    spoilt = PREPARED[name]
    host = fleet.host(spoilt.host)
    before = starts(fleet)
    host.exec_root("sh", "-c", spoilt.spoil)
    try:
        run = playbook.run(fleet, "upgrade.yml", **spoilt.variables)
    finally:
        host.exec_root("sh", "-c", spoilt.mend)
    assert run.code != 0
    assert run.said(spoilt.code), run.output[-3000:]
    assert "TASK [fleetops.gpustack.gpustack : Switch" not in run.output
    assert starts(fleet) == before


@pytest.mark.parametrize("name", REPLACED)
def test_assess_refuses_another_container(fleet: Fleet, tmp_path: Path, name: str) -> None:
    spoilt = REPLACED[name]
    fleet.host(spoilt.host).exec_root("docker", "rm", "--force", "gpustack")
    assert_refused(assess(fleet, spoilt, tmp_path), spoilt.code)
