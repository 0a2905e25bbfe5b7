# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of 0.3 and 0.5 on one host each, to 2.2.3 and back: by the way each release was documented to be run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import outside, playbook, secrets
from tests.lab import hosts, legacy, lifecycle, old_data, releases
from tests.lab.fleet import Fleet
from tests.lab.layout import Options

RELEASE = "2.2.3"
HEADS = {"0.3.2": "0f7dde8b3c4b", "0.5.1": "e6bf9e067296"}
LOSSES = ["ollama", "llama_box", "caches"]
#: As 0.3 and 0.5 were documented, on a bridge with one published port.
RUN = ["docker", "run", "-d", "--name", "gpustack", "--restart=unless-stopped", "-p", "80:80", "--dns=127.0.0.1"]
OLD_CACHE = f"{legacy.DIRECTORY}/cache/huggingface/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots"


@pytest.fixture(scope="module", params=sorted(HEADS))
def older(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """One host with a server of that release, filled over its API."""
    name = f"{os.environ.get('LAB_FLEET', 'e2e')}-v{request.param.replace('.', '')}"
    options = Options(name, workers=0, gpu_workers=0, legacy=request.param, hosts_only=True, snapshot=False)
    made = lifecycle.up(options)
    server = made.hosts["server"]
    arguments = ["--disable-worker", "--disable-update-check", "--bootstrap-password", old_data.PASSWORD]
    image = releases.images(request.param)[-1]
    hosts.execute(server, *RUN, "-v", f"{legacy.DIRECTORY}:/var/lib/gpustack", image, *arguments)
    legacy.wait_serving(server)
    made.data["server_url"] = f"http://{server.address}"
    made.data["admin"] = {"username": "admin", "password": old_data.PASSWORD}
    made.data["api_keys"] = made.data["users"] = []
    made.save()
    old_data.fill(made.data["server_url"], request.param, legacy.read_secret(options, server, "token"))
    hosts.execute(server, "mkdir", "-p", OLD_CACHE)
    with secrets.sampled_arguments(made) as samples:
        yield made
    secrets.assert_none_shown(made, samples)
    if os.environ.get("LAB_KEEP") != "1":
        lifecycle.down(name)


def run(fleet: Fleet, name: str, **variables: Any) -> playbook.Run:
    """A playbook that knows that the registered workers have no hosts."""
    return playbook.run(fleet, name, gpustack_ignore_workers=list(old_data.WORKERS), **variables)


def test_what_gets_lost_is_refused_and_what_is_deleted_is_said(older: Fleet) -> None:
    release = older.options.legacy
    assessed = run(older, "assess.yml")
    assert assessed.code != 0
    for loss in LOSSES:
        assert assessed.said(f"v2 gives up {loss}"), loss
    assert assessed.said("cache/huggingface/models--Qwen--Qwen2.5-0.5B-Instruct")
    assert assessed.said(f"on the way from {release} to 0.7.1 GPUStack's own upgrade of the schema deletes 1 rows")
    assert assessed.said(f"laptop of {old_data.GONE_USER}")


@pytest.mark.proves("installations", "0.3", RELEASE)
@pytest.mark.proves("installations", "0.5", RELEASE)
def test_every_row_is_there_and_the_way_back_is_open(older: Fleet) -> None:
    # Killed while the copy is there and its container is not: the same command begins that step again.
    fault = {"gpustack_module_environment": {"FLEETOPS_GPUSTACK_FAULT": "raise_snapshot:after:kill"}}
    killed = run(older, "upgrade.yml", gpustack_accept_losses=LOSSES, **fault)
    assert killed.code != 0
    done = run(older, "upgrade.yml", gpustack_accept_losses=LOSSES)
    assert done.code == 0, done.output[-4000:]
    assert not any(
        "trial" in label
        for each in outside.containers(older.host("server")).values()
        for label in each["Config"]["Labels"]
    )
    switched = done.report["results"]["server"]["switched"]
    expected = {"from": HEADS[older.options.legacy], "to": "d19176de3b74", "dropped": {"api_keys": 1}}
    assert switched["raised"] == expected
    assert switched["parity"]["equal"]
    server = older.host("server")
    names = {row[0] for row in outside.psql(server, "SELECT name FROM models")}
    assert old_data.VLLM_MODEL in names
    assert old_data.OLLAMA_MODEL not in names
    workers = {row[0] for row in outside.psql(server, "SELECT name FROM workers")}
    assert workers == set(old_data.WORKERS)
    assert {user["username"] for user in older.admin().items("/v2/users")} >= {"admin", old_data.KEPT_USER}

    again = run(older, "upgrade.yml", gpustack_accept_losses=LOSSES)
    assert again.code == 0, again.output[-4000:]
    assert again.recap("changed") == {"server": 0}

    back = run(older, "rollback.yml", gpustack_accept_rollback_losses=True)
    assert back.code == 0, back.output[-4000:]
    assert outside.image_of(server) == releases.images(older.options.legacy)[-1]
    assert {user["username"] for user in older.admin().items("/v1/users")} == {"admin", old_data.KEPT_USER}
