# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan and outcome of the way back as lines for a person. Pure."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _plan_text, _unit_record

ACTIONS = {
    "back": "goes back to {legacy} (attempt {attempt})",
    "start": "is back already; its {legacy} will be started",
    "none": "is back already",
}


def lines(plan: Mapping[str, Any]) -> list[str]:
    """The plan, for the screen."""
    out = ["Back to the legacy release", ""]
    for host, decision in sorted(plan["hosts"].items()):
        out.append(_host_line(host, decision))
    out.extend(_change_lines(plan))
    if plan["refusals"]:
        out.extend(["", "Refused:"])
    out.extend("  " + _plan_text.problem_line(problem) for problem in plan["refusals"])
    return out


def _host_line(host: str, decision: Mapping[str, Any]) -> str:
    if decision["never_upgraded"]:
        return f"{host}: nothing to take back; it was never upgraded by this collection"
    text = ACTIONS[decision["action"]].format(legacy=_unit_record.legacy(str(decision["legacy_name"])), **decision)
    if decision["action"] != "none" and decision["legacy_container"] == "removed":
        text += ", which was removed and is made again from its saved definition"
    return f"{host}: {decision['role']}, {text}"


def _change_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    if plan["changes_unknown"]:
        yield ""
        yield "Given up: what people did since the upgrade, which cannot be listed"
    elif plan["changes"]:
        yield ""
        yield "Given up, done by people since the upgrade:"
        for change in plan["changes"]:
            yield "  " + change_line(change)


def change_line(change: Mapping[str, Any]) -> str:
    """One kind of change: what, and of whom."""
    if not change["names"]:
        return "{count} further changes of kind {kind}".format(**change)
    return "{} {}: {}".format(change["kind"], change["change"], ", ".join(change["names"]))


def outcome(plan: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was done at the end; ``results`` holds, per host, what was registered: ``restored`` and ``fleet``."""
    out = ["", "Back on the legacy release: what was done, and the proof", ""]
    for host, decision in sorted(plan["hosts"].items()):
        restored = results.get(host, {}).get("restored") or {}
        if restored.get("outcome") == "restored":
            out.extend(_outcome_host(host, restored))
        elif decision["action"] == "none":
            out.append(_host_line(host, decision))
        else:
            out.append(f"{host}: NOT back; remove the cause that is named above, then run the same command again")
    workers = (results.get(plan["server"] or "", {}).get("fleet") or {}).get("workers") or []
    out.extend(_plan_text.worker_lines(plan["workers"], workers))
    return out


def _outcome_host(host: str, restored: Mapping[str, Any]) -> Iterator[str]:
    downtime = restored["downtime"]
    yield "{}: {} serves again{}{}".format(
        host,
        _unit_record.legacy(restored["legacy_container"]),
        ", made again from its saved definition" if restored["recreated"] else "",
        "" if downtime is None else f"; down for {downtime:.1f} s",
    )
    yield "    files put right: {}".format(_listed(restored["restored_files"], "none, all are what they were"))
    if restored["restored_modes"]:
        yield "    modes put right: {}".format(
            ", ".join(f"{path} {mode}" for path, mode in sorted(restored["restored_modes"].items()))
        )
    aside = restored["set_aside"]
    yield "    v2's containers kept as {}; its files in {}".format(
        _listed(aside["containers"], "none"), _listed(aside["directories"], "none")
    )
    if restored["stopped_models"]:
        yield "    model containers of v2 stopped and kept: {}".format(", ".join(restored["stopped_models"]))


def _listed(items: Sequence[str], nothing: str) -> str:
    return ", ".join(items) or nothing
