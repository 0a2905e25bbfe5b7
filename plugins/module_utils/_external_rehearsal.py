# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rehearsal of an upgrade in place, beside the serving legacy server: on a database made of a dump of the live one.

A dump is of one moment of a database that is in use, and nothing is written into it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _external_database,
    _parity,
    _prepared,
    _releases,
    _snapshot,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_tools import Images, ToolsError
from ansible_collections.fleetops.gpustack.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine

#: How long the schema upgrade of a copy may take, in seconds, when nobody said.
SECONDS = 3600
PREFIX = "rehearsal-"


def rehearse(params: Mapping[str, Any], engine: Engine, record: Mapping[str, Any], image: str) -> dict[str, Any]:
    """Upgrade a copy with the new image and compare it row by row; the proof, for the note of the preparation."""
    release = _releases.find(params["release"], allow_unproven=True)
    url = _external_database.url_of(record)
    images = Images(params["database_tools_image"] or image, image)
    tools = _external_database.tools_for(engine, params, images, record, params["run_id"])
    facts = _external_database.require_usable(url, release)
    _external_database.require_tools(tools, url, facts, images.programs)
    _remove_leftovers(params["backup_dir"], url)
    directory = os.path.join(params["backup_dir"], PREFIX + params["run_id"])
    _snapshot.make_backup_dir(directory)
    try:
        tools.dump(url, directory, facts["size"])
        rows = os.path.join(directory, _snapshot.DATABASE)
        with _external_database.restored_once(tools, url, directory, facts["size"], params["run_id"]) as scratch:
            before = _external_database.keep_rows(scratch, rows)
            tools.upgrade_schema(scratch, params["migration_timeout"] or SECONDS)
            with contextlib.closing(_external_database.connect(scratch)) as connection:
                report = _parity.compare(rows, connection, release.version)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if not report["equal"]:
        raise ToolsError(
            f"a copy of database {url.address}, upgraded by the new release, is not equal to it: "
            f"{'; '.join(_parity.problems(report))}. Nothing was changed; report this with the releases involved"
        )
    return _prepared.rehearsal_proof(image, release.version, url.fingerprint, before.schema_head)


def _remove_leftovers(backup_dir: str, url: DatabaseUrl) -> None:
    """Directories and scratch databases of rehearsals that were killed; both are named by the run."""
    for name in os.listdir(backup_dir) if os.path.isdir(backup_dir) else []:
        if name.startswith(PREFIX):
            kind = _external_database.kind_of(url)
            kind.drop(url, kind.scratch_name(url, name[len(PREFIX) :]))
            shutil.rmtree(os.path.join(backup_dir, name), ignore_errors=True)
