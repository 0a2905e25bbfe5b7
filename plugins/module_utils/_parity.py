# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovered SQLite snapshot against the PostgreSQL or MySQL of a v2 server, row by row.

Both sides are read in the order of the key and merged, so that a table costs one pass and the memory of one batch,
whatever its size. What must be equal is said by the rules; this is only the comparison. Values never leave it: a
difference names table, key and column.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import time
from typing import Any, Callable, Iterator, NamedTuple
from urllib.parse import quote

try:
    import sqlite3
except ImportError:  # a Python built without it
    sqlite3 = None  # type: ignore[assignment]

from ansible_collections.fleetops.gpustack.plugins.module_utils import _postgres, _releases, _target_catalog
from ansible_collections.fleetops.gpustack.plugins.module_utils._parity_rules import TableRule, rules_for

#: Differences that are named per table; all are counted.
NAMED_DIFFERENCES = 20
_BATCH = 10000

#: What can be the matter with a row.
ROW_MISSING, ROW_NEW, VALUE_DIFFERS = "row is missing", "row is new and nothing explains it", "value differs"


class ParityError(Exception):
    """The comparison could not be made; the message says why and what to do."""


class Column(NamedTuple):
    """One compared column of a table: where it is in the two rows, and how it is read and judged."""

    source: str
    target: str
    convert: Callable[[Any], Any] | None
    derive: Callable[[dict[str, Any]], Any] | None
    kind: str  # equal | filled | growing | reported


def compare(sqlite_path: str, connection: Any, release: str) -> dict[str, Any]:
    """Compare a recovered copy of the legacy database with the new one; see docs/architecture.md for the report.

    ``connection`` is one of ``_server_database.connect``: everything is read in one of its transactions.
    """
    started = time.monotonic()
    target = _releases.find(release, allow_unproven=True)
    try:
        with opened(sqlite_path) as source:
            tables = [_TableComparison(rule, source, connection, sqlite_path).report() for rule in rules_for(release)]
            heads = _schema_heads(source, connection, target)
            warnings = _instance_warnings(source, tables)
        sequences = _sequences(connection, tables)
        connection.rollback()
    except connection.Error as error:
        raise ParityError(
            "The database stopped answering the comparison: "
            f"{_postgres.explain(error)}; check that the v2 server runs, then try again."
        ) from None
    equal = heads["equal"] and all(table["equal"] for table in tables) and all(item["equal"] for item in sequences)
    return {
        "equal": equal,
        "release": target.version,
        "schema_head": heads,
        "tables": tables,
        "sequences": sequences,
        "warnings": warnings,
        "seconds": round(time.monotonic() - started, 3),
    }


def problems(report: dict[str, Any]) -> list[str]:
    """What is not equal, as one line each; empty when the report is equal."""
    lines = []
    heads = report["schema_head"]
    if not heads["equal"]:
        lines.append(
            "schema head is {}, release {} has {}".format(heads["found"], report["release"], heads["expected"])
        )
    for table in report["tables"]:
        if not table["equal"]:
            lines.append(_table_problem(table))
    for item in report["sequences"]:
        if not item["equal"]:
            lines.append(
                "{}: sequence {} is at {}, below the highest {} {}".format(
                    item["table"], item["sequence"], item["last_value"], item["column"], item["highest"]
                )
            )
    return lines


def _table_problem(table: dict[str, Any]) -> str:
    named = "; ".join(_difference_text(difference) for difference in table["differences"][:3])
    more = table["difference_count"] - min(3, len(table["differences"]))
    rest = f"; and {more} more" if more else ""
    return "{}: {} differences ({}{})".format(table["target"], table["difference_count"], named, rest)


def _difference_text(difference: dict[str, Any]) -> str:
    where = " ".join(f"{name}={value}" for name, value in difference["key"].items())
    parts = [where, difference["column"], difference["problem"]]
    return " ".join(part for part in parts if part)


# The two sides


@contextlib.contextmanager
def opened(path: str) -> Iterator[Any]:
    """The recovered copy, for reading. A database that still needs a WAL or journal is not one."""
    if sqlite3 is None:
        raise ParityError("Python's sqlite3 module is missing; install it, or set ansible_python_interpreter.")
    for suffix in ("-wal", "-journal"):
        if os.path.exists(path + suffix) and os.stat(path + suffix).st_size:
            raise ParityError(
                f"{path} still has {suffix}: it is no recovered copy. Name recovered/database.db of a backup."
            )
    connection = None
    try:
        uri = f"file:{quote(os.path.abspath(path))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("BEGIN")
        yield connection
    except sqlite3.Error as error:
        raise ParityError(f"{path} cannot be read: {error}; name recovered/database.db of a backup.") from error
    finally:
        if connection is not None:
            connection.close()


