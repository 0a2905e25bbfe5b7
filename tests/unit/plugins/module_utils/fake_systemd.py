# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A systemd in a file, for units that run GPUStack without a container: what `systemctl` says of one, and does to it.

The answers have the form of systemd 252. That the real one answers so is what the end-to-end test is for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

UNIT = "gpustack.service"


class FakeSystemd:
    """One unit; `run` is the `run_command` of a module."""

    def __init__(self, root: Path, arguments: str, *lines: str, argv: str | None = None, **shown: str) -> None:
        self.bin = root / "venv" / "bin" / "gpustack"
        self.file, self.state, self.defaults = root / UNIT, root / "systemd.json", root / "default"
        self.shown = shown
        packages = root / "venv" / "lib" / "python3.11" / "site-packages" / "gpustack-0.7.1.dist-info"
        packages.mkdir(parents=True)
        self.bin.parent.mkdir()
        self.bin.write_text(f"#!{self.bin.parent}/python\nimport gpustack\n")
        command = f"{self.bin} start {arguments}"
        self.argv = argv if argv is not None else command
        text = ["[Service]", "EnvironmentFile=-/etc/default/%N", f"ExecStart={command}", *lines]
        self.file.write_text("\n".join([*text, "[Install]", "WantedBy=multi-user.target", ""]))
        self.set(enabled=True, active=True)

    def set(self, **state: bool) -> None:
        starts = self.now.get("starts", 0) if self.state.exists() else 0
        self.state.write_text(json.dumps({**self.now, **state, "starts": starts + bool(state.get("active"))}))

    @property
    def now(self) -> dict[str, Any]:
        return dict(json.loads(self.state.read_text())) if self.state.exists() else {}

    @property
    def unit_state(self) -> tuple[bool, bool]:
        return self.now["enabled"], self.now["active"]

    def run(self, args: list[str], **_options: Any) -> tuple[int, str, str]:
        verb, *rest = args[args.index("systemctl") + 3 :]
        if verb == "show":
            wanted = rest[1].partition("=")[2].split(",")
            found = self.properties()
            return 0, "".join(f"{name}={found[name]}\n" for name in wanted if name in found), ""
        changes = {"disable": {"enabled": False}, "enable": {"enabled": True}}
        changes.update({"stop": {"active": False}, "start": {"active": True}})
        self.set(**changes.get(verb, {}))
        return 0, "", ""

    def properties(self) -> dict[str, str]:
        state = self.now
        if not self.file.exists():
            return {"LoadState": "not-found"}
        found = {
            "LoadState": "loaded",
            "ActiveState": "active" if state["active"] else "inactive",
            "UnitFileState": "enabled" if state["enabled"] else "disabled",
            "FragmentPath": str(self.file),
            "WantedBy": "multi-user.target" if state["enabled"] else "",
            # Of a unit that does not run systemd keeps neither.
            "InvocationID": f"{state['starts']:032x}" if state["active"] else "",
            "MainPID": "4711" if state["active"] else "0",
            "ExecStart": f"{{ path={self.bin} ; argv[]={self.argv} ; ignore_errors=no ; start_time=[n/a] ; pid=0 }}",
            "EnvironmentFiles": f"{self.defaults} (ignore_errors=yes)",
            "DynamicUser": "no",
        }
        return {**found, **self.shown}
