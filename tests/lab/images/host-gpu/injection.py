# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the NVIDIA container toolkit brings into a container, as this host's stand-in for it understands the matter.

Which GPUs: those that NVIDIA_VISIBLE_DEVICES names by index or uuid, "all" of them, or none. What comes in: the
management tool, the management library, the device nodes, and the table that the first two read.
"""

from __future__ import annotations

import csv
from pathlib import Path

TABLE = Path("/etc/gpustack-lab/gpus.csv")
HOME = Path("/opt/nvidia-standin")
FILES = {
    HOME / "nvidia-smi": "/usr/bin/nvidia-smi",
    HOME / "libnvidia-ml.so.1": "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
}
CONTROL_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")


def visible(environment: list[str]) -> list[list[str]]:
    """The rows of the GPU table that a container with this environment may see."""
    values = dict(entry.partition("=")[::2] for entry in environment)
    wanted = values.get("NVIDIA_VISIBLE_DEVICES", "")
    if wanted in ("", "none", "void"):
        return []
    with TABLE.open(newline="") as table:
        rows = [row for row in csv.reader(table) if row]
    if wanted == "all":
        return rows
    return [row for row in rows if row[0] in wanted.split(",") or row[1] in wanted.split(",")]


def nodes(rows: list[list[str]]) -> list[str]:
    """The device nodes that belong to these rows."""
    return [*CONTROL_NODES, *(f"/dev/nvidia{row[0]}" for row in rows)] if rows else []


def write_table(rows: list[list[str]], path: Path) -> None:
    """Write the rows that a container may see, for its own copy of the table."""
    with path.open("w", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows(rows)
