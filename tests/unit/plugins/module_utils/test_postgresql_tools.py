# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL's programs are given, and what of their complaints counts."""

from __future__ import annotations

from ansible_collections.fleetops.gpustack.plugins.module_utils import _database_url, _postgresql_tools

# As pg_restore 17.12 printed it against PostgreSQL 15.18.
HARMLESS = """\
pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"
Command was: SET transaction_timeout = 0;
pg_restore: warning: errors ignored on restore: 1"""
ANOTHER = HARMLESS.replace("restore: 1", "restore: 2")


def test_a_parameter_that_an_older_server_lacks_does_not_count() -> None:
    assert _postgresql_tools.only_harmless(HARMLESS)


def test_every_other_complaint_does() -> None:
    assert not _postgresql_tools.only_harmless(ANOTHER)
    assert not _postgresql_tools.only_harmless(ANOTHER + "\npg_restore: error: connection to server was lost")
    assert not _postgresql_tools.only_harmless("pg_restore: warning: errors ignored on restore: 1")


def test_the_password_file_keeps_what_separates_its_fields_apart() -> None:
    url = _database_url.DatabaseUrl("postgresql", "db", 5432, "u", "a:b\\c", "d", "prefer")
    assert _postgresql_tools.pass_line(url) == "*:*:*:*:a\\:b\\\\c\n"
