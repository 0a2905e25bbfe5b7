# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The URL of an external database: its parts, its form for GPUStack, and what no message may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _database_url

PASSWORD = "p@ss:w/rd%1\\'"


def test_the_parts_are_decoded() -> None:
    found = _database_url.parse(
        "postgresql+asyncpg://gpu%40x:p%40ss%3Aw%2Frd%251%5C%27@db.example.com:5433/stack?sslmode=require"
    )
    assert found == ("postgresql", "db.example.com", 5433, "gpu@x", PASSWORD, "stack", "require")
    assert found.address == "db.example.com:5433/stack"


def test_what_is_left_out_has_defaults() -> None:
    found = _database_url.parse("postgresql://root@[::1]/gpustack")
    assert (found.host, found.port, found.password, found.ssl_mode) == ("::1", 5432, "", "prefer")


@given(st.text(min_size=1, alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_url_that_was_written_is_read_as_it_was(word: str) -> None:
    url = _database_url.DatabaseUrl("postgresql", "db", 5432, word, word, "gpustack", "prefer")
    assert _database_url.parse(url.url) == url


def test_mysql_has_its_own_port_and_one_option() -> None:
    found = _database_url.parse("mysql+asyncmy://gpustack:p%40ss@db/gpu_stack?charset=utf8mb4")
    assert found == ("mysql", "db", 3306, "gpustack", "p@ss", "gpu_stack", "prefer")
    assert found.url == "mysql://gpustack:p%40ss@db:3306/gpu_stack"


def test_another_database_of_the_same_server() -> None:
    found = _database_url.parse("postgresql://u:p@h/d")
    assert found.named("other").url == "postgresql://u:p@h:5432/other"


def test_a_changed_password_is_the_same_database() -> None:
    first, second = (_database_url.parse(f"postgresql://u:{word}@h/d") for word in ("one", "two"))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != first.named("e").fingerprint


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("oracle://u:planted@h/d", "oracle"),
        ("mysql://u:planted@h", "mysql://user:password@host"),
        ("mysql://u:planted@h/d?ssl_ca=/etc/ca.pem", "ssl_ca"),
        ("mysql://u:planted@h/d?charset=latin1", "charset"),
        ("postgresql://u:planted@h", "postgresql://user:password@host"),
        ("postgresql://u:planted@h:port/d", "postgresql://user:password@host"),
        ("postgresql://u:planted@one,two/d", "one host"),
        ("postgresql:///d?host=/run/postgresql&password=planted", "one host"),
        ("postgresql://u:planted@h/d?options=-csearch_path%3Dgpustack", "options"),
        ("postgresql://u:planted@h/d?sslmode=verify-full", "sslmode"),
    ],
)
def test_what_cannot_be_followed_is_refused_without_the_password(url: str, says: str) -> None:
    with pytest.raises(_database_url.DatabaseUrlError) as refused:
        _database_url.parse(url)
    assert says in str(refused.value)
    assert "planted" not in str(refused.value)
