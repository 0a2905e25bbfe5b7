# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of workers, models and model_instances of either generation in one record form. Pure.

A row is a mapping of column names to values as SQLite (JSON as text, times as text) or psycopg (JSON parsed, times as
datetime) returns them.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

#: What the releases call a vendor, in lower case, to the project's name for it (0.x: schemas/workers.py VendorEnum;
#: v2: gpustack_runtime/detector ManufacturerEnum).
_VENDORS = {
    "nvidia": "nvidia",
    "amd": "amd",
    "huawei": "ascend",
    "ascend": "ascend",
    "hygon": "hygon",
    "moore threads": "mthreads",
    "mthreads": "mthreads",
    "iluvatar": "iluvatar",
    "cambricon": "cambricon",
    "metax": "metax",
    "thead": "thead",
    "t-head": "thead",
    "apple": "apple",
}

#: The same by the type of the device, which every release from 0.4 on records too.
_TYPES = {
    "cuda": "nvidia",
    "rocm": "amd",
    "npu": "ascend",
    "cann": "ascend",
    "dcu": "hygon",
    "dtk": "hygon",
    "musa": "mthreads",
    "corex": "iluvatar",
    "mlu": "cambricon",
    "neuware": "cambricon",
    "maca": "metax",
    "hggc": "thead",
    "mps": "apple",
}

#: Where a model comes from, to the columns that say which one it is.
_REFERENCES = {
    "huggingface": ("huggingface_repo_id", "huggingface_filename"),
    "model_scope": ("model_scope_model_id", "model_scope_file_path"),
    "local_path": ("local_path",),
    "ollama_library": ("ollama_library_model_name",),
}
#: The port of a worker's API; up to 0.4 the server did not note it (schemas/workers.py; revision e6bf9e067296).
WORKER_PORT = 10150
_SOURCES = {"hugging_face": "huggingface"}
#: The server writes links for its web pages into the messages of states.
_MARKUP = re.compile(r"<[^>]*>")


#: How strictly GPUs are compared: the same ones; at least as many of each vendor, because the legacy container was
#: restricted and v2's sees all; or only the vendors, because releases count devices in MIG mode in different ways.
EXACT, AT_LEAST, VENDOR = ("exact", "at_least", "vendor")


class Comparison(NamedTuple):
    """What is wrong (the host must not go on), and what is only worth saying."""

    problems: list[str]
    warnings: list[str]


def worker_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``workers``."""
    status = _mapping(row.get("status"))
    return {
        "id": row["id"],
        "name": row["name"],
        "hostname": row.get("hostname"),
        "ip": row.get("ip"),
        "port": row.get("port") or WORKER_PORT,
        "uuid": row.get("worker_uuid") or "",
        "state": _lower(row.get("state")),
        "state_message": row.get("state_message"),
        "heartbeat": epoch(row.get("heartbeat_time")),
        "gpus": sorted((gpu_record(device) for device in _sequence(status.get("gpu_devices"))), key=_gpu_key),
        "system_reserved": _parsed(row.get("system_reserved")),
    }


def gpu_record(device: Mapping[str, Any]) -> dict[str, Any]:
    """One device of a worker's status."""
    return {
        "vendor": vendor(device.get("vendor"), device.get("type")),
        "index": device.get("index"),
        "name": device.get("name") or "",
        "memory": _mapping(device.get("memory")).get("total"),
        "uuid": device.get("uuid") or "",
    }


def model_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``models``."""
    source = _lower(row.get("source"))
    source = _SOURCES.get(source, source)
    reference = [row.get(column) for column in _REFERENCES.get(source, ())]
    return {
        "id": row["id"],
        "name": row["name"],
        "source": source,
        "reference": ":".join(str(part) for part in reference if part),
        "backend": row.get("backend"),
        "backend_version": row.get("backend_version"),
        "replicas": row.get("replicas"),
        "ready_replicas": row.get("ready_replicas"),
    }


def model_instance_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ``model_instances``."""
    return {
        "id": row["id"],
        "name": row["name"],
        "model_id": row.get("model_id"),
        "model_name": row.get("model_name"),
        "worker_id": row.get("worker_id"),
        "worker_name": row.get("worker_name"),
        "subordinate_worker_ids": _subordinate_workers(row.get("distributed_servers")),
        "gpu_indexes": _sequence(_parsed(row.get("gpu_indexes"))),
        "state": _lower(row.get("state")),
        "state_message": row.get("state_message"),
        "updated": epoch(row.get("updated_at")),
    }


def without_markup(message: str | None) -> str:
    """The message of a state on one line, without the links that the server writes into it for its web pages."""
    return " ".join(_MARKUP.sub("", message or "").split())


def vendor(name: str | None, device_type: str | None) -> str:
    """The project's name of a GPU vendor; a vendor that it does not know keeps its own."""
    known = _VENDORS.get((name or "").strip().lower()) or _TYPES.get((device_type or "").strip().lower())
    return known or (name or device_type or "unknown").strip().lower()


def compare_gpus(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], gate: str = EXACT
) -> Comparison:
    """The same GPUs? Vendor, count and index must be equal; name and memory only warn: v2 reads them by other means.

    A gate other than `EXACT` leaves more to warnings. `same_names` of a GPU before are patterns of which two names of
    one and the same device match the same, with the same groups.
    """
    was, now = _by_vendor_and_index(before), _by_vendor_and_index(after)
    counts, fewer, vendors = _count_problems(before, after), _fewer(before, after), _vendor_problems(before, after)
    places = [f"GPU {index} ({maker}) is gone" for maker, index in _missing(was, now)]
    places += [f"GPU {index} ({maker}) is new" for maker, index in _missing(now, was)]
    problems = {EXACT: counts + places, AT_LEAST: fewer, VENDOR: vendors}[gate]
    warnings = [said for said in counts + places if gate != EXACT and said not in problems]
    for key in sorted(set(was) & set(now), key=str):
        warnings += _gpu_differences(was[key], now[key])
    return Comparison(problems, warnings)


