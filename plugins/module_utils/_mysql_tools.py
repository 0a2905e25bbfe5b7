# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""MySQL's own programs: `mysqldump` and `mysql`."""

from __future__ import annotations

import re

from ansible_collections.fleetops.gpustack.plugins.module_utils._database_tools import (
    DATA,
    DUMP,
    SECONDS,
    SECRETS,
    Tools,
    ToolsError,
    limit,
    tail,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl

_OPTION_FILE = "my.cnf"
_OPTIONS = f"--defaults-file={SECRETS}/{_OPTION_FILE}"
_CHARSET = "--default-character-set=utf8mb4"
#: One moment of InnoDB's tables, of a server that others use: no locks, nothing that wants a right beyond the database.
_DUMP_OPTIONS = (
    "--single-transaction",
    "--skip-lock-tables",
    "--skip-add-locks",
    "--skip-triggers",
    "--no-tablespaces",
    "--set-gtid-purged=OFF",
    # From 9.7 on mysqldump reads a table of the server that its users may not read; older ones do not know the option.
    "--loose-skip-masking-policies",
    "--hex-blob",
    _CHARSET,
)
_VERSION = re.compile(r"Ver (\d+)\.(\d+)\.(\d+)")


class MysqlTools(Tools):
    """The programs for an external MySQL; a dump is SQL text."""

    def version(self) -> tuple[int, ...]:
        """Version of the image's mysqldump, without the patch level."""
        ended = self._run(["mysqldump", "--version"], None, {}, SECONDS)
        match = _VERSION.search(ended.text)
        if ended.status != 0 or match is None or "mariadb" in ended.text.lower():
            raise ToolsError(
                f"image {self._images.programs} has no mysqldump of MySQL ({tail(ended.text)}); name one that has, of "
                "the version of the server or newer, in gpustack_database_tools_image"
            )
        return int(match.group(1)), int(match.group(2))

    def dump(self, url: DatabaseUrl, directory: str, size: int) -> str:
        argv = ["mysqldump", _OPTIONS, *_DUMP_OPTIONS, f"--result-file={DATA}/{DUMP}", url.name]
        return self._dumped(argv, url, directory, size)

    def restore(self, url: DatabaseUrl, directory: str, size: int) -> None:
        program = ["mysql", _OPTIONS, _CHARSET, url.name]
        argv = ["sh", "-c", f'exec "$@" <{DATA}/{DUMP}', "sh", *program]
        ended = self._run(argv, url, {directory: DATA}, limit(size))
        if ended.status != 0:
            raise ToolsError(f"mysql into {url.address} ended with {ended.status}: {tail(self._clean(ended, url))}")

    def _password_file(self, url: DatabaseUrl) -> tuple[str, str]:
        return _OPTION_FILE, option_file(url)


def option_file(url: DatabaseUrl) -> str:
    """MySQL's option file. A number sign begins a comment there and backslashes escape, so values are quoted."""
    lines = {"host": url.host, "port": str(url.port), "user": url.user, "password": url.password}
    text = "".join(f"{name}={_quoted(value)}\n" for name, value in lines.items())
    return f"[client]\nprotocol=TCP\n{text}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