def _sqlite_columns(source: Any, table: str) -> list[str]:
    return [row[1] for row in source.execute(f'PRAGMA table_info("{table}")')]


# One table


class _TableComparison:
    """Compares one table and keeps the tally."""

    def __init__(self, rule: TableRule, source: Any, connection: Any, sqlite_path: str) -> None:
        self.rule = rule
        self.source = source
        self.connection = connection
        self.snapshot_day = _day_of(sqlite_path)
        self.source_columns = _sqlite_columns(source, rule.table)
        self.target_columns = _target_catalog.columns(connection, rule.target)
        self.before = self.after = self.identical = self.transformed = self.difference_count = 0
        self.differences: list[dict[str, Any]] = []
        self.dropped: dict[str, int] = {}
        self.added: dict[str, int] = {}

    def report(self) -> dict[str, Any]:
        """Compare, and say what was found."""
        if self.source_columns and not self.target_columns:
            self._differ((), None, "table is missing")
        elif self.rule.counted_only:
            self._count()
        elif self.source_columns:
            self._merge()
        return {
            "table": self.rule.table,
            "target": self.rule.target,
            "equal": self.difference_count == 0,
            "before": self.before,
            "after": self.after,
            "identical": self.identical,
            "transformed": self.transformed,
            "dropped": sum(self.dropped.values()),
            "added": sum(self.added.values()),
            "reasons": {"dropped": self.dropped, "added": self.added},
            "counted_only": self.rule.counted_only,
            "differences": self.differences,
            "difference_count": self.difference_count,
        }

    def _differ(self, key: Any, column: str | None, problem: str) -> None:
        self.difference_count += 1
        if len(self.differences) < NAMED_DIFFERENCES:
            names = [self.rule.target_column(name) for name in self.rule.key]
            self.differences.append({"key": dict(zip(names, key)), "column": column, "problem": problem})

    def _count(self) -> None:
        """Rows that the server makes and deletes by itself are counted, and the dropped ones explained."""
        self.before = self._sqlite_count("1")
        for dropped in self.rule.dropped:
            number = self._sqlite_count(dropped.condition)
            if number:
                self.dropped[dropped.reason] = number
        query = f'SELECT count(*) FROM "{self.rule.target}"'
        self.after = self.connection.execute(query).fetchone()[0]

    def _sqlite_count(self, condition: str) -> int:
        query = f'SELECT count(*) FROM "{self.rule.table}" WHERE {condition}'
        return int(self.source.execute(query).fetchone()[0])

    def _merge(self) -> None:
        columns = self._columns()
        compare_rows = self._column_comparer(columns)
        width = len(self.rule.key)
        with self._new_cursor(columns) as new_cursor:
            old_rows, new_rows = self._beyond_equal_batches(columns, self._old_cursor(columns), new_cursor)
            old: Any = next(old_rows, None)
            new: Any = next(new_rows, None)
            while old is not None or new is not None:
                if old is not None and (new is None or old[:width] < new[:width]):
                    self._only_old(old, width)
                    old = next(old_rows, None)
                elif old is None or new[:width] < old[:width]:
                    self._only_new(new, columns, above=old is None, width=width)
                    new = next(new_rows, None)
                else:
                    self._both(old, new, compare_rows, width)
                    old, new = next(old_rows, None), next(new_rows, None)

    def _beyond_equal_batches(
        self, columns: list[Column], old_cursor: Any, new_cursor: Any
    ) -> tuple[Iterator[Any], Iterator[Any]]:
        """The rows from the first batch on that is not equal as a whole.

        A table of numbers, which is what the large ones are, needs no conversion; equal batches are then counted
        without a look at single rows.
        """
        old_batch, new_batch = old_cursor.fetchmany(_BATCH), new_cursor.fetchmany(_BATCH)
        if self._is_plain(columns):
            while old_batch and old_batch == new_batch:
                self.before += len(old_batch)
                self.after += len(old_batch)
                self.identical += len(old_batch)
                old_batch, new_batch = old_cursor.fetchmany(_BATCH), new_cursor.fetchmany(_BATCH)
        return _rows_from(old_batch, old_cursor), _rows_from(new_batch, new_cursor)

    def _is_plain(self, columns: list[Column]) -> bool:
        """Whether equal rows are equal tuples."""
        judged = any(column.convert or column.derive or column.kind != "equal" for column in columns)
        return not judged and not self.rule.dropped and not self._support_columns(columns)

    def _only_old(self, old: Any, width: int) -> None:
        self.before += 1
        reason = self._drop_reason(old)
        if reason is None:
            self._differ(old[:width], None, ROW_MISSING)
        else:
            self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def _only_new(self, new: Any, columns: list[Column], above: bool, width: int) -> None:
        self.after += 1
        row = dict(zip(self._new_names(columns), new))
        for added in self.rule.added:
            if added.explains(row, above):
                self.added[added.reason] = self.added.get(added.reason, 0) + 1
                return
        self._differ(new[:width], None, ROW_NEW)

    def _both(self, old: Any, new: Any, compare_rows: Callable[[Any, Any], bool | None], width: int) -> None:
        self.before += 1
        self.after += 1
        if self._drop_reason(old) is not None:
            self._differ(old[:width], None, "row should have been dropped")
            return
        equal = compare_rows(old, new)
        if equal:
            self.identical += 1
        elif equal is False:
            self.transformed += 1

    def _drop_reason(self, old: Any) -> str | None:
        """Why the release deletes this row: the last value of the row is the number of the condition that it meets."""
        if not self.rule.dropped or old[-1] is None:
            return None
        return self.rule.dropped[old[-1]].reason

    # Columns

    def _columns(self) -> list[Column]:
        """The columns to compare; one that the release should have and has not is a difference of the table."""
        rule = self.rule
        wanted = self.source_columns if rule.only is None else [c for c in self.source_columns if c in rule.only]
        columns = []
        for name in wanted:
            if name in rule.key or name in rule.volatile or name in rule.gone:
                continue
            target = rule.target_column(name)
            if target not in self.target_columns:
                self._differ((), target, "column is missing")
                continue
            convert = _CONVERTERS.get(self.target_columns[target].number)
            columns.append(Column(name, target, convert, rule.derived.get(name), self._kind(name)))
        return columns

    def _kind(self, name: str) -> str:
        for kind in ("filled", "growing", "reported"):
            if name in getattr(self.rule, kind):
                return kind
        return "equal"

    def _support_columns(self, columns: list[Column]) -> list[str]:
        """PostgreSQL columns that are read only to explain or judge a row."""
        wanted = [added.column for added in self.rule.added if added.column] + [self.rule.witness, self.rule.growing_on]
        have = {column.target for column in columns}
        names = [name for name in dict.fromkeys(wanted) if name and name not in have]
        return [name for name in names if name in self.target_columns]

    def _new_names(self, columns: list[Column]) -> list[str]:
        keys = [self.rule.target_column(name) for name in self.rule.key]
        return keys + [column.target for column in columns] + self._support_columns(columns)

    def _old_names(self, columns: list[Column]) -> list[str]:
        """Key, compared columns in the same places as in the new row, then what derivations and the witness need."""
        names = list(self.rule.key) + [column.source for column in columns]
        if self.rule.derived or self.rule.witness:
            names += [name for name in self.source_columns if name not in names]
        return names

    # Rows

    def _old_cursor(self, columns: list[Column]) -> Any:
        wanted = _quoted(self._old_names(columns))
        if self.rule.dropped:
            cases = " ".join(f"WHEN {d.condition} THEN {n}" for n, d in enumerate(self.rule.dropped))
            wanted += f", CASE {cases} END"
        query = 'SELECT {} FROM "{}" WHERE {} ORDER BY {}'.format(
            wanted, self.rule.table, self.rule.where or "1", _quoted(self.rule.key)
        )
        return self.source.execute(query)

    @contextlib.contextmanager
    def _new_cursor(self, columns: list[Column]) -> Iterator[Any]:
        """A cursor on the server's side. Binary numbers cost a third; enumerations must be asked for as text."""
        keys = [self.rule.target_column(name) for name in self.rule.key]
        wanted = ", ".join(
            f'"{name}"::text' if self.target_columns[name].enumeration else f'"{name}"'
            for name in self._new_names(columns)
        )
        query = f'SELECT {wanted} FROM "{self.rule.target}" ORDER BY {_quoted(keys)}'
        with self.connection.cursor(name="fleetops_gpustack_parity", binary=True) as cursor:
            cursor.execute(query)
            yield cursor

    # Values

    def _column_comparer(self, columns: list[Column]) -> Callable[[Any, Any], bool | None]:
        width = len(self.rule.key)
        old_names, new_names = self._old_names(columns), self._new_names(columns)
        converters = {column.source: column.convert for column in columns}

        def compare_columns(old: Any, new: Any) -> bool | None:
            old_row = {name: _converted(value, converters.get(name)) for name, value in zip(old_names, old)}
            new_row = dict(zip(new_names, new))
            different, derived = False, False
            for place, column in enumerate(columns, width):
                was = old_row[column.source]
                expected = column.derive(old_row) if column.derive else was
                derived = derived or expected != was
                if new[place] != expected and not self._tolerated(column, expected, new[place], old_row, new_row):
                    different = True
                    self._differ(old[:width], column.target, VALUE_DIFFERS)
            return None if different else not derived

        return compare_columns

    def _tolerated(
        self, column: Column, expected: Any, found: Any, old_row: dict[str, Any], new_row: dict[str, Any]
    ) -> bool:
        """Whether the running server may have made this difference."""
        if column.kind == "filled":
            return not expected
        if column.kind == "growing":
            return bool(found > expected and new_row[self.rule.growing_on] >= self.snapshot_day)
        if column.kind == "reported":
            return _timestamp(old_row[self.rule.witness]) != new_row[self.rule.witness]
        return False


