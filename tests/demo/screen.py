# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last screen of the demo: what was, what is, and the proof. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

WIDTH = 100


def lines(report: dict[str, Any], fleet: dict[str, Any], accepted: dict[str, bool]) -> Iterator[str]:
    """The screen from the report of the upgrade, the lab's record of the fleet, and what the new server accepted."""
    plan, results = report["plan"], report["results"]
    yield from ("", "=" * WIDTH, f"GPUStack {plan['release']}: upgraded, and nothing lost".center(WIDTH), "=" * WIDTH)
    yield from ("", "Hosts")
    for name, decision in plan["hosts"].items():
        yield _host(name, decision, results[name]["switched"], fleet["hosts"][name]["address"])
    server = results[plan["server"]]
    yield from (
        "",
        f"Rows, the stopped legacy database against PostgreSQL, row by row{'':8}before   identical transformed dropped",
    )
    for table in server["switched"]["parity"]["tables"]:
        yield f"  {_table(table):62}{table['before']:10}{_compared(table)}"
    yield from ("", "Workers")
    now = {worker["id"]: worker for worker in server["fleet"]["workers"]}
    for before in plan["workers"]:
        yield _worker(before, now.get(before["id"]))
    yield from ("", "The new server accepts")
    for what, yes in accepted.items():
        yield f"  {what:60}{'yes' if yes else 'NO'}"
    downtime = server["switched"]["downtime"]
    yield from (
        "",
        f"The server was down for {downtime:.1f} s. The backup is on {plan['server']} in"
        f" {server['switched']['backup']},",
    )
    yield f"the old containers are kept, stopped (on the server: {server['switched']['legacy_container']})."


def _table(table: dict[str, Any]) -> str:
    return table["table"] if table["target"] == table["table"] else f"{table['table']} -> {table['target']}"


def _compared(table: dict[str, Any]) -> str:
    if table["counted_only"]:
        return "  counted only: a server makes and deletes them".rjust(32)
    return f"{table['identical']:12}{table['transformed']:12}{table['dropped']:8}"


def _host(name: str, decision: dict[str, Any], switched: dict[str, Any], address: str) -> str:
    new = switched["container"]["image"].rpartition(":v")[2]
    change = f"was {decision['legacy_release']}, is {new}; down {switched['downtime']:5.1f} s"
    return f"  {name:10}{address:15}{decision['role']:8}{change}"


def _worker(before: dict[str, Any], after: dict[str, Any] | None) -> str:
    same = after is not None and (after["name"], after["uuid"]) == (before["name"], before["uuid"])
    state = after["state"] if after else "missing"
    identity = "same id, name and uuid" if same else "ANOTHER IDENTITY"
    return (
        f"  {before['name']:10}id {before['id']:<4}{_gpus(before):24} -> {state}, {_gpus(after or before)}, {identity}"
    )


def _gpus(worker: dict[str, Any]) -> str:
    gpus = worker["gpus"]
    return f"{len(gpus)} x {gpus[0]['name']}" if gpus else "no GPU"
