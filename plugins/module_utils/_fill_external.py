# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From SQLite into an external PostgreSQL: the snapshot, migrated by the target's own `gpustack migrate`.

The database has to be empty, so that whatever is in it afterwards is ours. The way back gives its name to an empty one
again and keeps the filled one beside it; the legacy server's SQLite is not touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _database_url,
    _external_database,
    _postgres,
    _releases,
    _scratch_database,
    _snapshot,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_tools import Images
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import write_atomically
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import STARTED, since_begin
from ansible_collections.fleetops.gpustack.plugins.module_utils._postgresql_tools import PostgresqlTools
from ansible_collections.fleetops.gpustack.plugins.module_utils._switch_steps import Progress

#: Which database was filled, for a way back that is not told; with its password, so it lies in the backup.
NOTE = "target-database.json"
#: How long the migration of the rows may take, in seconds, when nobody said.
SECONDS = 3600


def target(params: Mapping[str, Any]) -> DatabaseUrl:
    """The database that is asked for."""
    try:
        found = _database_url.parse(params["database_url"])
    except _database_url.DatabaseUrlError as error:
        raise SwitchError(f"gpustack_database_url: {error}.") from None
    if found.kind != _database_url.POSTGRESQL:
        raise SwitchError(
            "gpustack_database_url: rows of SQLite are migrated into PostgreSQL alone; name an empty PostgreSQL, or "
            "leave it out for the embedded one."
        )
    return found


def require(params: Mapping[str, Any], release: str, deeply: bool, filled: bool) -> None:
    """The target database can be used; ``filled`` when an earlier try of this attempt has filled it, and empties it."""
    url = target(params)
    if deeply:
        _external_database.require_usable(url, _releases.find(release, allow_unproven=True))
        if not filled:
            _require_empty(url)


def was_filled(entries: list[dict[str, Any]]) -> bool:
    """Whether the newest try of an attempt may have written into the target database."""
    return bool(since_begin(entries, ("fill", STARTED)))


def fill(work: Work, progress: Progress) -> dict[str, Any]:
    """Migrate the recovered copy of the legacy database into the external one."""
    attempt, url = work.attempt, target(work.params)
    _require_empty(url)
    write_atomically(_note(attempt), {"url": url.url})
    directory = os.path.join(work.params["state_dir"], "migration")
    shutil.rmtree(directory, ignore_errors=True)
    _snapshot.make_backup_dir(directory)
    try:
        recovered = os.path.join(attempt.backup, _snapshot.RECOVERED, _snapshot.DATABASE)
        shutil.copyfile(recovered, os.path.join(directory, _snapshot.DATABASE))
        network = progress.spec["network_mode"]
        images = Images(attempt.image, attempt.image)
        tools = PostgresqlTools(work.engine, images, network, attempt.name, work.params["state_dir"])
        tools.migrate(url, directory, work.params["migration_timeout"] or SECONDS)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return {"database": url.address}


def put_aside(work: Work) -> dict[str, Any]:
    """Give the name of a database that we filled to an empty one; the filled one is kept under another."""
    attempt = work.attempt
    if not was_filled(work.journal.entries()):
        return {"databases": []}
    try:
        with open(_note(attempt), encoding="utf-8") as note:
            url = _database_url.parse(json.load(note)["url"])
    except FileNotFoundError:
        return {"databases": []}  # it is written before the database is
    if _tables(url):
        fresh = _scratch_database.make_like(url, _scratch_database.restored_name(url.name, attempt.name))
        aside = _scratch_database.take_place(url, fresh.name, attempt.name)
        work.warn(f"The external database that was filled is now called {aside}, beside {url.address}, which is empty.")
    return {"databases": _scratch_database.set_aside(url, [attempt.name])}


def _note(attempt: Attempt) -> str:
    return os.path.join(attempt.backup, NOTE)


def _require_empty(url: DatabaseUrl) -> None:
    tables = _tables(url)
    if tables:
        raise SwitchError(
            f"The external database {url.address} is not empty (it has {', '.join(tables[:5])}), so that the migration "
            "would mix its rows with others. Give an empty one in gpustack_database_url, or empty this one."
        )


def _tables(url: DatabaseUrl) -> list[str]:
    with contextlib.closing(_postgres.connect_external(url)) as connection:
        rows = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
        )
        return [row[0] for row in rows]
