# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of a serving server holds what is only in its write-ahead log: the trap of copying database.db alone."""

from __future__ import annotations

import json

from tests.e2e import outside, playbook
from tests.lab.fleet import Fleet, Reach

BACKUPS = "/var/backups/gpustack"


def users_in(host: Reach, database: str) -> set[str]:
    """The user names in a database file, read by SQLite from a copy of this file alone."""
    code = (
        "import shutil, sqlite3, sys, tempfile, os\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    copy = shutil.copy(sys.argv[1], os.path.join(folder, 'copy.db'))\n"
        "    rows = sqlite3.connect(copy).execute('SELECT username FROM users').fetchall()\n"
        "print('\\n'.join(row[0] for row in rows))\n"
    )
    return set(host.exec_root("python3", "-c", code, database).splitlines())


def test_a_backup_has_the_rows_of_the_write_ahead_log(fleet: Fleet) -> None:
    server = fleet.host("server")
    late = fleet.data["late_user"]["username"]
    before = outside.gpustack(server)["State"]["StartedAt"]
    assert late not in users_in(server, f"{outside.DATA_DIR}/database.db")

    done = playbook.run(fleet, "backup.yml")
    assert done.code == 0, done.output[-3000:]

    (backup,) = server.exec_root("ls", BACKUPS).split()
    manifest = json.loads(server.exec_root("cat", f"{BACKUPS}/{backup}/manifest.json"))
    assert late in users_in(server, f"{BACKUPS}/{backup}/recovered/database.db")
    assert manifest["database"]["counts"]["users"] == len(users_in(server, f"{BACKUPS}/{backup}/recovered/database.db"))
    modes = server.exec_root("find", f"{BACKUPS}/{backup}", "-printf", "%m %y\\n").splitlines()
    assert set(modes) == {"700 d", "600 f"}
    assert outside.gpustack(server)["State"]["StartedAt"] == before
