# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last gate of the way back: the legacy server that runs again has the rows that were saved."""

from __future__ import annotations

import os
from typing import Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _os_errors, _snapshot, _sqlite_reader
from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import GateError

#: A running server writes to these by itself, but only adds to them.
GROWING = ("system_loads", "model_usages", "model_files")
#: These it also deletes from.
ITS_OWN = ("model_instances", "modelinstancemodelfilelink")


def rows(data_dir: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Compare the rows of the running server with those that were saved; the ones that it has, per table."""
    now = _count(os.path.join(data_dir, _snapshot.DATABASE), counts)
    require(counts, now)
    return now


def require(saved: Mapping[str, int], now: Mapping[str, int]) -> None:
    """The running server's rows are those that were saved, as far as it leaves them alone."""
    wrong = differences(saved, now)
    if wrong:
        raise GateError(f"The legacy server runs, but its database is not the one that was saved: {'; '.join(wrong)}.")


def differences(saved: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """The tables that do not have the rows that they must have."""
    found = []
    for table, before in sorted(saved.items()):
        after = now.get(table)
        if table in ITS_OWN or after == before or (table in GROWING and after is not None and after > before):
            continue
        found.append(f"{table} is missing" if after is None else f"{table} has {after} rows, not {before}")
    return found


def _count(path: str, wanted: Mapping[str, int]) -> dict[str, int]:
    try:
        with _sqlite_reader.opened(path, live=True) as connection:
            there = _sqlite_reader.table_names(connection)
            return {table: _sqlite_reader.count(connection, table) for table in sorted(wanted) if table in there}
    except (_sqlite_reader.DatabaseError, OSError) as error:
        raise GateError(
            f"The legacy server runs, but its rows cannot be counted: {_os_errors.explain(error)}"
        ) from error
    except Exception as error:
        if not _sqlite_reader.is_sqlite_error(error):
            raise
        raise GateError(_sqlite_reader.sqlite_problem(path, error)) from error
