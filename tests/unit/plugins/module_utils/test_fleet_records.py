# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of both generations in one form, and who counts as the same worker with the same GPUs."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _fleet_records

MEMORY = 85899345920
#: A row as 0.7.1 writes it.
LEGACY = {
    "id": 2,
    "name": "gpu-1",
    "hostname": "gpu-1",
    "ip": "192.0.2.3",
    "port": 10150,
    "worker_uuid": "11111111-2222-4333-8444-555555555501",
    "state": "READY",
    "state_message": None,
    "heartbeat_time": "2026-11-24 02:52:10.500000",
    "system_reserved": '{"ram": 2147483648, "vram": 1073741824}',
    "status": json.dumps(
        {
            "gpu_devices": [
                {
                    "index": index,
                    "name": "NVIDIA A100-SXM4-80GB",
                    "uuid": f"GPU-{index}",
                    "vendor": "NVIDIA",
                    "type": "cuda",
                    "memory": {"total": MEMORY, "used": 1},
                }
                for index in (1, 0)
            ],
            "rpc_servers": {},
        }
    ),
}
#: The same worker as psycopg returns it from 2.2.3.
CURRENT = dict(
    LEGACY,
    heartbeat_time=datetime(2026, 11, 24, 3, 0, 0),
    system_reserved={"ram": 0, "vram": 0},
    status={
        "gpu_devices": [
            {
                "index": index,
                "name": "NVIDIA A100-SXM4-80GB",
                "vendor": "nvidia",
                "type": "cuda",
                "memory": {"total": MEMORY},
            }
            for index in (0, 1)
        ]
    },
)


def gpu(vendor: str = "nvidia", index: int = 0, name: str = "A100", memory: int = MEMORY) -> dict[str, Any]:
    return {"vendor": vendor, "index": index, "name": name, "memory": memory, "uuid": ""}


def test_a_worker_of_0_7() -> None:
    record = _fleet_records.worker_record(LEGACY)
    assert record == {
        "id": 2,
        "name": "gpu-1",
        "hostname": "gpu-1",
        "ip": "192.0.2.3",
        "port": 10150,
        "uuid": "11111111-2222-4333-8444-555555555501",
        "state": "ready",
        "state_message": None,
        "heartbeat": 1795488730.5,
        "gpus": [
            {"vendor": "nvidia", "index": 0, "name": "NVIDIA A100-SXM4-80GB", "memory": MEMORY, "uuid": "GPU-0"},
            {"vendor": "nvidia", "index": 1, "name": "NVIDIA A100-SXM4-80GB", "memory": MEMORY, "uuid": "GPU-1"},
        ],
        "system_reserved": {"ram": 2147483648, "vram": 1073741824},
    }


def test_a_worker_of_2_2_is_the_same() -> None:
    before, after = _fleet_records.worker_record(LEGACY), _fleet_records.worker_record(CURRENT)
    assert _fleet_records.compare_identity(before, after) == ([], [])
    assert _fleet_records.compare_gpus(before["gpus"], after["gpus"]) == ([], [])


@pytest.mark.parametrize("status", [None, "null", "", "{", "[]", '{"gpu_devices": null}', {}])
def test_a_worker_without_status(status: Any) -> None:
    assert _fleet_records.worker_record(dict(LEGACY, status=status))["gpus"] == []


@pytest.mark.parametrize("value", [None, "never", ""])
def test_a_worker_without_heartbeat(value: Any) -> None:
    assert _fleet_records.worker_record(dict(LEGACY, heartbeat_time=value))["heartbeat"] is None


def test_a_worker_older_than_uuids() -> None:
    row = {name: value for name, value in LEGACY.items() if name != "worker_uuid"}
    assert _fleet_records.worker_record(row)["uuid"] == ""


@pytest.mark.parametrize(
    ("name", "device_type", "vendor"),
    [
        ("NVIDIA", "cuda", "nvidia"),
        ("nvidia", "cuda", "nvidia"),
        ("Huawei", "npu", "ascend"),
        ("ascend", "cann", "ascend"),
        ("Moore Threads", "musa", "mthreads"),
        ("mthreads", "musa", "mthreads"),
        ("Hygon", "dcu", "hygon"),
        ("AMD", "rocm", "amd"),
        ("Iluvatar", "corex", "iluvatar"),
        ("Cambricon", "mlu", "cambricon"),
        ("metax", "maca", "metax"),
        ("thead", "hggc", "thead"),
        ("", "npu", "ascend"),
        (None, "neuware", "cambricon"),
        ("Someone", "new", "someone"),
        (None, None, "unknown"),
    ],
)
def test_vendors_have_one_name(name: str | None, device_type: str | None, vendor: str) -> None:
    assert _fleet_records.vendor(name, device_type) == vendor


