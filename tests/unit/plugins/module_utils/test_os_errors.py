# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operating system refused is told with the file, the cause and the way out."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _os_errors


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), "/data/x: Read-only file system; mount that"),
        (OSError(errno.EPERM, "Operation not permitted", "/data/x"), "/data/x: Operation not permitted; check whether"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room there"),
        (
            OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b"),
            "/a -> /b: Invalid cross-device link; see",
        ),
        (OSError("the connection broke"), "the connection broke"),
        (ValueError("no"), "no"),
        (KeyError(), "KeyError"),
    ],
)
def test_cause_and_way_out(error: Exception, text: str) -> None:
    assert _os_errors.explain(error).startswith(text)


def test_a_real_one_shows_no_number() -> None:
    with pytest.raises(FileNotFoundError) as missing:
        os.stat("/nowhere/at/all")
    assert _os_errors.explain(missing.value) == (
        "/nowhere/at/all: No such file or directory; put it back, or see what removed it"
    )
