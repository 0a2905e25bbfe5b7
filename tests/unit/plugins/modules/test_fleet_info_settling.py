# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the module waits: READY counts only once it has lasted. The clock is a stand-in, nothing is waited for."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.modules import fleet_info

WORKER = {"id": 1, "name": "gpu-1", "uuid": "u", "gpus": [], "state": "ready", "heartbeat": 1.0, "state_message": None}


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def waited(monkeypatch: pytest.MonkeyPatch, states: list[str], settle: int, wait: int = 60) -> dict[str, Any]:
    """The result when the server shows these states one after the other, the last one for good."""
    clock = Clock()
    monkeypatch.setattr(fleet_info, "time", clock)
    left = list(states)

    def read() -> dict[str, Any]:
        state = left.pop(0) if len(left) > 1 else left[0]
        return {"workers": [dict(WORKER, state=state)], "models": [], "model_instances": []}

    params = {"expected": [WORKER], "since": None, "wait": wait, "settle": settle}
    return fleet_info.awaited(read, params)


def test_without_settling_the_first_ready_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waited(monkeypatch, ["ready", "unreachable"], settle=0)["seconds"] == 0


def test_a_ready_that_breaks_off_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    result = waited(monkeypatch, ["ready", "unreachable", "ready"], settle=20)
    assert result["judgements"][0]["problems"] == []
    # Two seconds between looks: bad at the second one, good from there on for twenty seconds.
    assert result["seconds"] == 22


def test_the_wait_ends_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    result = waited(monkeypatch, ["unreachable"], settle=20, wait=30)
    assert result["seconds"] == 30
    assert result["judgements"][0]["problems"]


def test_a_ready_at_the_last_moment_has_to_last_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lasting = waited(monkeypatch, ["unreachable", "ready"], settle=20, wait=4)
    assert lasting["judgements"][0]["problems"] == []
    assert lasting["seconds"] == 20
    broken = waited(monkeypatch, ["unreachable", "ready", "ready", "ready", "unreachable"], settle=20, wait=4)
    assert broken["judgements"][0]["problems"]
    assert broken["seconds"] == 8


MODEL = {"id": 1, "name": "m", "source": "huggingface", "backend": "vLLM", "backend_version": None, "replicas": 1}
RAN = [dict(MODEL, instances=[{"id": 1, "name": "m-1", "worker_name": "w", "updated": 1.0}])]


def models_waited(
    monkeypatch: pytest.MonkeyPatch, states: list[str], wait: int = 60, worker: str = "ready", **model: Any
) -> dict[str, Any]:
    """The result when the model's instance shows these states one after the other, the last one for good."""
    monkeypatch.setattr(fleet_info, "time", Clock())
    left = list(states)

    def read() -> dict[str, Any]:
        state = left.pop(0) if len(left) > 1 else left[0]
        instance = {"id": 1, "name": "m-1", "model_id": 1, "worker_name": "w", "state": state, "state_message": ""}
        models = [dict(MODEL, **model)]
        return {
            "workers": [dict(WORKER, state=worker)],
            "models": models,
            "model_instances": [dict(instance, updated=2.0)],
        }

    expected = [dict(RAN[0], **model)]
    params = {"expected": [WORKER], "since": None, "wait": 0, "settle": 0}
    params.update(expected_models=expected, models_wait=wait)
    return fleet_info.with_models(read, params, fleet_info.awaited(read, params))


def test_models_are_waited_for_once_the_workers_are_back(monkeypatch: pytest.MonkeyPatch) -> None:
    result = models_waited(monkeypatch, ["error", "starting", "starting", "running"])
    assert result["model_judgements"][0]["problems"] == []
    assert (result["seconds"], result["model_seconds"]) == (0, 6)


def test_the_wait_for_models_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    result = models_waited(monkeypatch, ["starting"], wait=30)
    assert result["model_judgements"][0]["problems"]
    assert result["model_seconds"] == 30


def test_neither_a_hopeless_model_nor_one_of_missing_workers_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert models_waited(monkeypatch, ["error"], backend="llama-box")["model_seconds"] == 0
    assert models_waited(monkeypatch, ["error"], worker="unreachable")["model_seconds"] == 0
