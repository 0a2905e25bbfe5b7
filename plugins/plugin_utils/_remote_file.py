# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host block by block, by its shell alone: C(dd), C(base64) and C(sha256sum).

Nothing is laid down on the host for another user to read, and neither side holds a whole file in memory.
"""

from __future__ import annotations

import base64
import binascii
import shlex
from collections.abc import Callable, Iterator
from typing import Any

#: A block travels as text through the ssh client, which gathers it in memory.
BLOCK = 4 * 1024 * 1024

#: Runs a command on the host: `ActionBase._low_level_execute_command`.
Execute = Callable[..., dict[str, Any]]


class RemoteFileError(Exception):
    """A file of the host cannot be read or written; the message says why and what to do."""


def blocks(execute: Execute, path: str, first: int = 0) -> Iterator[bytes]:
    """The blocks of a file of the host from a number on, in order."""
    number = first
    while True:
        block = _block(execute, path, number)
        if block:
            yield block
        if len(block) < BLOCK:
            return
        number += 1


def _block(execute: Execute, path: str, number: int) -> bytes:
    # What dd counts must not come along: on a terminal, which ssh allocates, both streams are one. Older macOS has no
    # status=none for that. It is the shell that opens the file, and says why it cannot.
    answer = execute(f"{{ dd bs={BLOCK} skip={number} count=1 2>/dev/null | base64; }} < {shlex.quote(path)}")
    if answer["rc"] != 0:
        said = (answer.get("stderr") or answer["stdout"] or "").strip().splitlines()
        reason = said[-1] if said else "rc {}".format(answer["rc"])
        raise RemoteFileError(f"{path} cannot be read on the host ({reason}); run with become: true.")
    try:
        return base64.b64decode("".join(answer["stdout"].split()), validate=True)
    except binascii.Error:
        raise RemoteFileError(
            f"{path}: what the host answered is not what was asked for; see that its shell prints nothing of its "
            "own when a command is run over ssh."
        ) from None


def append(execute: Execute, path: str, offset: int, block: bytes) -> None:
    """Put a block behind the first bytes of a file; the same call again does no harm."""
    quoted = shlex.quote(path)
    _done(execute(f"truncate -s {offset} {quoted} && cat >> {quoted}", in_data=block), path, "written")


def make_directory(execute: Execute, path: str, private: bool) -> None:
    """A directory with its parents; a private one is its owner's alone."""
    _done(execute(f"umask {'077' if private else '022'} && mkdir -p {shlex.quote(path)}"), path, "made")


def begin(execute: Execute, path: str, offset: int, private: bool) -> None:
    """A file to append to, that has its mode before it has a byte."""
    quoted = shlex.quote(path)
    command = f"umask {'077' if private else '022'} && touch {quoted} && truncate -s {offset} {quoted}"
    _done(execute(command), path, "written")


def sha256(execute: Execute, path: str) -> str:
    """The SHA-256 of a file of the host."""
    answer = execute(f"sha256sum < {shlex.quote(path)}")
    _done(answer, path, "read")
    return str(answer["stdout"].split()[0])


def rename(execute: Execute, path: str, name: str) -> None:
    """Give a file its name, once it is whole and on the disk."""
    quoted = shlex.quote(path)
    _done(execute(f"sync {quoted} && mv -f {quoted} {shlex.quote(name)}"), path, "renamed")


def remove(execute: Execute, path: str) -> None:
    """Remove a file that did not arrive as it should."""
    _done(execute(f"rm -f {shlex.quote(path)}"), path, "removed")


def _done(answer: dict[str, Any], path: str, what: str) -> None:
    if answer["rc"] != 0:
        said = (answer.get("stderr") or answer.get("stdout") or "").strip().splitlines()
        reason = said[-1] if said else "rc {}".format(answer["rc"])
        raise RemoteFileError(
            f"{path} cannot be {what} on the host ({reason}); check space, and rights (become: true)."
        )
