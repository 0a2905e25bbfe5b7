# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runner images are on the host before downtime, and models that ran run again, or are listed with what v2 says.

The runner images are stand-ins (`tests.lab.runner_image`) under the published names, and the legacy server is told by
its API that two models run: no inference engine runs here. From there on everything is real: the image of the release
says which images it wants, the host pulls them from a registry, and the v2 worker starts them through its engine.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import outside, playbook, secrets
from tests.lab import docker, lifecycle, registry, runner_image
from tests.lab.api import Client, wait_until
from tests.lab.fleet import Fleet
from tests.lab.hosts import network
from tests.lab.layout import Options, registry_address

NAME = "e2e-models"
#: What 2.2.3 wants for vLLM beside the stand-in driver, and for every model.
RUNNER = "gpustack/runner:cuda12.9-vllm0.25.1"
SUPPORT = ("gpustack/runtime:pause", "gpustack/runtime:health")
ARCHIVED = "gpustack/runner:cuda12.8-voxbox0.0.21"
PREPARE_ONLY = ("--tags", "gpustack_prepare")
#: One that v2 starts again by itself, and one that nobody told it to.
COMES_BACK, STAYS_DOWN = "comes-back", "stays-down"
MODEL_FOLDER = "models/house-style"


@pytest.fixture(scope="module")
def models_fleet() -> Iterator[Fleet]:
    """A server and a worker with GPUs, whose engines pull from the lab's registry; two models are said to run."""
    options = Options(NAME, workers=1, gpu_workers=1, seed="legacy", snapshot=False)
    made = lifecycle.up(options)
    for name, restart in ((COMES_BACK, True), (STAYS_DOWN, False)):
        declare_running(made, name, restart)
    with secrets.sampled_arguments(made) as samples:
        yield made
    secrets.assert_none_shown(made, samples)
    if os.environ.get("LAB_KEEP") != "1":
        lifecycle.down(NAME)


def declare_running(fleet: Fleet, name: str, restart_on_error: bool) -> None:
    """A model of a local path on the worker, one instance of which the legacy server is told to be running."""
    admin, worker = fleet.admin(), fleet.host("worker1")
    folder = f"{outside.DATA_DIR}/{MODEL_FOLDER}"
    worker.exec_root("sh", "-c", f"mkdir -p {folder} && echo '{{}}' > {folder}/config.json")
    record = next(each for each in admin.items("/v1/workers") if each["name"] == "worker1")
    model = admin.call(
        "POST",
        "/v1/models",
        {
            "name": name,
            "source": "local_path",
            "local_path": f"/var/lib/gpustack/{MODEL_FOLDER}",
            "backend": "vllm",
            "categories": ["llm"],
            "gpu_selector": {"gpu_ids": ["worker1:cuda:0"]},
            "replicas": 1,
            "restart_on_error": restart_on_error,
        },
    )

    def judged() -> dict[str, Any] | None:
        instances = admin.items(f"/v1/models/{model['id']}/instances")
        return instances[0] if instances and instances[0]["state"] in ("pending", "error", "scheduled") else None

    instance = wait_until(f"an instance of {name}", judged, 120, "see the legacy server's log")
    change = {"state": "running", "state_message": "", "gpu_indexes": [0], "port": 40000, "ports": [40000]}
    change |= {"worker_id": record["id"], "worker_name": record["name"], "worker_ip": record["ip"]}
    admin.call("PUT", f"/v1/model-instances/{instance['id']}", {**instance, **change})


def publish(fleet: Fleet, names: tuple[str, ...]) -> None:
    """Let the lab's registry hold the stand-in under these names."""
    with runner_image.named(names):
        registry.ensure(network(fleet.options.name), registry_address(fleet.data["subnet"]), names)


def has_image(fleet: Fleet, host: str, name: str) -> bool:
    return bool(fleet.host(host).exec_root("docker", "image", "ls", "--quiet", name).strip())


def serves_legacy(fleet: Fleet) -> bool:
    return all(outside.is_legacy(fleet.host(host)) and outside.is_running(fleet.host(host)) for host in fleet.hosts)


def test_a_runner_image_that_cannot_be_had_is_refused_before_downtime(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "upgrade.yml", gpustack_runner_images="auto")
    assert done.code != 0
    assert done.said("gpustack/runtime:pause could not be pulled")
    assert done.said("bring it with gpustack_runner_images_archive")
    assert serves_legacy(models_fleet)


def test_check_mode_names_what_is_asked_for_and_brings_nothing(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "upgrade.yml", "--check", gpustack_runner_images="auto")
    assert done.code == 0, done.output[-3000:]
    assert done.said("runner images to bring: what the image names for vLLM")
    assert done.said("Models that ran: comes-back (1), stays-down (1)")
    assert not has_image(models_fleet, "worker1", RUNNER)


