# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MySQL's programs are given."""

from __future__ import annotations

from ansible_collections.fleetops.gpustack.plugins.module_utils import _database_url, _mysql_tools


def test_the_option_file_keeps_what_has_a_meaning_there_as_it_is() -> None:
    url = _database_url.DatabaseUrl("mysql", "db", 3306, "u", "a#b\"c\\d'e", "d", "prefer")
    lines = _mysql_tools.option_file(url).splitlines()
    assert lines[0] == "[client]"
    assert 'password="a#b\\"c\\\\d\'e"' in lines
    assert 'host="db"' in lines
