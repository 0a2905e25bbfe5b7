# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to a real PostgreSQL: read-only, bounded in time, and silent about the password."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _postgres
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.upgraded_database import (
    Cluster,
    running_cluster,
)

PASSWORD = "planted-secret"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL that wants a password, as it does from addresses other than its own loopback."""
    with running_cluster() as started:
        with contextlib.closing(started.connect()) as connection:
            connection.execute(f"ALTER ROLE root PASSWORD '{PASSWORD}'")
            rules = connection.execute("SHOW hba_file").fetchone()[0]
            connection.execute(f"COPY (SELECT 'host all all 127.0.0.1/32 scram-sha-256') TO PROGRAM 'cat > {rules}'")
            connection.execute("SELECT pg_reload_conf()")
        yield started


def test_the_password_is_found_in_the_data_directory(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "postgres_root_pass").write_text(PASSWORD + "\n", encoding="utf-8")
    with contextlib.closing(_postgres.connect(str(tmp_path), port=cluster.port)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("root",)


@pytest.mark.parametrize("content", [None, "", "wrong-planted"])
def test_without_it_the_error_says_where_and_why(cluster: Cluster, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "postgres_root_pass").write_text(content, encoding="utf-8")
    with pytest.raises(_postgres.PostgresError) as caught:
        _postgres.connect(str(tmp_path), port=cluster.port)
    assert f"127.0.0.1:{cluster.port}" in str(caught.value)
    assert "password" in str(caught.value)
    assert "wrong-planted" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_statements_are_bounded_and_cannot_write(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "postgres_root_pass").write_text(PASSWORD, encoding="utf-8")
    with contextlib.closing(_postgres.connect(str(tmp_path), port=cluster.port)) as connection:
        settings = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("statement_timeout", "transaction_read_only", "transaction_isolation")
        }
    assert settings == {
        "statement_timeout": "1min",
        "transaction_read_only": "on",
        "transaction_isolation": "repeatable read",
    }


def test_a_password_in_an_error_is_masked() -> None:
    assert _postgres.explain(ValueError("bad\nplanted-secret here"), "planted-secret") == "bad ******** here"


def test_no_driver_is_a_clean_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(_postgres.PostgresError, match="state=prepared"):
        _postgres.driver()


def test_an_old_driver_is_a_clean_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_postgres.driver(), "__version__", "3.1.7")
    with pytest.raises(_postgres.PostgresError, match=r"3\.1\.7 is too old"):
        _postgres.driver()
