# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runner images: what is asked for on a host, what is left of it, and by which reference v2 will ask the engine."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_trial, _plan, _runner_images
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

RUNNER = "gpustack/runner:cuda12.8-vllm0.17.1"
GIB = plan_evidence.GIB


@pytest.mark.parametrize(
    ("reference", "registry", "asked"),
    [
        (RUNNER, None, RUNNER),
        (RUNNER, "reg.example.com/hub/", f"reg.example.com/hub/{RUNNER}"),
        ("quay.io/gpustack/runner:x", "reg.example.com", "quay.io/gpustack/runner:x"),
        ("reg:5000/runner:x", "reg.example.com", "reg:5000/runner:x"),
        ("localhost/runner:x", "reg.example.com", "localhost/runner:x"),
        ("runner:x", "reg.example.com", "reg.example.com/runner:x"),
    ],
)
def test_the_reference_is_the_one_that_v2_asks_the_engine_for(reference: str, registry: str | None, asked: str) -> None:
    assert _runner_images.with_registry(reference, registry) == asked


def test_the_answer_is_found_between_what_else_the_image_prints() -> None:
    printed = f'warming up\n{_runner_images.ANSWER}{{"images": ["a"], "support": []}}\nbye\n'
    assert _runner_images.parse(_gpu_trial.Answer(0, printed, ""))["images"] == ["a"]


def test_an_image_that_does_not_answer_leaves_the_choice_to_the_operator() -> None:
    with pytest.raises(_runner_images.RunnerImageError, match="name them in gpustack_runner_images"):
        _runner_images.parse(_gpu_trial.Answer(0, "hello", ""))


def fleet() -> dict[str, dict[str, Any]]:
    """The server's database has a model on worker-2, a part of it on worker-1, and a llama-box model."""
    made = plan_evidence.fleet()
    database = made["s"]["installations"][0]["database"]
    common = {"source": "huggingface", "backend_version": None, "replicas": 1}
    database["models"] = [
        {"id": 1, "name": "a", "backend": "vllm", **common},
        {"id": 2, "name": "b", "backend": "vox-box", **common},
        {"id": 3, "name": "c", "backend": "llama-box", **common},
    ]
    state = {"state": "running", "worker_name": "", "updated": 1.0}
    database["model_instances"] = [
        {"id": 1, "name": "a-1", "model_id": 1, "worker_id": 2, "subordinate_worker_ids": [1], **state},
        {"id": 2, "name": "b-1", "model_id": 2, "worker_id": 2, "subordinate_worker_ids": [], **state},
        {"id": 3, "name": "c-1", "model_id": 3, "worker_id": 2, "subordinate_worker_ids": [], **state},
    ]
    return made


def planned(evidence: dict[str, dict[str, Any]], wish: Any = "auto", **settings: Any) -> dict[str, Any]:
    choices = {host: {"runner_images": wish, "gpu_vendor": "cpu" if host == "w1" else "nvidia"} for host in evidence}
    settings = {"runner_image_size": 20 * GIB, **settings}
    return _plan.make_plan(evidence, plan_evidence.settings(choices=choices, **settings))


def test_auto_asks_for_the_backends_of_the_models_on_each_worker() -> None:
    hosts = planned(fleet())["hosts"]
    assert hosts["s"]["runner_backends"] == []
    assert hosts["w1"]["runner_backends"] == [{"backend": "vLLM", "backend_version": None}]
    assert [each["backend"] for each in hosts["w2"]["runner_backends"]] == ["VoxBox", "vLLM"]
    assert [hosts[name]["prepare"]["runner_images"] for name in ("s", "w1", "w2")] == [False, True, True]


def test_none_asks_for_nothing() -> None:
    assert not any(host["prepare"]["runner_images"] for host in planned(fleet(), "none")["hosts"].values())


def test_named_ones_are_asked_for_on_every_worker() -> None:
    plan = planned(fleet(), [RUNNER])
    assert plan["hosts"]["w1"]["runner_images"] == plan["hosts"]["w2"]["runner_images"] == [RUNNER]
    assert plan["hosts"]["s"]["runner_images"] == []
    assert f"    runner images to bring: {RUNNER}" in plan["text"]


def noted(asked: dict[str, Any], images: dict[str, str]) -> dict[str, dict[str, Any]]:
    made = fleet()
    made["w2"]["prepared"] = {"image": None, "trial": None, "runner_images": {"asked": asked, "images": images}}
    return made


ASKED = {"images": [RUNNER], "backends": [], "registry": ""}


def test_what_was_brought_and_is_still_there_is_not_left() -> None:
    made = noted(ASKED, {RUNNER: "sha256:9"})
    made["w2"]["image_names"][RUNNER] = "sha256:9"
    assert not planned(made, [RUNNER])["hosts"]["w2"]["prepare"]["runner_images"]


@pytest.mark.parametrize("present", [{}, {RUNNER: "sha256:8"}])
def test_what_was_removed_or_replaced_since_is_left(present: dict[str, str]) -> None:
    made = noted(ASKED, {RUNNER: "sha256:9"})
    made["w2"]["image_names"].update(present)
    assert planned(made, [RUNNER])["hosts"]["w2"]["prepare"]["runner_images"]


def test_another_question_leaves_the_note_behind() -> None:
    made = noted(ASKED, {})
    assert planned(made, [RUNNER], default_registry="reg.example.com")["hosts"]["w2"]["prepare"]["runner_images"]


def test_they_need_room_each() -> None:
    made = fleet()
    made["w2"]["filesystems"]["docker_root"] = plan_evidence.filesystem(free=30 * GIB)
    problems = [each for each in planned(made)["refusals"] if each["code"] == "disk"]
    assert "runner images 40.0 GiB" in problems[0]["cause"]
    assert not [each for each in planned(made, [RUNNER])["refusals"] if each["code"] == "disk"]


@pytest.mark.parametrize("wish", [["gpustack/runner"], ["reg:5000/runner"]])
def test_a_reference_without_a_tag_is_refused(wish: list[str]) -> None:
    problems = [each for each in planned(fleet(), wish)["refusals"] if each["code"] == "runner_images"]
    assert [each["host"] for each in problems] == ["s", "w1", "w2"]
    assert repr(wish[0]) in problems[0]["cause"]
