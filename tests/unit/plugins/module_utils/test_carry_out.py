# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A piece of work that is carried out: whatever escapes it, the operator reads what to do."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _carry_out, _journal
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import EngineError
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock

NAME = "20261124T031500Z"
ATTEMPT = Attempt(
    name=NAME,
    role="server",
    release="2.2.3",
    image="gpustack/gpustack:v2.2.3",
    container_name="gpustack",
    legacy_id="4f0c",
    legacy_name="gpustack",
    restart_policy={"Name": "always", "MaximumRetryCount": 0},
    was_running=True,
    data_dir="/data",
    backup="/backup",
)


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setattr(_carry_out, "Engine", lambda _docker_host: None)
    params = {"state_dir": str(tmp_path), "docker_host": "unix:///nowhere"}

    def carry_out(action: Callable[[Work], dict[str, Any]]) -> dict[str, Any]:
        with HostLock(str(tmp_path), NAME) as lock:
            return _carry_out.carry_out(params, ATTEMPT, lock, action)

    return carry_out


def test_the_result_has_the_facts_of_the_attempt_and_the_steps(do: Callable[..., dict[str, Any]]) -> None:
    def work(given: Work) -> dict[str, Any]:
        given.warn("beware")
        with given.journal.step("begin"):
            return {"outcome": "upgraded"}

    result = do(work)
    assert (result["changed"], result["attempt"], result["outcome"]) == (True, NAME, "upgraded")
    assert [step["step"] for step in result["steps"]] == ["begin"]
    assert result["warnings"] == ["beware"]


def test_what_escapes_is_told_with_the_way_out_and_the_outcome_so_far(do: Callable[..., dict[str, Any]]) -> None:
    def work(given: Work) -> dict[str, Any]:
        given.journal.record("begin", _journal.STARTED)
        raise OSError("the disk is gone")

    result = do(work)
    assert result["failed"] is True
    assert result["outcome"] == "unfinished"
    assert result["msg"].startswith("the disk is gone. The work stopped there")
    assert "run the same command again" in result["msg"]
    assert result["attempt"] == NAME


@pytest.mark.parametrize(("changed", "check_mode", "worked"), [(True, False, 1), (False, False, 0), (True, True, 0)])
def test_work_is_done_only_when_something_differs_and_not_in_check_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool, check_mode: bool, worked: int
) -> None:
    monkeypatch.setattr(_carry_out, "Engine", lambda _docker_host: None)
    state = tmp_path / "state"
    if not check_mode:
        _journal.Journal(str(state), NAME).record("begin", "started", ATTEMPT.__dict__)
    params = {"state_dir": str(state), "docker_host": "", "run_id": NAME, "state": "finalized"}
    result = _carry_out.carry_out_if_needed(
        params, check_mode, lambda _params: {"changed": changed}, lambda _word: None, lambda _work, _found: {"done": 1}
    )
    assert result["changed"] is changed
    assert result.get("done", 0) == worked
    assert state.exists() is not check_mode


def test_an_engine_that_does_not_answer_is_told_with_the_way_out(
    do: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_docker_host: str) -> None:
        raise EngineError("The Docker engine does not answer; start it.")

    monkeypatch.setattr(_carry_out, "Engine", refuse)
    result = do(lambda _work: {})
    assert result["failed"] is True
    assert result["msg"].startswith("The Docker engine does not answer; start it. The work stopped there")


def test_what_the_operating_system_refused_names_file_and_way_out() -> None:
    error = OSError(errno.EROFS, "Read-only file system", "/data/worker_name.new")
    assert _carry_out.sentence(error) == (
        "/data/worker_name.new: Read-only file system; mount that file system read-write."
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [(ValueError("no"), "no."), (ValueError("why?"), "why?"), (KeyError(), "KeyError."), (OSError("done. "), "done.")],
)
def test_an_error_as_a_sentence(error: Exception, text: str) -> None:
    assert _carry_out.sentence(error) == text