def compare_identity(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """The same worker? Id, name and uuid must be equal; a release before 0.7 knew no uuid."""
    problems = [
        f"{key} was {before[key]}, is {after[key]}"
        for key in ("id", "name", "uuid")
        if before.get(key) not in (None, "") and before[key] != after[key]
    ]
    warnings = [
        f"{key} was {before[key]}, is {after[key]}"
        for key in ("ip", "port")
        if before.get(key) not in (None, "") and before[key] != after[key]
    ]
    return Comparison(problems, warnings)


def judge(
    expected: Iterable[Mapping[str, Any]], workers: Iterable[Mapping[str, Any]], since: float | None = None
) -> list[dict[str, Any]]:
    """Each expected worker against the server's records: READY, itself, with its GPUs, and alive since a time.

    ``expected`` are worker records (``since`` of a record wins over the argument); ``workers`` is what the server knows
    now. The server writes heartbeats in whole seconds.
    """
    now = list(workers)
    return [_judgement(worker, _same_worker(worker, now), worker.get("since") or since) for worker in expected]


def _same_worker(expected: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    for key in ("id", "name"):
        for worker in workers:
            if expected.get(key) is not None and worker[key] == expected[key]:
                return worker
    return None


def _judgement(expected: Mapping[str, Any], worker: Mapping[str, Any] | None, since: float | None) -> dict[str, Any]:
    if worker is None:
        return {"name": expected["name"], "problems": ["the server does not know it"], "warnings": []}
    identity = compare_identity(expected, worker)
    gpus = compare_gpus(expected.get("gpus") or [], worker["gpus"], expected.get("gpu_gate") or EXACT)
    problems = identity.problems + gpus.problems
    if worker["state"] != "ready":
        message = without_markup(worker.get("state_message"))
        problems.append("its state is {}{}".format(worker["state"], f" ({message})" if message else ""))
    if since is not None and (worker["heartbeat"] is None or worker["heartbeat"] < int(since)):
        problems.append("no heartbeat since its container started")
    return {"name": expected["name"], "problems": problems, "warnings": identity.warnings + gpus.warnings}


def epoch(value: Any) -> float | None:
    """Epoch seconds of a time, which GPUStack stores in UTC without a zone; None for what is not a time."""
    if value is None:
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def _count_problems(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[str]:
    was, now = _counts(before), _counts(after)
    return [
        f"{was.get(maker, 0)} {maker} GPUs before, {now.get(maker, 0)} after"
        for maker in sorted(set(was) | set(now))
        if was.get(maker, 0) != now.get(maker, 0)
    ]


def _fewer(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[str]:
    was, now = _counts(before), _counts(after)
    return [
        f"{count} {maker} GPUs before, {now.get(maker, 0)} after"
        for maker, count in sorted(was.items())
        if now.get(maker, 0) < count
    ]


def _vendor_problems(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[str]:
    was, now = _counts(before), _counts(after)
    return [f"GPUs of {maker} are gone" for maker in sorted(set(was) - set(now))] + [
        f"GPUs of {maker} are new" for maker in sorted(set(now) - set(was))
    ]


def _counts(gpus: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for gpu in gpus:
        counts[gpu["vendor"]] = counts.get(gpu["vendor"], 0) + 1
    return counts


def _by_vendor_and_index(gpus: Iterable[Mapping[str, Any]]) -> dict[tuple[str, Any], Mapping[str, Any]]:
    return {(gpu["vendor"], gpu["index"]): gpu for gpu in gpus}


def _missing(these: Mapping[Any, Any], those: Mapping[Any, Any]) -> list[Any]:
    return sorted(set(these) - set(those), key=str)


def _gpu_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    differs = {"memory": before.get("memory") != after.get("memory"), "name": not _same_name(before, after)}
    return [
        "GPU {} ({}): {} was {}, is {}".format(before["index"], before["vendor"], key, before[key], after[key])
        for key in ("name", "memory")
        if differs[key]
    ]


def _same_name(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two names are equal, or equivalent by a vendor's pattern."""
    names = [str(gpu.get("name") or "") for gpu in (before, after)]
    if names[0] == names[1]:
        return True
    for pattern in before.get("same_names") or []:
        matches = [re.fullmatch(pattern, name, re.IGNORECASE) for name in names]
        groups = [tuple(str(group).lower() for group in match.groups()) for match in matches if match]
        if len(groups) == len(names) and groups[0] == groups[1]:
            return True
    return False


def _gpu_key(gpu: Mapping[str, Any]) -> tuple[str, int]:
    return gpu["vendor"], -1 if gpu["index"] is None else gpu["index"]


def _parsed(value: Any) -> Any:
    """JSON as SQLite returns it (text) or psycopg (parsed). A broken text is as good as none: the findings name it."""
    if not isinstance(value, (str, bytes)):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _subordinate_workers(distributed_servers: Any) -> list[int]:
    """Ids of the further workers of an instance that spans several (0.6 on: schemas/models.py, DistributedServers)."""
    workers = _sequence(_mapping(distributed_servers).get("subordinate_workers"))
    return [each["worker_id"] for each in workers if isinstance(each, dict) and each.get("worker_id") is not None]


def _mapping(value: Any) -> Mapping[str, Any]:
    parsed = _parsed(value)
    return parsed if isinstance(parsed, dict) else {}


def _sequence(value: Any) -> list[Any]:
    parsed = _parsed(value)
    return parsed if isinstance(parsed, list) else []


def _lower(value: Any) -> str:
    return str(value or "").lower()