def _rows_from(batch: list[Any], cursor: Any) -> Iterator[Any]:
    """The rows of a batch and of all that follow."""
    while batch:
        yield from batch
        batch = cursor.fetchmany(_BATCH)


def _quoted(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _day_of(path: str) -> datetime.date:
    """The day before the snapshot was taken: the server counts days in its own time zone."""
    moment = datetime.datetime.fromtimestamp(os.stat(path).st_mtime, datetime.timezone.utc)
    return moment.date() - datetime.timedelta(days=1)


# SQLite's values in the form of PostgreSQL's


def _converted(value: Any, convert: Callable[[Any], Any] | None) -> Any:
    """The value as PostgreSQL would return it; one that cannot be converted stays, and is then different."""
    if convert is None or value is None:
        return value
    try:
        return convert(value)
    except (ValueError, TypeError):
        return value


def _boolean(value: Any) -> Any:
    return bool(value) if value in (0, 1) else value


def _timestamp(value: Any) -> Any:
    return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value


_CONVERTERS: dict[int, Callable[[Any], Any]] = {
    _target_catalog.BOOL: _boolean,
    _target_catalog.JSON: json.loads,
    _target_catalog.JSONB: json.loads,
    _target_catalog.DATE: datetime.date.fromisoformat,
    _target_catalog.TIMESTAMP: _timestamp,
    _target_catalog.TIMESTAMPTZ: _timestamp,
}


# The database as a whole


def _schema_heads(source: Any, connection: Any, target: _releases.Release) -> dict[str, Any]:
    old = [row[0] for row in source.execute("SELECT version_num FROM alembic_version ORDER BY version_num")]
    new = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version ORDER BY version_num")]
    expected = target.schema_head or None
    found = ",".join(new) or None
    return {
        "source": ",".join(old) or None,
        "expected": expected,
        "found": found,
        "equal": expected is None or found == expected,
    }


def _sequences(connection: Any, tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the next number of each compared table comes from: below the highest one, the first new row would fail."""
    found = []
    for target in dict.fromkeys(table["target"] for table in tables):
        if "id" not in _target_catalog.columns(connection, target):
            continue
        name, last = _target_catalog.next_number(connection, target)
        highest = connection.execute(f'SELECT max(id) FROM "{target}"').fetchone()[0]
        found.append(
            {
                "table": target,
                "column": "id",
                "sequence": name,
                "last_value": last,
                "highest": highest,
                "equal": highest is None or (last is not None and last >= highest),
            }
        )
    return found


def _instance_warnings(source: Any, tables: list[dict[str, Any]]) -> list[str]:
    """Model instances come and go; fewer of them than replicas were asked for is worth a word."""
    instances = [table for table in tables if table["table"] == "model_instances"]
    rule_dropped = sum(table["dropped"] for table in instances)
    after = sum(table["after"] for table in instances)
    before = sum(table["before"] for table in instances) - rule_dropped
    if after >= before:
        return []
    return [f"{after} model instances, {before} before: the server has not made all of them again yet"]