@pytest.mark.parametrize(
    ("row", "source", "reference"),
    [
        (
            {"source": "HUGGING_FACE", "huggingface_repo_id": "Qwen/Q", "huggingface_filename": "*.gguf"},
            "huggingface",
            "Qwen/Q:*.gguf",
        ),
        ({"source": "MODEL_SCOPE", "model_scope_model_id": "x/y"}, "model_scope", "x/y"),
        ({"source": "LOCAL_PATH", "local_path": "/data/x"}, "local_path", "/data/x"),
        ({"source": "OLLAMA_LIBRARY", "ollama_library_model_name": "llama3"}, "ollama_library", "llama3"),
        ({"source": "ELSEWHERE"}, "elsewhere", ""),
    ],
)
def test_where_a_model_comes_from(row: dict[str, Any], source: str, reference: str) -> None:
    record = _fleet_records.model_record(dict(row, id=1, name="m"))
    assert (record["source"], record["reference"]) == (source, reference)


def test_an_instance() -> None:
    row = {"id": 1, "name": "m-a", "model_id": 1, "worker_id": 2, "gpu_indexes": "[0, 1]", "state": "RUNNING"}
    record = _fleet_records.model_instance_record(row)
    assert (record["gpu_indexes"], record["state"]) == ([0, 1], "running")


@pytest.mark.parametrize(
    ("after", "problems"),
    [
        ([gpu(index=0)], ["2 nvidia GPUs before, 1 after", "GPU 1 (nvidia) is gone"]),
        ([gpu(index=0), gpu(index=2)], ["GPU 1 (nvidia) is gone", "GPU 2 (nvidia) is new"]),
        ([], ["2 nvidia GPUs before, 0 after", "GPU 0 (nvidia) is gone", "GPU 1 (nvidia) is gone"]),
        (
            [gpu("amd", 0), gpu("amd", 1)],
            [
                "0 amd GPUs before, 2 after",
                "2 nvidia GPUs before, 0 after",
                "GPU 0 (nvidia) is gone",
                "GPU 1 (nvidia) is gone",
                "GPU 0 (amd) is new",
                "GPU 1 (amd) is new",
            ],
        ),
    ],
)
def test_other_gpus_are_a_problem(after: list[dict[str, Any]], problems: list[str]) -> None:
    assert _fleet_records.compare_gpus([gpu(index=0), gpu(index=1)], after).problems == problems


def test_another_name_or_memory_is_a_warning() -> None:
    comparison = _fleet_records.compare_gpus([gpu()], [gpu(name="NVIDIA A100", memory=MEMORY - 1)])
    assert comparison.problems == []
    assert comparison.warnings == [
        "GPU 0 (nvidia): name was A100, is NVIDIA A100",
        f"GPU 0 (nvidia): memory was {MEMORY}, is {MEMORY - 1}",
    ]


class TestJudgement:
    BEFORE = _fleet_records.worker_record(LEGACY)

    def judge(self, since: float | None = None, **changes: Any) -> list[str]:
        now = dict(_fleet_records.worker_record(CURRENT), **changes)
        return _fleet_records.judge([self.BEFORE], [now], since)[0]["problems"]

    def test_a_worker_that_is_back(self) -> None:
        assert self.judge(since=self.BEFORE["heartbeat"] + 1) == []

    def test_a_worker_that_is_not_ready(self) -> None:
        link = "Heartbeat lost, please <a href='https://example.com'>check the logs</a>."
        assert self.judge(state="not_ready", state_message=link) == [
            "its state is not_ready (Heartbeat lost, please check the logs.)"
        ]

    def test_a_worker_under_another_id(self) -> None:
        assert self.judge(id=9) == ["id was 2, is 9"]

    def test_a_worker_under_another_name(self) -> None:
        assert self.judge(name="gpu-1-new") == ["name was gpu-1, is gpu-1-new"]

    def test_a_worker_with_another_uuid(self) -> None:
        assert self.judge(uuid="x") == ["uuid was 11111111-2222-4333-8444-555555555501, is x"]

    def test_a_worker_that_had_no_uuid_gets_one(self) -> None:
        before = dict(self.BEFORE, uuid="")
        assert _fleet_records.judge([before], [dict(self.BEFORE, uuid="new")])[0]["problems"] == []

    def test_a_heartbeat_from_before(self) -> None:
        heartbeat = _fleet_records.worker_record(CURRENT)["heartbeat"]
        assert self.judge(since=heartbeat + 1) == ["no heartbeat since its container started"]
        assert self.judge(since=heartbeat + 0.9) == []

    def test_its_own_time_goes_first(self) -> None:
        before = dict(self.BEFORE, since=self.BEFORE["heartbeat"] + 86400)
        judged = _fleet_records.judge([before], [_fleet_records.worker_record(CURRENT)], since=0)
        assert judged[0]["problems"] == ["no heartbeat since its container started"]

    def test_a_worker_that_is_missing(self) -> None:
        judged = _fleet_records.judge([self.BEFORE], [])
        assert judged == [{"name": "gpu-1", "problems": ["the server does not know it"], "warnings": []}]


