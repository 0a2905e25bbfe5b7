# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The extended attributes of a file that say who may use it: POSIX ACL and SELinux label."""

from __future__ import annotations

import base64
import errno
import os
from typing import Any, Callable, Mapping

ACL = "system.posix_acl_access"
#: What a directory bequeaths to the files in it.
DEFAULT_ACL = "system.posix_acl_default"
LABEL = "security.selinux"
#: A file system, or a kernel, that knows no such attribute has none.
_UNKNOWN = (errno.ENOTSUP, errno.ENODATA, errno.ENOSYS)


def read(file: int | str) -> dict[str, str]:
    """The attributes of an open file, or of a path that is no link to follow, in base64 by name."""
    found: dict[str, str] = {}
    if not hasattr(os, "getxattr"):  # macOS has neither, nor the calls
        return found
    for name in (ACL, DEFAULT_ACL, LABEL):
        value = _value(file, name)
        if value is not None:
            found[name] = base64.b64encode(value).decode("ascii")
    return found


def restore(file: int | str, wanted: Mapping[str, str]) -> None:
    """Give an open file, or a path, these attributes. To be called after mode and owner were set: both change an ACL.

    An ACL that is not wanted is taken away, also one that the directory bequeathed; a label cannot be.
    """
    now = read(file)
    for name in (ACL, DEFAULT_ACL):
        if name in now and name not in wanted:
            _on(file, os.removexattr, name)
    for name, value in wanted.items():
        if now.get(name) != value:
            _on(file, os.setxattr, name, base64.b64decode(value))


def _value(file: int | str, name: str) -> bytes | None:
    try:
        value: bytes = _on(file, os.getxattr, name)
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise
    return value


def _on(file: int | str, call: Callable[..., Any], *arguments: Any) -> Any:
    """The os module takes no word on links for an open file."""
    return call(file, *arguments) if isinstance(file, int) else call(file, *arguments, follow_symlinks=False)