def test_those_of_the_backends_in_use_are_pulled_while_the_legacy_release_serves(models_fleet: Fleet) -> None:
    publish(models_fleet, (RUNNER, *SUPPORT))
    done = playbook.run(models_fleet, "upgrade.yml", *PREPARE_ONLY, gpustack_runner_images="auto")
    assert done.code == 0, done.output[-3000:]
    assert all(has_image(models_fleet, "worker1", name) for name in (RUNNER, *SUPPORT))
    assert not has_image(models_fleet, "server", RUNNER)
    assert serves_legacy(models_fleet)


def test_a_second_preparation_has_nothing_to_do(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "upgrade.yml", *PREPARE_ONLY, gpustack_runner_images="auto")
    assert set(done.recap("changed").values()) == {0}
    assert done.hosts_of(playbook.PREPARE) == set()


def test_an_image_that_was_removed_since_is_brought_again(models_fleet: Fleet) -> None:
    models_fleet.host("worker1").exec_root("docker", "image", "rm", RUNNER)
    done = playbook.run(models_fleet, "upgrade.yml", *PREPARE_ONLY, gpustack_runner_images="auto")
    assert done.hosts_of(playbook.PREPARE) == {"worker1"}
    assert has_image(models_fleet, "worker1", RUNNER)


def test_named_ones_come_from_an_archive(models_fleet: Fleet, tmp_path: Path) -> None:
    archive = tmp_path / "runners.tar"
    with runner_image.named([ARCHIVED]):
        subprocess.run([docker.client(), "save", "--output", str(archive), ARCHIVED], check=True)
    asked: dict[str, Any] = {"gpustack_runner_images": [ARCHIVED], "gpustack_runner_images_archive": str(archive)}
    done = playbook.run(models_fleet, "upgrade.yml", *PREPARE_ONLY, **asked)
    assert done.code == 0, done.output[-3000:]
    assert has_image(models_fleet, "worker1", ARCHIVED)


def test_an_archive_that_lacks_one_is_refused_before_downtime(models_fleet: Fleet, tmp_path: Path) -> None:
    archive = tmp_path / "runners.tar"
    with runner_image.named([ARCHIVED]):
        subprocess.run([docker.client(), "save", "--output", str(archive), ARCHIVED], check=True)
    other = "gpustack/runner:cuda12.8-vllm0.17.1"
    asked: dict[str, Any] = {"gpustack_runner_images": [other], "gpustack_runner_images_archive": str(archive)}
    done = playbook.run(models_fleet, "upgrade.yml", **asked)
    assert done.code != 0
    assert done.said(f"lacks {other}, which v2 wants on this host")
    assert serves_legacy(models_fleet)


def test_models_run_again_or_are_listed_with_what_v2_says(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "upgrade.yml", gpustack_runner_images="auto", gpustack_models_timeout=180)
    assert done.code == 0, done.output[-3000:]
    assert done.said("comes-back: ran 1 times, runs 1 times")
    assert done.said("stays-down: DOES NOT RUN as before: 0 of 1 instances run")
    now = {model["name"]: model for model in done.report["models"]["now"]}
    assert now[COMES_BACK]["problems"] == []
    assert now[STAYS_DOWN]["instances"][0]["state"] == "error"
    assert now[STAYS_DOWN]["instances"][0]["state_message"]
    images = {container["Config"]["Image"] for container in outside.containers(models_fleet.host("worker1")).values()}
    assert {RUNNER, SUPPORT[0]} <= images


def test_models_can_be_required(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "verify.yml", gpustack_require_models=True, gpustack_models_timeout=0)
    assert done.code != 0
    assert done.said("1 models that ran before the upgrade do not run: model stays-down: 0 of 1 instances run")


def test_without_a_key_nothing_is_recreated_and_that_is_said(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "verify.yml", gpustack_recreate_instances=True, gpustack_models_timeout=0)
    assert done.code == 0, done.output[-3000:]
    assert done.said("Not done: gpustack_recreate_instances needs gpustack_api_key")


def test_a_key_from_before_the_upgrade_is_refused_with_the_way_out(models_fleet: Fleet) -> None:
    given: dict[str, Any] = {"gpustack_recreate_instances": True, "gpustack_models_timeout": 0}
    done = playbook.run(models_fleet, "verify.yml", gpustack_api_key=models_fleet.data["api_key"], **given)
    assert done.code != 0
    assert done.said("create one")


def test_what_does_not_come_back_is_recreated_by_the_api(models_fleet: Fleet) -> None:
    key = new_key(models_fleet.admin())
    given: dict[str, Any] = {"gpustack_recreate_instances": True, "gpustack_require_models": True}
    done = playbook.run(models_fleet, "verify.yml", gpustack_api_key=key, gpustack_models_timeout=180, **given)
    assert key not in done.output
    assert done.code == 0, done.output[-3000:]
    assert [model["problems"] for model in done.report["models"]["now"]] == [[], []]
    assert done.report["models"]["recreated"]


def new_key(admin: Client) -> str:
    """An API key of the v2 server's administrator."""
    made = admin.call("POST", "/v2/api-keys", {"name": "recreate", "description": "", "expires_in": 0})
    return str(made["value"])
