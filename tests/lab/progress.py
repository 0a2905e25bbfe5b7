# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab tells the person in front of it: one line per step, with the seconds that the run has taken so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_START = time.monotonic()


def elapsed() -> float:
    """Seconds since this process began to talk."""
    return time.monotonic() - _START


def say(text: str) -> None:
    """Print one progress line to stderr, so that stdout stays for results."""
    print(f"[lab {elapsed():6.1f}s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a long step, and say how long it took once it is done."""
    say(f"{text} ...")
    begin = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - begin:.1f} s")