def gpus(*indexes: int, vendor: str = "nvidia", **more: Any) -> list[dict[str, Any]]:
    return [{"vendor": vendor, "index": index, "name": "H100", "memory": MEMORY, **more} for index in indexes]


class TestGates:
    """How strictly the GPUs of a worker are compared."""

    def test_at_least_takes_more_than_before(self) -> None:
        compared = _fleet_records.compare_gpus(gpus(0, 1), gpus(0, 1, 2, 3), _fleet_records.AT_LEAST)
        assert compared.problems == []
        assert compared.warnings[0] == "2 nvidia GPUs before, 4 after"
        assert "GPU 3 (nvidia) is new" in compared.warnings

    def test_at_least_refuses_fewer_and_another_vendor(self) -> None:
        compare = _fleet_records.compare_gpus
        assert compare(gpus(0, 1), gpus(0), _fleet_records.AT_LEAST).problems == ["2 nvidia GPUs before, 1 after"]
        other = compare(gpus(0), gpus(0, vendor="amd"), _fleet_records.AT_LEAST)
        assert other.problems == ["1 nvidia GPUs before, 0 after"]

    def test_vendor_takes_any_count(self) -> None:
        compare = _fleet_records.compare_gpus
        assert compare(gpus(0, 8, 9), gpus(0), _fleet_records.VENDOR).problems == []
        assert compare(gpus(0), [], _fleet_records.VENDOR).problems == ["GPUs of nvidia are gone"]
        assert compare([], gpus(0), _fleet_records.VENDOR).problems == ["GPUs of nvidia are new"]

    def test_exact_says_everything_as_a_problem(self) -> None:
        compared = _fleet_records.compare_gpus(gpus(0), gpus(1))
        assert compared.problems == ["GPU 0 (nvidia) is gone", "GPU 1 (nvidia) is new"]
        assert compared.warnings == []

    def test_the_gate_of_an_expected_worker_counts(self) -> None:
        now = dict(_fleet_records.worker_record(CURRENT), gpus=gpus(0, 1, 2))
        before = dict(now, gpus=gpus(0, 1))
        exact, lenient = _fleet_records.judge([before, dict(before, gpu_gate="at_least")], [now])
        assert exact["problems"] == ["2 nvidia GPUs before, 3 after", "GPU 2 (nvidia) is new"]
        assert lenient["problems"] == []


class TestNames:
    """Releases read a GPU's name by different tools."""

    @pytest.mark.parametrize(
        ("before", "after", "patterns", "same"),
        [
            ("AMD Instinct MI300X", "AMD Instinct MI300X OAM", ["(?:AMD )?(.+?)(?: OAM)?"], True),
            ("Ascend 910B2", "910b2", ["(?:Ascend ?)?(.+)"], True),
            ("Ascend910B2", "910B3", ["(?:Ascend ?)?(.+)"], False),
            ("Tesla T4", "NVIDIA Tesla T4", ["x", "(?:NVIDIA )?(.+)"], True),
            ("Tesla T4", "NVIDIA Tesla T4", [], False),
            ("Tesla T4", "", ["(?:NVIDIA )?(.+)"], False),
        ],
    )
    def test_equivalent_names_are_no_difference(self, before: str, after: str, patterns: list[str], same: bool) -> None:
        was, now = gpus(0, name=before, same_names=patterns), gpus(0, name=after)
        compared = _fleet_records.compare_gpus(was, now)
        assert (compared.problems, compared.warnings == []) == ([], same)
