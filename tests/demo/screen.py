# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last screen of the demo: what was, what is, and the proof. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

WIDTH = 100


def lines(report: dict[str, Any], fleet: dict[str, Any], accepted: dict[str, bool]) -> Iterator[str]:
    """The screen from the report of the upgrade, the lab's record of the fleet, and what the new server accepted."""
    plan, results = report["plan"], report["results"]
    server = results[plan["server"]]
    switched = server["switched"]
    yield from (
        "",
        "=" * WIDTH,
        _title(plan["release"], switched["parity"], accepted).center(WIDTH).rstrip(),
        "=" * WIDTH,
    )
    yield from _section("Hosts", _hosts(plan, results, fleet))
    yield from _section("Rows of the stopped SQLite database, each looked up in PostgreSQL", _rows(switched["parity"]))
    yield from _section("Workers, as the server lists them", _workers(plan["workers"], server["fleet"]["workers"]))
    yield from _section("The new server accepts", ((what, "yes" if yes else "NO") for what, yes in accepted.items()))
    yield from ("", "Kept on every host", f"  backup         {switched['backup']}")
    yield f"  old container  {switched['legacy_container']}, stopped"


def _title(release: str, parity: dict[str, Any], accepted: dict[str, bool]) -> str:
    good = parity["equal"] and all(accepted.values())
    return f"GPUStack {release}: " + (
        "upgraded, and nothing lost" if good else "upgraded, but NOT as it was: see below"
    )


def _section(title: str, rows: Iterator[Sequence[Any]]) -> Iterator[str]:
    """A title and rows below it in columns: numbers to the right, everything else to the left."""
    table = list(rows)
    widths = [max(len(str(cell)) for cell in column) for column in zip(*table, strict=True)]
    yield from ("", title)
    for row in table:
        yield ("  " + "  ".join(_cell(cell, width) for cell, width in zip(row, widths, strict=True))).rstrip()


def _cell(cell: Any, width: int) -> str:
    return f"{cell:>{width}}" if isinstance(cell, int) else f"{cell:<{width}}"


def _hosts(plan: dict[str, Any], results: dict[str, Any], fleet: dict[str, Any]) -> Iterator[Sequence[Any]]:
    yield "host", "address", "role", "was", "is", "down for"
    for name, decision in plan["hosts"].items():
        switched = results[name]["switched"]
        release = switched["container"]["image"].rpartition(":v")[2]
        address = fleet["hosts"][name]["address"]
        yield name, address, decision["role"], decision["legacy_release"], release, f"{switched['downtime']:5.1f} s"


def _rows(parity: dict[str, Any]) -> Iterator[Sequence[Any]]:
    yield "table", "before", "after", "how they were found"
    for table in parity["tables"]:
        name, target = table["table"], table["target"]
        yield name if name == target else f"{name} -> {target}", table["before"], table["after"], _how(table)


def _how(table: dict[str, Any]) -> str:
    """Rows per kind; a kind without rows is not worth a word."""
    if not table["equal"]:
        return "DIFFERENT"
    if table["counted_only"]:
        return "counted"
    kinds = ("identical", "transformed", "dropped", "added")
    return ", ".join(f"{table[kind]} {kind}" for kind in kinds if table[kind]) or "none"


def _workers(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[Sequence[Any]]:
    yield "worker", "id", "had", "has", "state", "identity"
    now = {worker["id"]: worker for worker in after}
    for worker in before:
        current = now.get(worker["id"])
        if current is None:
            yield worker["name"], worker["id"], _gpus(worker), "-", "MISSING", "-"
            continue
        same = (current["name"], current["uuid"]) == (worker["name"], worker["uuid"])
        identity = "same id, name, uuid" if same else "ANOTHER"
        yield worker["name"], worker["id"], _gpus(worker), _gpus(current), current["state"], identity


def _gpus(worker: dict[str, Any]) -> str:
    gpus = worker["gpus"]
    return f"{len(gpus)} x {gpus[0]['name']}" if gpus else "no GPU"
