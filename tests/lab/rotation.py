# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the many trials a run in CI takes: another part for every commit, the same for the same one."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


class Order:
    """An order that follows from a number alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def shuffled(self, items: Iterable[Item]) -> list[Item]:
        """The items in this order."""
        found = list(items)
        random.Random(self.seed).shuffle(found)
        return found


def seed_of_checkout() -> int:
    """A number of the commit that is checked out; of the day, where there is no repository."""
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=False)
    return int(done.stdout, 16) if done.returncode == 0 else int(time.time() // 86400)
