# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a server whose rows are in an external database: saved by a dump, proven by restoring it once.

v2 upgrades that database in place, so that there is no copy to fall back to but the dump's.
"""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _external_database,
    _legacy_gate,
    _releases,
    _scratch_database,
    _snapshot,
    _switch_steps,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Work
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_tools import DUMP, Images, Tools
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import STARTED, since_begin
from ansible_collections.fleetops.gpustack.plugins.module_utils._switch_steps import Progress


def snapshot(work: Work, progress: Progress) -> dict[str, Any]:
    """The dump of the stopped server's database, and byte copies of the files that v2 may change."""
    attempt = work.attempt
    _switch_steps.put_backup_aside(work)
    _switch_steps.save_definition(work, progress)
    url, tools = _url(progress.legacy), _tools(work, progress.legacy)
    facts = _external_database.require_usable(url, _releases.find(attempt.release, allow_unproven=True))
    progress.files = _snapshot.copy_stopped(attempt.data_dir, attempt.data_backup, _switch_steps.SAVED_FILES)
    path = tools.dump(url, attempt.backup, facts["size"])
    return {"kept": False, "bytes": os.stat(path).st_size}


def verify_snapshot(work: Work, progress: Progress) -> dict[str, Any]:
    """The dump is restored once and compared with the original; only then the manifest says that it exists."""
    attempt = work.attempt
    url, tools = _url(progress.legacy), _tools(work, progress.legacy)
    size = _external_database.facts_of(url)["size"]
    rows = os.path.join(attempt.backup, _snapshot.RECOVERED, _snapshot.DATABASE)
    with _external_database.restored_once(tools, url, attempt.backup, size, attempt.name) as scratch:
        facts, schema = _external_database.keep_rows(scratch, rows), _external_database.schema(scratch)
    _external_database.require_equal(url, facts, schema)
    external = {"address": url.address, "fingerprint": url.fingerprint, "dump": DUMP, "size": size, "schema": schema}
    head = {**_switch_steps.manifest_head(work), "external": external}
    progress.manifest = _snapshot.write_manifest(attempt.backup, progress.files, facts, head)
    return {"schema_head": facts.schema_head, "rows": sum(facts.counts.values())}


def put_back(work: Work, legacy: dict[str, Any]) -> dict[str, Any]:
    """Give the legacy server its database back where v2 changed it; v2's is kept under another name.

    The schema tells whether v2 changed anything: upgrading it is the first thing that its server does.
    """
    attempt, url = work.attempt, _url(legacy)
    scratch = _external_database.kind_of(url).scratch_name(url, attempt.name)
    _external_database.drop(url, scratch, _scratch_database.restored_name(url.name, attempt.name))
    # Before the new container was started nobody but the legacy server has had the database.
    if not since_begin(work.journal.entries(), ("start", STARTED)):
        return {"databases": []}
    manifest = _snapshot.verify_manifest(attempt.backup)
    saved = manifest["external"].get("schema", manifest["database"]["schema_head"])
    if _external_database.schema(url) == saved:
        return {"databases": _external_database.set_aside(url, [attempt.name])}
    aside = _external_database.bring_back(_tools(work, legacy), url, attempt, manifest)
    work.warn(
        f"The database that v2 upgraded is now called {aside}, beside {url.address}, which holds the rows of "
        "the dump again. Grants to other roles and settings of the database itself are not restored: see if it had any."
    )
    return {"databases": _external_database.set_aside(url, [attempt.name])}


def same_rows(legacy: dict[str, Any], saved: dict[str, int]) -> dict[str, int]:
    """Compare the rows of the running legacy server with those that were saved; the ones that it has, per table."""
    now = _external_database.counts(_url(legacy))
    _legacy_gate.require(saved, now)
    return {table: now[table] for table in saved if table in now}


def _url(legacy: dict[str, Any]) -> DatabaseUrl:
    return _external_database.url_of(legacy)


def _tools(work: Work, legacy: dict[str, Any]) -> Tools:
    attempt = work.attempt
    programs = work.params["database_tools_image"] or attempt.tools_image or attempt.image
    images = Images(programs, attempt.image)
    return _external_database.tools_for(work.engine, work.params, images, legacy, attempt.name)
