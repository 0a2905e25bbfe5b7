# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab command at a time for what the fleets of a machine share: images, seeds, networks, the registry."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.progress import say

PATH = Path("/var/lib/gpustack-lab/lock")


@contextmanager
def held() -> Iterator[None]:
    """Hold the machine's lab lock; the kernel lets go of it when this process ends, however it ends."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    with PATH.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another lab command is preparing images or networks; waiting for it ({PATH})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
