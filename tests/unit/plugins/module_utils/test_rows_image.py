# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of PostgreSQL and MySQL in the form that GPUStack gives to them in SQLite."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _rows_image


@pytest.mark.parametrize(
    ("value", "kind", "kept"),
    [
        (None, "json", None),
        (True, "boolean", 1),
        (False, "boolean", 0),
        ({"os": "linux", "ü": [1]}, "json", '{"os": "linux", "ü": [1]}'),
        ("text", "jsonb", '"text"'),
        ("2026-11-30T15:19:39.12", "timestamp without time zone", "2026-11-30 15:19:39.120000"),
        ("2026-11-30T15:19:39", "timestamp without time zone", "2026-11-30 15:19:39.000000"),
        ("2026-11-30 15:19:39", "timestamp without time zone", "2026-11-30 15:19:39.000000"),
        ("2026-11-30 15:19:39.12", "timestamp without time zone", "2026-11-30 15:19:39.120000"),
        ("2026-11-30", "date", "2026-11-30"),
        (1.5, "double precision", 1.5),
        (2**40, "bigint", 2**40),
    ],
)
def test_values(value: Any, kind: str, kept: Any) -> None:
    assert _rows_image.value_of(value, kind) == kept


def test_every_row_is_kept_whatever_their_number() -> None:
    table = _rows_image.Table("models", {"id": "integer", "name": "character varying", "on": "boolean"})
    rows = (json.dumps({"id": number, "name": f"m{number}", "on": True}) for number in range(12001))
    with contextlib.closing(_rows_image.database(":memory:")) as image:
        assert _rows_image.add(image, table, rows) == 12001
        assert image.execute('SELECT count(*), sum("on"), max(id) FROM models').fetchone()[:] == (12001, 12001, 12000)
