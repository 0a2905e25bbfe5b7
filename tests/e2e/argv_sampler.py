# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes the arguments of every process that it sees, once each; runs on a host of the lab as root, until it is stopped.

Left out are processes inside containers of the legacy image: their arguments are the operator's own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

# Short enough to see a docker or ssh command; a process that lives for less is not seen.
INTERVAL = 0.02
# A process gets its lasting arguments by an exec soon after it appeared, so it is read on every look of its first
# second. Later ones are rare; reading every process of a host on every look would cost a tenth of a core.
YOUNG_LOOKS = 50


def legacy_containers() -> set[str]:
    """Ids of all containers that run a legacy image."""
    listed = subprocess.run(
        ["docker", "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Image}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    # Tags have no "v" before 0.4.
    return {line.split()[0] for line in listed.stdout.splitlines() if re.search(r":v?0\.", line)}


def due(looks: dict[str, int]) -> list[str]:
    """The processes to read on this look; `looks` counts how often each was there, and forgets what is gone."""
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    counts = {pid: looks.get(pid, 0) + 1 for pid in pids}
    looks.clear()
    looks.update(counts)
    return [pid for pid in pids if counts[pid] <= YOUNG_LOOKS or counts[pid] % YOUNG_LOOKS == 0]


def main() -> None:
    legacy = legacy_containers()
    seen: set[bytes] = set()
    looks: dict[str, int] = {}
    with open(sys.argv[1], "ab", buffering=0) as out:
        while True:
            for pid in due(looks):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        argv = file.read()
                    if not argv or argv in seen:
                        continue
                    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                        cgroup = file.read()
                except OSError:
                    continue
                seen.add(argv)
                if not any(container in cgroup for container in legacy):
                    out.write(argv.replace(b"\0", b" ") + b"\n")
            time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
