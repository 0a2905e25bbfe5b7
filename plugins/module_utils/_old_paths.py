# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths in a legacy database that point into the machine that it came from. Reading alone, nothing is changed."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.fleetops.gpustack.plugins.module_utils import _sqlite_reader

#: Columns that hold a path, or a list of paths (gpustack/schemas/models.py, model_files.py of 0.7.1).
_COLUMNS = {
    "models": ("local_path",),
    "model_files": ("local_path", "local_dir", "resolved_paths"),
    "model_instances": ("local_path", "resolved_path"),
}
_ABSOLUTE = re.compile(r'(?:[A-Za-z]:\\{1,2}|\\\\|/)[^"]+')


def find(connection: Any) -> list[dict[str, Any]]:
    """Every absolute path, as ``{table, row, path}``. ``row`` is the name of a model or instance, else its number."""
    tables = _sqlite_reader.table_names(connection)
    return [found for table in sorted(_COLUMNS) if table in tables for found in _in_table(connection, table)]


def _in_table(connection: Any, table: str) -> Iterator[dict[str, Any]]:
    for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY id'):
        values = dict(row)
        texts = [str(values[column]) for column in _COLUMNS[table] if values.get(column)]
        for path in sorted({path for text in texts for path in paths_in(text)}):
            yield {"table": table, "row": str(values.get("name") or values["id"]), "path": path}


def paths_in(text: str) -> list[str]:
    r"""The absolute paths in a value, which is one path or a JSON list of them: POSIX, ``C:\...`` and ``\\server``."""
    if text.startswith("["):
        return [path.replace("\\\\", "\\") for path in re.findall(r'"((?:[A-Za-z]:|\\\\|/)[^"]*)"', text)]
    return [text] if _ABSOLUTE.fullmatch(text) else []
