# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runner images are on the host before downtime, and models that ran run again, or are listed with what v2 says.

The engine is a stand-in, a `vllm` that answers at its port: laid into the legacy worker's container, and as runner
images (`tests.lab.runner_image`) under the published names. All else is real: the legacy worker starts it and calls its
models RUNNING, the image of the release says which images it wants, the host pulls them from a registry, and the v2
worker starts them through the host's engine.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import outside, playbook, secrets
from tests.lab import docker, lifecycle, registry, runner_image
from tests.lab.api import Client, wait_until
from tests.lab.fleet import Fleet, Reach
from tests.lab.hosts import network
from tests.lab.layout import Options, registry_address

NAME = "e2e-models"
#: What 2.2.3 wants for vLLM beside the stand-in driver, and for every model.
RUNNER = "gpustack/runner:cuda12.8-vllm0.17.1"
SUPPORT = ("gpustack/runtime:pause", "gpustack/runtime:health")
ARCHIVED = "gpustack/runner:cuda12.8-voxbox0.0.21"
PREPARE_ONLY = ("--tags", "gpustack_prepare")
#: One that v2 starts again by itself, and one whose files are gone when it does.
COMES_BACK, STAYS_DOWN = "comes-back", "stays-down"
#: What schedulers read of a model.
SMALL_MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
    "torch_dtype": "float16",
}
VLLM = runner_image.CONTEXT / "vllm"
RUNC = Path(__file__).with_name("runc_before.sh")


@pytest.fixture(scope="module")
def models_fleet() -> Iterator[Fleet]:
    """A server and a worker with GPUs, whose engines pull from the lab's registry; two models run."""
    options = Options(NAME, workers=1, gpu_workers=1, seed="legacy", snapshot=False)
    made = lifecycle.up(options)
    worker = made.host("worker1")
    lay_before_runc(worker)
    worker.sudo("tee", "/run/vllm", stdin=f"#!/usr/bin/env python3\n{VLLM.read_text()}")
    worker.exec_root("chmod", "0755", "/run/vllm")
    worker.exec_root("docker", "cp", "/run/vllm", "gpustack:/usr/local/bin/vllm")
    serve(made, COMES_BACK, gpu=0, restart_on_error=True)
    serve(made, STAYS_DOWN, gpu=1, restart_on_error=False)
    try:
        with secrets.sampled_arguments(made) as samples:
            yield made
        secrets.assert_none_shown(made, samples)
    finally:
        if os.environ.get("LAB_KEEP") != "1":
            lifecycle.down(NAME)


def lay_before_runc(host: Reach) -> None:
    """v2's worker protects its containers from the OOM killer, which a machine without CAP_SYS_RESOURCE forbids."""
    runc = host.exec_root("which", "runc").strip()
    host.exec_root("mv", runc, f"{runc}.real")
    host.sudo("tee", runc, stdin=RUNC.read_text())
    host.exec_root("chmod", "0755", runc)


def serve(fleet: Fleet, name: str, gpu: int, restart_on_error: bool) -> None:
    """A model of a local path that runs on the legacy worker."""
    admin, worker = fleet.admin(), fleet.host("worker1")
    lay_model(worker, name)
    model = {
        "name": name,
        "source": "local_path",
        "local_path": f"/var/lib/gpustack/models/{name}",
        "backend": "vllm",
        "categories": ["llm"],
        "gpu_selector": {"gpu_ids": [f"worker1:cuda:{gpu}"]},
        "replicas": 1,
        "restart_on_error": restart_on_error,
    }
    number = admin.call("POST", "/v1/models", model)["id"]

    def runs() -> bool:
        return [each["state"] for each in admin.items(f"/v1/models/{number}/instances")] == ["running"]

    wait_until(f"{name} to run", runs, 180, "see log/serve in the worker's data directory")


def lay_model(worker: Reach, name: str) -> None:
    """As much of a model's files as schedulers and the stand-in look at."""
    folder = f"{outside.DATA_DIR}/models/{name}"
    worker.exec_root("mkdir", "-p", folder)
    worker.sudo("tee", f"{folder}/config.json", stdin=json.dumps(SMALL_MODEL))
    worker.exec_root("truncate", "--size=1M", f"{folder}/model.safetensors")


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
    assert done.said("bring the image with gpustack_runner_images_archive")
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
    other = "gpustack/runner:cuda12.9-vllm0.25.1"
    asked: dict[str, Any] = {"gpustack_runner_images": [other], "gpustack_runner_images_archive": str(archive)}
    done = playbook.run(models_fleet, "upgrade.yml", **asked)
    assert done.code != 0
    assert done.said(f"lacks {other}, which v2 wants on this host")
    assert serves_legacy(models_fleet)


