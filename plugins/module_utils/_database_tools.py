# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database's own programs, and v2's own schema upgrade, in throw-away containers beside the server's.

A container has the server's network, so that the database has the name there that the server calls it by. The password
travels in a file that only root may read, and in the one case in which GPUStack's code wants a URL, by environment; it
is in no argument.
"""

from __future__ import annotations

import abc
import contextlib
import os
import re
import shutil
import time
from typing import Iterator, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _masking, _snapshot
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import new_file
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine

LABEL = "fleetops.gpustack.database-tools"
DUMP = "database.dump"
#: Where a container finds the password and the dump.
SECRETS, DATA = "/run/fleetops-gpustack", "/fleetops-gpustack-data"
#: Debian and Ubuntu keep PostgreSQL's programs of each version in a directory of its own.
_SHELL = 'umask 077; for d in /usr/lib/postgresql/*/bin; do [ -d "$d" ] && PATH="$d:$PATH"; done; exec "$@"'
_POLL_SECONDS = 0.2
#: Until an operation counts as hung: a start, and bytes at a tenth of a slow disk's speed.
SECONDS, _BYTES_PER_SECOND = 600, 5 * 1024 * 1024
_LINES = 15

#: What `gpustack start` of every 2.x does first (server/server.py: _run_migrations), and nothing of what comes after.
_ALEMBIC = """
import importlib.util, os
from alembic import command
from alembic.config import Config
package = importlib.util.find_spec("gpustack").submodule_search_locations[0]
config = Config()
config.set_main_option("script_location", os.path.join(package, "migrations"))
url = os.environ["GPUSTACK_DATABASE_URL"]
if url.startswith("mysql://"):
    url = "mysql+pymysql" + url[len("mysql"):]
config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
command.upgrade(config, "head")
"""
#: `gpustack migrate` of every 2.x (cmd/db_migration.py), whose command takes the URL as an argument alone. Up to 2.2.3
#: a failed one leaves a thread that keeps the process alive.
_MIGRATE = """
import argparse, os, sys
from gpustack.cmd import db_migration
status = 0
try:
    db_migration.run(
        argparse.Namespace(migration_data_dir=sys.argv[1], database_url=os.environ["GPUSTACK_DATABASE_URL"])
    )
except SystemExit as end:
    status = 1
