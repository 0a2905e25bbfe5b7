# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of MySQL, as far as no server is needed; the rest is in the end-to-end test of an external one."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _mysql


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("tinyint(1)", "boolean"),
        ("int", "integer"),
        ("int(11) unsigned", "integer"),
        ("bigint", "bigint"),
        ("float", "real"),
        ("double", "double precision"),
        ("json", "json"),
        ("timestamp", "timestamp without time zone"),
        ("datetime(6)", "timestamp without time zone"),
        ("varchar(255)", "text"),
        ("enum('ADMIN','int')", "text"),
        ("longtext", "text"),
    ],
)
def test_types_have_the_names_of_postgresqls(declared: str, kind: str) -> None:
    assert _mysql.kind_of(declared) == kind


def test_columns_are_grouped_by_table_in_their_order() -> None:
    rows = [("a", "id", "int"), ("a", "b", "json"), ("c", "id", "bigint")]
    assert _mysql.grouped(rows) == {"a": {"id": "integer", "b": "json"}, "c": {"id": "bigint"}}
    assert list(_mysql.grouped(rows)["a"]) == ["id", "b"]


class Connection:
    """A database with one table, by the statement that makes it."""

    def __init__(self, definition: str) -> None:
        self.definition = definition

    def execute(self, query: str) -> Any:
        if query.startswith("SHOW CREATE TABLE"):
            return Result([("t", self.definition)])
        return Result([("t",)])


class Result(list):  # type: ignore[type-arg]
    """A whole result."""

    def fetchone(self) -> Any:
        return self[0]


def schema(definition: str, head: str = "d19176de3b74") -> str:
    return _mysql.schema(Connection(definition), head)  # type: ignore[arg-type]


def test_a_schema_is_told_by_its_tables_and_not_by_their_rows() -> None:
    first = schema('CREATE TABLE "t" ("id" int) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4')
    assert first == schema('CREATE TABLE "t" ("id" int) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4')
    assert first != schema('CREATE TABLE "t" ("id" int, "a" int) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4')
    assert first != schema('CREATE TABLE "t" ("id" int) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4', "2aed534bd7b2")


def test_what_mysql_said_is_one_line_without_the_password() -> None:
    assert _mysql.explain(ValueError(1045, "denied\nplanted-secret here"), "planted-secret") == "denied ******** here"
    assert _mysql.explain(OSError("no route")) == "no route"


def test_without_its_library_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(_mysql.MysqlError, match="state=prepared"):
        _mysql.driver()