def test_models_run_again_or_are_listed_with_what_v2_says(models_fleet: Fleet) -> None:
    models_fleet.host("worker1").exec_root("rm", "-r", f"{outside.DATA_DIR}/models/{STAYS_DOWN}")
    done = playbook.run(models_fleet, "upgrade.yml", gpustack_runner_images="auto", gpustack_models_timeout=180)
    assert done.code == 0, done.output[-3000:]
    assert done.said("comes-back: ran 1 times, runs 1 times")
    assert done.said("stays-down: DOES NOT RUN as before: 0 of 1 instances run")
    now = {model["name"]: model for model in done.report["models"]["now"]}
    assert now[COMES_BACK]["problems"] == []
    # Its runtime starts a container that fails again and again; v2 calls that starting, and at times an error.
    (instance,) = now[STAYS_DOWN]["instances"]
    count, said = now[STAYS_DOWN]["problems"]
    assert (instance["runs"], count) == (False, "0 of 1 instances run")
    assert said.startswith(f"{instance['name']} on worker worker1 is {instance['state']}")
    # gpustack-runtime makes its containers by the image's id.
    worker = models_fleet.host("worker1")
    wanted = worker.exec_root("docker", "image", "inspect", "--format", "{{.Id}}", RUNNER, SUPPORT[0]).split()
    assert set(wanted) <= {container["Image"] for container in outside.containers(worker).values()}


def test_models_can_be_required(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "verify.yml", gpustack_require_models=True, gpustack_models_timeout=0)
    assert done.code != 0
    assert done.said("1 models that ran before the upgrade do not run: model stays-down: 0 of 1 instances run")


def test_without_a_key_nothing_is_recreated_and_that_is_said(models_fleet: Fleet) -> None:
    done = playbook.run(models_fleet, "verify.yml", gpustack_recreate_instances=True, gpustack_models_timeout=0)
    assert done.code == 0, done.output[-3000:]
    assert done.said("Not done: gpustack_recreate_instances needs gpustack_api_key")


def verify_with_key(fleet: Fleet, key: str, folder: Path, **variables: Any) -> playbook.Run:
    """Verify, and recreate what does not run; the key by a file, as Ansible prints its own arguments at -vvvv."""
    secret = folder / "key.yml"
    secret.write_text(yaml.safe_dump({"gpustack_api_key": key}))
    given = ("--extra-vars", f"@{secret}")
    return playbook.run(fleet, "verify.yml", *given, gpustack_recreate_instances=True, **variables)


def test_a_key_from_before_the_upgrade_is_refused_with_the_way_out(models_fleet: Fleet, tmp_path: Path) -> None:
    done = verify_with_key(models_fleet, models_fleet.data["api_key"], tmp_path, gpustack_models_timeout=0)
    assert done.code != 0
    assert done.said("create one")


def test_what_does_not_come_back_is_recreated_by_the_api(models_fleet: Fleet, tmp_path: Path) -> None:
    give_up(models_fleet, STAYS_DOWN)
    lay_model(models_fleet.host("worker1"), STAYS_DOWN)
    key = new_key(models_fleet.admin())
    given: dict[str, Any] = {"gpustack_require_models": True, "gpustack_models_timeout": 180}
    done = verify_with_key(models_fleet, key, tmp_path, **given)
    assert key not in done.output
    assert done.code == 0, done.output[-3000:]
    assert [model["problems"] for model in done.report["models"]["now"]] == [[], []]
    assert done.report["models"]["recreated"]


def give_up(fleet: Fleet, model: str) -> None:
    """Without containers an instance is in error, and v2 leaves it so where the model is not to restart on errors."""
    worker = fleet.host("worker1")
    for name in outside.containers(worker):
        if name.startswith(f"{model}-"):
            worker.exec_root("docker", "rm", "--force", name)

    def in_error() -> bool:
        found = fleet.admin().items("/v2/model-instances")
        return [each["state"] for each in found if each["model_name"] == model] == ["error"]

    wait_until(f"{model} to be in error", in_error, 120, "see the log of the v2 worker")


def new_key(admin: Client) -> str:
    """An API key of the v2 server's administrator."""
    made = admin.call("POST", "/v2/api-keys", {"name": "recreate", "description": "", "expires_in": 0})
    return str(made["value"])
