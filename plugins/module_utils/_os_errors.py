# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An error of the operating system as cause and way out: what could not be used, why, and what to do about it."""

from __future__ import annotations

import errno

WAYS_OUT = {
    errno.EROFS: "mount that file system read-write",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or raise the quota",
    errno.EACCES: "check its owner and mode, and whether SELinux or AppArmor keeps it",
    errno.EPERM: "check whether it is immutable (lsattr), and whether SELinux or AppArmor keeps it",
    errno.EIO: "see the kernel's log (dmesg): the disk may be failing",
    errno.ENOENT: "put it back, or see what removed it",
    errno.EBUSY: "see what uses it (fuser, findmnt) and end that",
}
OTHERWISE = "see what lies there, and whether its file system is well"


def explain(error: Exception) -> str:
    """The message of an error; of one that names a file without a way out, with both."""
    number, reason = getattr(error, "errno", None), getattr(error, "strerror", None)
    if not isinstance(error, OSError) or number is None or not reason:
        return str(error).strip() or type(error).__name__
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    where = f"{' -> '.join(names)}: " if names else ""
    return f"{where}{reason}; {WAYS_OUT.get(number, OTHERWISE)}"
