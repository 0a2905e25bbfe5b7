# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes the arguments of every process that it sees, once each; runs on a host of the lab as root, until it is stopped.

Left out are processes inside containers of the legacy image: their arguments are the operator's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

# Short enough to see a docker or ssh command; a process that lives for less is not seen.
INTERVAL = 0.02


def legacy_containers() -> set[str]:
    """Ids of all containers that run a legacy image."""
    listed = subprocess.run(
        ["docker", "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Image}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[0] for line in listed.stdout.splitlines() if ":v0." in line}


def main() -> None:
    legacy = legacy_containers()
    seen: set[bytes] = set()
    with open(sys.argv[1], "ab", buffering=0) as out:
        while True:
            for pid in filter(str.isdigit, os.listdir("/proc")):
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
