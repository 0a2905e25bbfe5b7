# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's own programs: `pg_dump` and `pg_restore`."""

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

_PASSFILE = "pgpass"
#: pg_restore 17 sets a parameter that servers before 17 do not have, and goes on; everything else is an error.
_HARMLESS = re.compile(r'unrecognized configuration parameter "transaction_timeout"')


class PostgresqlTools(Tools):
    """The programs for an external PostgreSQL; a dump is in the custom format."""

    def version(self) -> tuple[int, ...]:
        """Major version of the image's pg_dump."""
        ended = self._run(["pg_dump", "--version"], None, {}, SECONDS)
        match = re.search(r"\(PostgreSQL\) (\d+)", ended.text)
        if ended.status != 0 or match is None:
            raise ToolsError(
                f"image {self._images.programs} has no pg_dump ({tail(ended.text)}); name one that has, of the "
                "version of the server or newer, in gpustack_database_tools_image"
            )
        return (int(match.group(1)),)

    def dump(self, url: DatabaseUrl, directory: str, size: int) -> str:
        argv = ["pg_dump", "--format=custom", "--no-password", f"--file={DATA}/{DUMP}", f"--dbname={url.name}"]
        return self._dumped(argv, url, directory, size)

    def restore(self, url: DatabaseUrl, directory: str, size: int) -> None:
        argv = ["pg_restore", "--no-password", "--no-owner", "--no-privileges"]
        argv += [f"--dbname={url.name}", f"{DATA}/{DUMP}"]
        ended = self._run(argv, url, {directory: DATA}, limit(size))
        if ended.status != 0 and not only_harmless(ended.text):
            raise ToolsError(
                f"pg_restore into {url.address} ended with {ended.status}: {tail(self._clean(ended, url))}"
            )

    def _password_file(self, url: DatabaseUrl) -> tuple[str, str]:
        return _PASSFILE, pass_line(url)

    @staticmethod
    def _variables(url: DatabaseUrl | None) -> dict[str, str]:
        """libpq's variables."""
        if url is None:
            return {}
        return {
            "PGHOST": url.host,
            "PGPORT": str(url.port),
            "PGUSER": url.user,
            "PGSSLMODE": url.ssl_mode,
            "PGPASSFILE": f"{SECRETS}/{_PASSFILE}",
            "PGCONNECT_TIMEOUT": "10",
            "LC_ALL": "C",
        }


def pass_line(url: DatabaseUrl) -> str:
    """A line of libpq's password file, for any database of any server: the file is for one program alone."""
    return "*:*:*:*:" + url.password.replace("\\", "\\\\").replace(":", "\\:") + "\n"


def only_harmless(text: str) -> bool:
    """Whether pg_restore complained of nothing but the parameter that an older server does not have."""
    return bool(_HARMLESS.search(text)) and "errors ignored on restore: 1" in text.splitlines()[-1]