sys.stdout.flush()
os._exit(status)
"""
_GPUSTACKS_PYTHON = [
    "sh",
    "-c",
    'exec "$(head -n 1 "$(command -v gpustack)" | cut -c 3-)" -c "$FLEETOPS_SCRIPT" "$@"',
    "sh",
]


class ToolsError(Exception):
    """A program failed, or the image lacks it; the message says what it printed and what to do."""


class Ended(NamedTuple):
    """How a container ended and what it printed."""

    status: int
    text: str


class Images(NamedTuple):
    """The image that has the database's programs, and the target release's."""

    programs: str
    target: str


class Tools(abc.ABC):
    """The programs, for one piece of work. ``folder`` is where the password lies meanwhile, a directory of our own."""

    def __init__(self, engine: Engine, images: Images, network: str, run_id: str, folder: str) -> None:
        self._engine = engine
        self._images = images
        self._network = network
        self._run_id = run_id
        self._folder = folder

    @abc.abstractmethod
    def version(self) -> tuple[int, ...]:
        """Version of the image's programs, as far as it matters."""

    @abc.abstractmethod
    def dump(self, url: DatabaseUrl, directory: str, size: int) -> str:
        """Dump the database into a directory of our own, 0600; the file's path. ``size`` is in bytes."""

    @abc.abstractmethod
    def restore(self, url: DatabaseUrl, directory: str, size: int) -> None:
        """Restore a directory's dump into an empty database, which the server's user then owns."""

    @abc.abstractmethod
    def _password_file(self, url: DatabaseUrl) -> tuple[str, str]:
        """Name and text of the file that tells the programs the password."""

    @staticmethod
    def _variables(url: DatabaseUrl | None) -> dict[str, str]:
        """What the programs take from the environment. No password: the engine shows a container's environment."""
        del url
        return {}

    def upgrade_schema(self, url: DatabaseUrl, seconds: int) -> None:
        """Let the target release upgrade the schema of a database, as its server would at its start."""
        ended = self._run(_GPUSTACKS_PYTHON, url, {}, seconds, _ALEMBIC)
        if ended.status != 0:
            raise ToolsError(
                f"the new release's schema upgrade fails on a copy of the database: {tail(self._clean(ended, url))}"
            )

    def migrate(self, url: DatabaseUrl, directory: str, seconds: int) -> None:
        """Let the target release migrate a directory's copy of a legacy database into an empty one."""
        ended = self._run([*_GPUSTACKS_PYTHON, DATA], url, {directory: DATA}, seconds, _MIGRATE)
        if ended.status != 0:
            raise ToolsError(f"the migration into {url.address} failed: {tail(self._clean(ended, url))}")

    def _dumped(self, argv: Sequence[str], url: DatabaseUrl, directory: str, size: int) -> str:
        """Run the program that writes a directory's dump; the file's path."""
        ended = self._run(argv, url, {directory: DATA}, limit(size))
        if ended.status != 0:
            raise ToolsError(f"{argv[0]} of {url.address} ended with {ended.status}: {tail(self._clean(ended, url))}")
        path = os.path.join(directory, DUMP)
        os.chmod(path, 0o600)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        return path

    @staticmethod
    def _clean(ended: Ended, url: DatabaseUrl) -> str:
        """What was printed, without passwords and without the rows that an error of SQL carries along."""
        text = re.split(r"\[SQL:|\[parameters:|DETAIL:", ended.text, maxsplit=1)[0]
        text = re.sub(r"Duplicate entry '.*?' for key", "Duplicate entry for key", text)
        return _masking.mask_text(text.replace(url.password, "********") if url.password else text)

    def _run(
        self,
        argv: Sequence[str],
        url: DatabaseUrl | None,
        mounts: Mapping[str, str],
        seconds: int,
        script: str | None = None,
    ) -> Ended:
        """Run a program to its end; with a script, which wants the database's URL, by GPUStack's own Python."""
        remove_leftovers(self._engine)
        with self._secrets(url) as secrets:
            variables = self._variables(url)
            if script is not None and url is not None:
                variables.update(FLEETOPS_SCRIPT=script, GPUSTACK_DATABASE_URL=url.url)
            binds = [f"{secrets}:{SECRETS}:ro", *(f"{source}:{target}" for source, target in mounts.items())]
            body = {
                "Image": self._images.programs if script is None else self._images.target,
                "Entrypoint": ["sh", "-c", _SHELL, "sh"],
                "Cmd": list(argv),
                "Env": [f"{name}={value}" for name, value in variables.items()],
                "User": "0:0",
                "Labels": {LABEL: self._run_id},
                "Healthcheck": {"Test": ["NONE"]},
                "HostConfig": {
                    "Binds": binds,
                    "NetworkMode": self._network,
                    "LogConfig": {"Type": "json-file", "Config": {}},
                },
            }
            container = self._engine.create(f"gpustack-database-tools-{self._run_id}", body)
            try:
                self._engine.start(container)
                return self._ended(container, argv[0], seconds)
            finally:
                self._engine.discard(container)

    def _ended(self, container: str, program: str, seconds: int) -> Ended:
        deadline = time.monotonic() + seconds
        while True:
            record = self._engine.inspect(container)
            if record is None:
                raise ToolsError(f"the container that ran {program} was removed by somebody; run again")
            if record["State"]["Status"] in ("exited", "dead"):
                text = "\n".join(self._engine.log_tail(container, _LINES * 10))
                return Ended(int(record["State"]["ExitCode"]), text)
            if time.monotonic() > deadline:
                raise ToolsError(f"{program} did not end within {seconds} seconds; see what holds the database up")
            time.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _secrets(self, url: DatabaseUrl | None) -> Iterator[str]:
        directory = os.path.join(self._folder, "database-tools")  # one per host, so that a killed run's is found
        shutil.rmtree(directory, ignore_errors=True)
        _snapshot.make_backup_dir(directory)
        try:
            if url is not None:
                name, text = self._password_file(url)
                with os.fdopen(new_file(os.path.join(directory, name)), "w", encoding="utf-8") as file:
                    file.write(text)
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def remove_leftovers(engine: Engine) -> None:
    """Containers of a run that was killed."""
    for record in engine.with_label(LABEL):
        engine.discard(record["Id"])


def limit(size: int) -> int:
    """Seconds until a dump or a restore of so many bytes counts as hung."""
    return SECONDS + size // _BYTES_PER_SECOND


def tail(text: str) -> str:
    """The end of what was printed, in one line."""
    lines = [line for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_LINES:]) or "it printed nothing"
