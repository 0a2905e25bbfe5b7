# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the options of every release from its own source, gpustack/cmd/start.py in the wheel of the package index.

Nothing of GPUStack is imported: its dependencies would have to be installed for each release. That what is recorded is
what the programs have is seen by tests/e2e/test_start_options.py, on the releases whose images the lab has.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

SOURCE = "gpustack/cmd/start.py"
RECORDED = Path(__file__).parents[1] / "unit" / "plugins" / "module_utils" / "data" / "start_options.json"
SINCE = RECORDED.with_name("legacy_since.json")
#: Options of 0.1.0 and 0.1.1 alone.
GONE = {"--enable-metrics"}
LEGACY = "0.7.1"
COMMENT = (
    "Options of `gpustack start` per release, read from gpustack/cmd/start.py by `python -m tests.options record`:"
    " name, kind, letter (legacy) and environment variable. A v2 release has those of the one before it and those"
    " listed here."
)

Row = list[Any]


def source(release: str) -> str:
    """The source of the command, from the release's wheel."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--ignore-requires-python", "--dest", folder, f"gpustack=={release}"]
        subprocess.run(command, check=True)
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(SOURCE).decode()


def options(text: str) -> dict[str, Row]:
    """Every option by its long name: name, kind, letter, variable."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    added = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]
    rows = [_row(call) for call in added]
    return {row[0]: row for row in rows}


def _row(call: ast.Call) -> Row:
    names = [str(each.value) for each in call.args if isinstance(each, ast.Constant)]
    letter = next((name for name in names if not name.startswith("--")), None)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    name = next(name for name in names if name.startswith("--"))
    return [name, _kind(given), letter, _variable(call)]


def _kind(given: dict[str | None, str]) -> str:
    action, kind = given.get("action", ""), given.get("type", "str")
    if action in ("OptionalBoolAction", "'store_true'"):
        return "flag"
    if action == "'append'":
        return "list"
    return {"str": "text", "int": "integer", "json.loads": "json"}.get(kind, kind)


def _variable(call: ast.Call) -> str | None:
    default = next((keyword.value for keyword in call.keywords if keyword.arg == "default"), None)
    calls = [node for node in ast.walk(default) if isinstance(node, ast.Call)] if default else []
    for found in calls:
        first = found.args[0] if found.args else None
        if isinstance(first, ast.Constant):
            prefix = "" if ast.unparse(found.func) in ("os.getenv", "os.environ.get") else "GPUSTACK_"
            return prefix + str(first.value)
    return None


def recorded(releases: list[str]) -> dict[str, Any]:
    """The tables of the legacy release and of these, oldest first."""
    legacy = options(source(LEGACY))
    known: dict[str, Row] = {}
    tables: dict[str, list[Row]] = {}
    for release in releases:
        rows = {name: [name, kind, variable] for name, kind, _letter, variable in options(source(release)).values()}
        gone = sorted(set(known) - set(rows))
        if gone:
            raise ValueError(f"{release} has no {', '.join(gone)} any more, which these tables cannot say")
        tables[release] = sorted(row for name, row in rows.items() if known.get(name) != row)
        known.update(rows)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return {"comment": COMMENT, "recorded": today, f"legacy {LEGACY}": sorted(legacy.values()), "v2": tables}


def since(releases: Iterable[str], read: Callable[[str], str] = source) -> dict[str, str]:
    """Every option of the legacy releases, oldest first, with the first that has it; no other may be gone."""
    found: dict[str, str] = {}
    last: set[str] = set()
    for release in releases:
        names = set(options(read(release)))
        if last - names - GONE:
            raise ValueError(
                f"{release} has no {', '.join(sorted(last - names))} any more, which this table cannot say"
            )
        found.update(dict.fromkeys(sorted(names - set(found)), release))
        last = names
    return {name: release for name, release in found.items() if name not in GONE}


def write_since(table: Mapping[str, str]) -> None:
    """Write that table."""
    SINCE.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write(tables: dict[str, Any]) -> None:
    """Write the tables, one option a line."""
    lines = ["{"]
    lines += [f"  {json.dumps(key)}: {json.dumps(tables[key])}," for key in ("comment", "recorded")]
    lines += _listed(f"legacy {LEGACY}", tables[f"legacy {LEGACY}"], "  ", ",")
    lines.append('  "v2": {')
    releases = list(tables["v2"])
    for release in releases:
        lines += _listed(release, tables["v2"][release], "    ", "" if release == releases[-1] else ",")
    RECORDED.write_text("\n".join([*lines, "  }", "}"]) + "\n", encoding="utf-8")


def _listed(name: str, rows: list[Row], indent: str, end: str) -> list[str]:
    if not rows:
        return [f"{indent}{json.dumps(name)}: []{end}"]
    body = ",\n".join(f"{indent}  {json.dumps(row)}" for row in rows)
    return [f"{indent}{json.dumps(name)}: [\n{body}\n{indent}]{end}"]
