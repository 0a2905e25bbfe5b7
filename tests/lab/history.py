# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The past of a legacy server: load samples and usage of earlier days, which no API can write.

They are inserted by a second connection while the server runs, as SQLite allows under write-ahead logging. So they
come to lie where the server's own latest rows lie: in `database.db-wal`, as long as it does not checkpoint.
"""

from __future__ import annotations

import json

from tests.lab import hosts, legacy
from tests.lab.hosts import Host
from tests.lab.layout import Options

SAMPLES = 2000
DAYS = 30

_INSERT = f"""
import datetime, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30)
now = int(time.time())
samples = [(now - 60 * n, n % 100 / 1.0, n % 73 / 1.0, n % 61 / 1.0, n % 97 / 1.0) for n in range({SAMPLES}, 0, -1)]
today = datetime.date.today()
with connection:
    connection.executemany('INSERT INTO system_loads (timestamp, cpu, ram, gpu, vram) VALUES (?, ?, ?, ?, ?)', samples)
    users = [row[0] for row in connection.execute('SELECT id FROM users ORDER BY id')]
    models = [row[0] for row in connection.execute('SELECT id FROM models ORDER BY id')]
    for days in range({DAYS}, 0, -1):
        day = (today - datetime.timedelta(days=days)).isoformat()
        for model in models:
            row = (users[(days + model) % len(users)], model, day, 1000 * days + model, 100 * days, days)
            connection.execute(
                "INSERT INTO model_usages (user_id, model_id, date, prompt_token_count, completion_token_count,"
                " request_count, operation) VALUES (?, ?, ?, ?, ?, ?, 'CHAT_COMPLETION')", row)
connection.close()
"""

_COUNT = """
import json, sqlite3, sys
connection = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True, timeout=30)
tables = [row[0] for row in connection.execute(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")]
print(json.dumps({table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}))
"""


def insert(options: Options, server: Host) -> None:
    """Write the past into the database of a running legacy server."""
    hosts.execute(server, "python3", "-c", _INSERT, _database(options))


def count_rows(options: Options, server: Host) -> dict[str, int]:
    """The number of rows of every table, read without writing."""
    rows: dict[str, int] = json.loads(hosts.execute(server, "python3", "-c", _COUNT, _database(options)))
    return rows


def _database(options: Options) -> str:
    return f"{legacy.data_directory(options)}/database.db"
