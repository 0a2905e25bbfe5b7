# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attempts read back from a journal, also from that of another version of this collection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _attempt, _node_evidence
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, ForeignAttemptError

ATTEMPT = Attempt(
    name="20261124T031500Z",
    role="server",
    release="2.2.3",
    image="gpustack/gpustack:v2.2.3",
    container_name="gpustack",
    legacy_id="c0ffee",
    legacy_name="gpustack",
    restart_policy={"Name": "always", "MaximumRetryCount": 0},
    was_running=True,
    data_dir="/data/gpustack",
    backup="/var/backups/gpustack/20261124T031500Z",
)
OPTIONAL = ("name", "image", "container_name", "restart_policy", "was_running", "format")


def entries(detail: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"attempt": ATTEMPT.name, "step": "begin", "state": "started", "detail": detail}]


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in _attempt.begin_detail(ATTEMPT).items() if name not in names}


def test_what_was_begun_is_read_back() -> None:
    assert _attempt.from_entries(entries(_attempt.begin_detail(ATTEMPT))) == ATTEMPT


@given(missing=st.sets(st.sampled_from(OPTIONAL)), unknown=st.dictionaries(st.from_regex(r"x_[a-z]+"), st.text()))
def test_facts_of_other_versions_do_no_harm(missing: set, unknown: dict) -> None:
    found = _attempt.from_entries(entries({**without(*missing), **unknown}))
    assert found.name == ATTEMPT.name
    assert found.legacy_id == ATTEMPT.legacy_id
    assert found.container_name == "gpustack"
    assert found.was_running is True


def test_a_restart_policy_that_was_not_journaled_is_in_the_backup(tmp_path: Path) -> None:
    policy = {"Name": "always", "MaximumRetryCount": 0}
    (tmp_path / "container.json").write_text(json.dumps({"HostConfig": {"RestartPolicy": policy}}))
    found = _attempt.from_entries(entries({**without("restart_policy"), "backup": str(tmp_path)}))
    assert found.restart_policy == policy
    assert _attempt.from_entries(entries(without("restart_policy"))).restart_policy["Name"] == "no"


@pytest.mark.parametrize("fact", _attempt.NEEDED_FACTS)
def test_what_no_way_back_can_do_without_is_named(fact: str) -> None:
    with pytest.raises(ForeignAttemptError, match=fact) as refused:
        _attempt.from_entries(entries(without(fact)))
    assert "fleetops.gpustack.attempt=20261124T031500Z" in refused.value.way_out


def test_the_attempt_of_a_newer_version_is_left_to_it() -> None:
    with pytest.raises(ForeignAttemptError, match="newer version"):
        _attempt.from_entries(entries({**without(), "format": _attempt.BEGIN_FORMAT + 1}))


def test_an_attempt_without_a_beginning() -> None:
    with pytest.raises(ForeignAttemptError, match="no beginning"):
        _attempt.from_entries([{"attempt": "x", "step": "stop", "state": "done", "detail": {}}])


def journal(state_dir: Path, *lines: dict[str, Any]) -> None:
    (state_dir / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_evidence_says_what_stands_in_the_way(tmp_path: Path) -> None:
    journal(tmp_path, *entries(without("legacy_id")))
    found = _node_evidence.journal(str(tmp_path))
    assert found["outcome"] == "unfinished"
    assert "legacy_id" in found["problem"]["cause"]
    journal(tmp_path, *entries(without()))
    assert _node_evidence.journal(str(tmp_path))["problem"] is None


def test_the_evidence_names_the_saved_definition(tmp_path: Path) -> None:
    journal(tmp_path, *entries({**without(), "backup": str(tmp_path)}))
    assert _node_evidence.journal(str(tmp_path))["definition"] is None
    (tmp_path / "container.json").write_text("{}")
    assert _node_evidence.journal(str(tmp_path))["definition"] == str(tmp_path / "container.json")
