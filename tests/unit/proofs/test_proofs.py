# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's tables are those of what was kept, and the comparison with documents can fail."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.proofs import ledger, marks, table, vendors
from tests.proofs.docker_flags import Flags, documented, of_container
from tests.proofs.ledger import KEPT, Proof

pytest_plugins = ["pytester"]

CONTAINER: dict[str, Any] = {
    "HostConfig": {
        "Runtime": "amd",
        "Privileged": True,
        "Binds": None,
        "Mounts": [
            {"Source": "/opt/rocm", "Target": "/opt/rocm", "ReadOnly": True},
            {"Source": "data", "Target": "/var/lib/gpustack"},
        ],
    },
    "Config": {"Env": ["PATH=/bin", "GPUSTACK_TOKEN=x"]},
    "State": {"Running": True},
}
VERDICT = {"vendor": "amd", "refusals": []}
FOUND = {
    "key": "amd",
    "by_container": {**VERDICT, "how": "legacy container"},
    "by_host": {**VERDICT, "how": "device nodes"},
    "containers": dict.fromkeys(("2.0.3", "2.1.1", "2.1.2", "2.2.3"), CONTAINER),
}


def test_the_readme_has_the_tables_of_what_was_kept() -> None:
    assert table.filled(table.README.read_text(), ledger.read(KEPT)) == table.README.read_text()


def test_a_cell_names_its_scenarios() -> None:
    proofs = [Proof("vendors", "amd", "2.0.3", name, "2026-11-30") for name in ("one", "two")]
    lines = table.render("vendors", proofs)
    assert lines[3].startswith("| AMD | not proven | one (2026-11-30), two (2026-11-30) |")
    assert "no such support in GPUStack" in next(line for line in lines if "T-Head" in line)


def test_the_flags_of_a_document() -> None:
    assert documented("--volume /opt/rocm:/opt/rocm:ro -e A=b=c --runtime amd") == Flags(
        "amd", {"A": "b=c"}, frozenset({("/opt/rocm", "/opt/rocm", False)})
    )
    with pytest.raises(SystemExit):
        documented("--gpus all")


def test_the_flags_of_a_container() -> None:
    host = dict(
        CONTAINER["HostConfig"], Runtime="runc", Binds=["/a:/b:ro,z", "/var/run/docker.sock:/var/run/docker.sock"]
    )
    found = of_container(dict(host, Mounts=None), ["A=b=c", "B=d"], ["A"])
    assert found == Flags(None, {"A": "b=c"}, frozenset({("/a", "/b", False)}))


def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> tuple[list[str], list[Proof]]:
    """Problems and proofs of what a scenario found, where AMD is the only documented vendor."""
    documents = {"amd": vendors.documents()["amd"]}
    monkeypatch.setattr(vendors, "documents", lambda: documents)
    monkeypatch.setattr(ledger, "RESULTS", tmp_path / "results.jsonl")
    (tmp_path / "found.json").write_text(json.dumps([found]))
    return vendors.verify(tmp_path / "found.json"), ledger.read(tmp_path / "results.jsonl")


def test_what_agrees_is_proven_and_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems, proofs = verify(tmp_path, monkeypatch, FOUND)
    assert problems == ["amd 2.0.0: was not tried"]
    assert [proof.column for proof in proofs] == ["2.0.3", "2.1.1", "2.1.2", "2.2.3"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"HostConfig": {**CONTAINER["HostConfig"], "Runtime": "runc"}}, "the documents say"),
        ({"HostConfig": {**CONTAINER["HostConfig"], "Mounts": []}}, "the documents say"),
        ({"HostConfig": {**CONTAINER["HostConfig"], "Privileged": False}}, "it is not privileged"),
        ({"State": {"Running": False}}, "it was not started"),
    ],
)
def test_a_container_that_differs_is_not_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    found = copy.deepcopy(FOUND)
    found["containers"]["2.1.1"].update(change)  # type: ignore[index]
    problems, proofs = verify(tmp_path, monkeypatch, found)
    assert any(line.startswith("amd 2.1.1: ") and said in line for line in problems)
    assert "2.1.1" not in {proof.column for proof in proofs}


@pytest.mark.parametrize("which", ["by_container", "by_host"])
def test_a_host_that_was_mistaken_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    found = {**FOUND, which: {"vendor": "cpu", "how": "no accelerator found", "refusals": []}}
    problems, proofs = verify(tmp_path, monkeypatch, found)
    assert any("it was taken for ('cpu', 'no accelerator found')" in line for line in problems)
    assert proofs == []


CELL = ("installations", "bind", "2.2.3", "test_some")


@pytest.mark.parametrize(
    ("passed", "cells"), [({"one", "two"}, [CELL]), ({"one"}, []), (set(), [])], ids=["all", "one failed", "none"]
)
def test_a_cell_is_proven_by_all_of_its_tests(passed: set[str], cells: list[marks.Cell]) -> None:
    assert marks.proven({"one": [CELL], "two": [CELL], "three": []}, passed) == cells


def test_a_mark_for_no_cell_is_a_mistake() -> None:
    assert marks.cell("tests/e2e/test_some.py::test_it[a::b]", "installations", "bind", "2.2.3") == CELL
    with pytest.raises(pytest.UsageError, match="no such cell"):
        marks.cell("tests/e2e/test_some.py::test_it", "installations", "bind", "2.2.9")


MARKED = """
import pytest

@pytest.mark.proves("installations", "bind", "2.2.3")
def test_good():
    pass

@pytest.mark.proves("installations", "volume", "2.2.3")
def test_bad(request):
    assert request.config.getoption("keyword") == "good"
"""


@pytest.mark.parametrize(("options", "rows"), [((), {"bind"}), (("-k", "good"), set())], ids=["whole", "a part"])
def test_what_a_run_notes(pytester: pytest.Pytester, options: tuple[str, ...], rows: set[str]) -> None:
    pytester.makeconftest('pytest_plugins = ["tests.proofs.marks"]')
    pytester.makepyfile(MARKED)
    results = pytester.path / "results.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "RESULTS", results)
        pytester.runpytest_inprocess(*options)
    assert {proof.row for proof in ledger.read(results)} == rows
