# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of a release before 0.6 on one host, filled over its API, to 2.2.3 and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e import outside, playbook, secrets, supervised
from tests.lab import hosts, legacy, lifecycle, old_data, releases
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

RELEASE = "2.2.3"
LOSSES = ["ollama", "llama_box", "caches"]
#: As these releases were documented, on a bridge with one published port.
RUN = ["docker", "run", "-d", "--name", "gpustack", "--restart=unless-stopped", "-p", "80:80", "--dns=127.0.0.1"]
ARGUMENTS = ["--disable-worker", "--disable-update-check", "--bootstrap-password", old_data.PASSWORD]
OLD_CACHE = "cache/huggingface/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots"
#: The schema to which GPUStack's own migrator brings every older one first: that of 0.7.1.
RAISED_TO = "d19176de3b74"
#: Kill the switch while the raised copy is there and its container is not.
KILLED: dict[str, Any] = {"gpustack_module_environment": {"FLEETOPS_GPUSTACK_FAULT": "raise_snapshot:after:kill"}}
ACCEPTED: dict[str, Any] = {"gpustack_accept_losses": LOSSES}


@contextmanager
def served(release: str, *, volume: bool = True) -> Iterator[Fleet]:
    """The host, as long as this lasts; without a volume the data is in the container's own layer."""
    name = f"{os.environ.get('LAB_FLEET', 'e2e')}-v{release.replace('.', '')}"
    # Before 0.3.1 there is no such option.
    arguments = [each for each in ARGUMENTS if release >= "0.3.1" or each != "--disable-update-check"]
    options = Options(name, workers=0, gpu_workers=0, legacy=release, hosts_only=True, snapshot=False)
    made = lifecycle.up(options)
    server = made.hosts["server"]
    mount = ["-v", f"{legacy.DIRECTORY}:{supervised.DATA}"] if volume else []
    hosts.execute(server, *RUN, *mount, releases.images(release)[-1], *arguments)
    legacy.wait_serving(server)
    made.data["server_url"] = f"http://{server.address}"
    made.data["admin"] = {"username": "admin", "password": old_data.PASSWORD}
    made.data["api_keys"] = made.data["users"] = []
    if not volume:
        made.data["data_dir"] = supervised.layer_path(outside.gpustack(made.host("server")))
    token = hosts.execute(server, "docker", "exec", "gpustack", "cat", f"{supervised.DATA}/token").strip()
    made.save()
    old_data.fill(made.data["server_url"], release, token)
    hosts.execute(server, "docker", "exec", "gpustack", "mkdir", "-p", f"{supervised.DATA}/{OLD_CACHE}")
    try:
        with secrets.sampled_arguments(made) as samples:
            yield made
        secrets.assert_none_shown(made, samples)
    finally:
        if os.environ.get("LAB_KEEP") != "1":
            lifecycle.down(name)


def run(fleet: Fleet, name: str, **variables: Any) -> playbook.Run:
    """A playbook that knows that the registered workers have no hosts."""
    return playbook.run(fleet, name, gpustack_ignore_workers=list(old_data.WORKERS), **variables)


def assert_losses_are_refused(fleet: Fleet, deleted: dict[str, int]) -> None:
    """What v2 gives up is refused; how many rows of which tables GPUStack's own upgrade deletes is said."""
    assessed = run(fleet, "assess.yml")
    assert assessed.code != 0
    for loss in LOSSES:
        assert assessed.said(f"v2 gives up {loss}"), loss
    way = f"on the way from {fleet.options.legacy} to 0.7.1 GPUStack's own upgrade of the schema deletes"
    for table, rows in deleted.items():
        assert assessed.said(f"{way} {rows} rows of {table}"), assessed.output[-4000:]
    assert assessed.said(f"laptop of {old_data.GONE_USER}")


def assert_upgraded(fleet: Fleet, done: playbook.Run, head: str, dropped: dict[str, int]) -> None:
    """The rows are those of the raised copy, and v2 knows everybody."""
    assert done.code == 0, done.output[-4000:]
    server = fleet.host("server")
    labels = [label for each in outside.containers(server).values() for label in each["Config"]["Labels"]]
    assert not [label for label in labels if "trial" in label]
    switched = done.report["results"]["server"]["switched"]
    assert switched["raised"] == {"from": head, "to": RAISED_TO, "dropped": dropped}
    assert switched["parity"]["equal"]
    names = {row[0] for row in outside.psql(server, "SELECT name FROM models")}
    assert (old_data.VLLM_MODEL in names) == (fleet.options.legacy >= "0.3")
    assert old_data.OLLAMA_MODEL not in names
    workers = {row[0] for row in outside.psql(server, "SELECT name FROM workers")}
    assert workers == set(old_data.WORKERS)
    assert {user["username"] for user in fleet.admin().items("/v2/users")} >= {"admin", old_data.KEPT_USER}


def assert_goes_back(fleet: Fleet) -> None:
    """Another run changes nothing, and the way back leads to the old release with its users."""
    again = run(fleet, "upgrade.yml", **ACCEPTED)
    assert again.code == 0, again.output[-4000:]
    assert again.recap("changed") == {"server": 0}
    back = run(fleet, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert back.code == 0, back.output[-4000:]
    assert outside.image_of(fleet.host("server")) == releases.images(fleet.options.legacy)[-1]
    assert {user["username"] for user in fleet.admin().items("/v1/users")} == {"admin", old_data.KEPT_USER}
