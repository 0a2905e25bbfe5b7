# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host as root: an empty directory of a network file system, for as long as this process lives.

The kernel of the lab has no NFS client. FUSE it has, and sshfs is but the name under which its file system is mounted,
so this answers the kernel's few questions about one empty directory (linux/fuse.h) under that name.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys

SOURCE, KIND = b"store.example:/gpustack", b"fuse.sshfs"
FORGET, GETATTR, STATFS, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 2, 3, 17, 26, 27, 28, 29, 36, 42
LOOKUP = 1
REQUEST, REPLY = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
ROOT = struct.pack("=QII", 1, 0, 0) + struct.pack(
    "=6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, *[0] * 5
)
BLOCKS = struct.pack("=5Q4I6I", *[1 << 30] * 5, 4096, 255, 4096, 0, *[0] * 6)
VERSION = struct.pack("=4I2H2I2H8I", 7, 31, 65536, 0, 16, 12, 65536, 1, 0, 0, *[0] * 8)
ANSWERS = {INIT: VERSION, GETATTR: ROOT, STATFS: BLOCKS, OPENDIR: bytes(16), READDIR: b"", RELEASEDIR: b""}


def mount(device: int, target: str) -> None:
    """Mount the file system that is served through the device."""
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(SOURCE, target.encode(), KIND, 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount", target)


def serve(device: int) -> None:
    """Answer until the file system is unmounted, which ends the device with ENODEV."""
    while True:
        try:
            request = os.read(device, 1 << 18)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            raise
        _length, opcode, unique, *_rest = REQUEST.unpack_from(request)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        answer = ANSWERS.get(opcode)
        problem = 0 if answer is not None else -(errno.ENOENT if opcode == LOOKUP else errno.ENOSYS)
        body = answer or b""
        os.write(device, REPLY.pack(REPLY.size + len(body), problem, unique) + body)


if __name__ == "__main__":
    fuse = os.open("/dev/fuse", os.O_RDWR)
    mount(fuse, sys.argv[1])
    serve(fuse)
