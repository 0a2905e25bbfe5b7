# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A write-ahead log by its frames: whether its last transaction was finished. Nothing is opened by SQLite.

The file format is SQLite's own (https://www.sqlite.org/fileformat2.html, "The Write-Ahead Log"): a header of 32 bytes,
then frames of 24 bytes and a page. A frame belongs to the log when it has the header's salts; the last frame of a
transaction says how many pages the database has.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = (0x377F0682, 0x377F0683)


def is_finished(stream: BinaryIO) -> bool:
    """Whether the log ends with a whole transaction. It does not while a server writes, or after one was killed."""
    header = stream.read(_HEADER)
    if len(header) < _HEADER:
        return True  # an empty log, which a fresh connection leaves
    magic, _version, page_size = struct.unpack(">III", header[:12])
    if magic not in _MAGIC:
        return True  # SQLite takes it for empty, too
    salts, finished = header[16:24], True
    while True:
        frame = stream.read(_FRAME_HEADER)
        if len(frame) < _FRAME_HEADER or frame[8:16] != salts:
            # What is left of an older log after the last frame is none of it.
            return finished and (not frame or len(frame) == _FRAME_HEADER)
        if len(stream.read(page_size)) < page_size:
            return False
        finished = struct.unpack(">I", frame[4:8])[0] > 0
