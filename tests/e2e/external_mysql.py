# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A legacy server of the lab whose rows are in a real MySQL beside its host."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from tests.e2e import external
from tests.lab import base_image, docker, history, seed
from tests.lab.api import wait_until
from tests.lab.errors import LabError
from tests.lab.fleet import Fleet

IMAGE = base_image.MYSQL
USER = "gpustack"
#: The underscore and what follows it have a meaning in the patterns of grants.
NAME = "gpu_stack"
_SOCKET = "/srv/database/mysqld.sock"
#: Its time zone is not UTC, so that nothing goes well by chance.
_SERVE = f"""
set -e
useradd --system mysql
install -d -o mysql /srv/database
options="--no-defaults --user=mysql --datadir=/srv/database --secure-file-priv="
mysqld $options --initialize-insecure
exec mysqld $options --socket={_SOCKET} --mysqlx=OFF --default-time-zone=+02:00
"""


@dataclass(frozen=True)
class Database:
    """A MySQL in the network of a fleet."""

    container: str
    address: str
    name: str = NAME

    @property
    def url(self) -> str:
        """The URL of the server's database."""
        return f"mysql://{USER}:{quote(external.PASSWORD, safe='')}@{self.address}:3306/{NAME}"

    def ask(self, sql: str, database: str = NAME) -> list[list[str]]:
        """Rows of a query, asked as the administrator within the container."""
        argv = ["exec", self.container, "mysql", "-u", "root", f"--socket={_SOCKET}", "--batch", "--skip-column-names"]
        return [line.split("\t") for line in docker.out(*argv, "--execute", sql, database).splitlines()]

    def names(self) -> set[str]:
        """The databases that are not MySQL's own."""
        own = "'mysql', 'sys', 'information_schema', 'performance_schema'"
        query = f"SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ({own})"
        return {row[0] for row in self.ask(query, "mysql")}

    def write_past(self) -> None:
        """Write load samples and usage of earlier days, which no API can write."""
        self.ask(
            f"SET SESSION cte_max_recursion_depth = {history.SAMPLES}; "
            "INSERT INTO system_loads (timestamp, cpu, ram, gpu, vram) "
            f"WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {history.SAMPLES}) "
            "SELECT unix_timestamp() - 60 * n, n % 100 + 0.1, n % 73 / 7.0, n % 61, n % 97 FROM n ORDER BY n DESC"
        )
        self.ask(
            "INSERT INTO model_usages (user_id, model_id, date, prompt_token_count, completion_token_count, "
            f"request_count, operation) WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n "
            f"WHERE n < {history.DAYS}) SELECT u.id, m.id, current_date - INTERVAL n DAY, 1000 * n + m.id, 100 * n, n, "
            "'CHAT_COMPLETION' FROM models m, (SELECT min(id) AS id FROM users) u, n ORDER BY n DESC, m.id"
        )


def serve(fleet: Fleet) -> Database:
    """Start a MySQL with the server's user and an empty database, and bring its programs to the server's host."""
    database = Database(*external.start(fleet, base_image.ensure_mysql(), _SERVE))
    wait_until("MySQL", lambda: _answers(database), 90, f"see `docker logs {database.container}`")
    password = external.PASSWORD.replace("\\", "\\\\").replace("'", "''")
    database.ask(f"CREATE USER {USER} IDENTIFIED BY '{password}'", "mysql")
    database.ask(f"CREATE DATABASE {NAME}", "mysql")
    database.ask(f"GRANT ALL PRIVILEGES ON `gpu\\_stack`.* TO {USER}", "mysql")
    allow_copies(database)
    seed.load(fleet.hosts["server"], [IMAGE])
    external.plant_password()
    return database


def allow_copies(database: external.Served) -> None:
    """What the operator is asked for."""
    database.ask(f"GRANT ALL PRIVILEGES ON `gpu\\_stack\\_%`.* TO {USER}", "mysql")


def forbid_copies(database: external.Served) -> None:
    """Take that away again."""
    database.ask(f"REVOKE ALL PRIVILEGES ON `gpu\\_stack\\_%`.* FROM {USER}", "mysql")


def _answers(database: Database) -> bool:
    try:
        docker.run("exec", database.container, "mysqladmin", "-u", "root", f"--socket={_SOCKET}", "ping")
    except LabError:
        return False
    return True
