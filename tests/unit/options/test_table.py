# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented table of options is the one of the code; the recorder reads a source as its program does."""

from __future__ import annotations

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _options
from tests.options import record, table


def test_the_document_is_the_codes() -> None:
    """`python -m tests.options table` writes it."""
    assert table.DOCUMENT.read_text(encoding="utf-8") == table.text()


def test_every_option_is_in_the_document() -> None:
    rows = table.text().split("|---|---|---|---|\n")[1].splitlines()
    assert {row.split("`")[1] for row in rows} == {f"--{option.name}" for option in _options.LEGACY_OPTIONS.values()}


@pytest.mark.parametrize(
    ("call", "row"),
    [
        (
            'group.add_argument("-d", "--debug", action=OptionalBoolAction, default=get_gpustack_env_bool("DEBUG"))',
            ["--debug", "flag", "-d", "GPUSTACK_DEBUG"],
        ),
        ('group.add_argument("--port", type=int, help="x")', ["--port", "integer", None, None]),
        ('group.add_argument("--a", action="append")', ["--a", "list", None, None]),
        (
            'group.add_argument("--r", type=json.loads, default=get_gpustack_env("R"))',
            ["--r", "json", None, "GPUSTACK_R"],
        ),
        ('group.add_argument("--h", type=str, default=os.getenv("HF_TOKEN"))', ["--h", "text", None, "HF_TOKEN"]),
    ],
)
def test_an_option_is_read_from_its_call(call: str, row: list[str | None]) -> None:
    assert record.options(call) == {row[0]: row}
