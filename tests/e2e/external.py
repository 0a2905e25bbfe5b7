# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A legacy server of the lab whose rows are in a real database beside its host; here PostgreSQL."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote

from tests.e2e import secrets
from tests.lab import docker, fill, history, hosts, legacy, lifecycle
from tests.lab.api import wait_until
from tests.lab.errors import LabError
from tests.lab.fleet import Fleet
from tests.lab.hosts import Host
from tests.lab.layout import Options

AnyDatabase = TypeVar("AnyDatabase", bound="Served")

IMAGE = "gpustack-lab/gpustack-database:bookworm"
ROLE = "gpustack"
#: Every character that has a meaning in URLs, in libpq's password file, or in SQL.
PASSWORD = "lab:p@ss/w%rd\\'06"
NAME = "gpustack"
#: Makes a cluster that lets in by password alone, and serves it.
_SERVE = """
set -e
programs=$(ls -d /usr/lib/postgresql/*/bin)
mkdir -p /srv/database && chown postgres /srv/database
gosu postgres "$programs/initdb" -D /srv/database -E UTF8 --auth-host=scram-sha-256 --auth-local=trust >/dev/null
echo 'host all all all scram-sha-256' >>/srv/database/pg_hba.conf
exec gosu postgres "$programs/postgres" -D /srv/database -c 'listen_addresses=*'
"""


class Served(Protocol):
    """A database in the network of a fleet."""

    @property
    def url(self) -> str:
        """The URL of the server's database."""

    @property
    def name(self) -> str:
        """The server's database."""

    def ask(self, sql: str, database: str = ...) -> list[list[str]]:
        """Rows of a query, asked as the administrator; of the server's database where none is named."""

    def names(self) -> set[str]:
        """The databases that are the server's or beside it."""

    def write_past(self) -> None:
        """Write load samples and usage of earlier days, which no API can write."""


@dataclass(frozen=True)
class Database:
    """A PostgreSQL in the network of a fleet."""

    container: str
    address: str
    name: str = NAME

    @property
    def url(self) -> str:
        """The URL of the server's database."""
        return f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@{self.address}:5432/{NAME}"

    def ask(self, sql: str, database: str = NAME) -> list[list[str]]:
        """Rows of a query, asked as the superuser within the container."""
        argv = ["exec", self.container, "psql", "-U", "postgres", "-AtF", "\t", "-d", database, "-c", sql]
        return [line.split("\t") for line in docker.out(*argv).splitlines()]

    def names(self) -> set[str]:
        """The databases of the server's role."""
        return {row[0] for row in self.ask(f"SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = '{ROLE}'")}

    def write_past(self) -> None:
        """Write load samples and usage of earlier days, which no API can write."""
        self.ask(
            "INSERT INTO system_loads (timestamp, cpu, ram, gpu, vram) SELECT extract(epoch FROM now())::int - 60 * n, "
            f"n % 100 + 0.1, n % 73 / 7.0, n % 61, n % 97 FROM generate_series({history.SAMPLES}, 1, -1) n"
        )
        self.ask(
            "INSERT INTO model_usages (user_id, model_id, date, prompt_token_count, completion_token_count, "
            "request_count, operation) SELECT u.id, m.id, current_date - n, 1000 * n + m.id, 100 * n, n, "
            "'CHAT_COMPLETION' FROM models m, (SELECT min(id) AS id FROM users) u, "
            f"generate_series({history.DAYS}, 1, -1) n"
        )


def start(fleet: Fleet, image: str, script: str) -> tuple[str, str]:
    """Start a database's container in a fleet's network, to be removed with it; its name and address."""
    name = f"{hosts.network(fleet.data['name'])}-database"
    address = str(ipaddress.ip_network(fleet.data["subnet"])[250])
    own = ["--name", name, "--label", f"{lifecycle.LABEL}={fleet.data['name']}"]
    place = ["--network", hosts.network(fleet.data["name"]), "--ip", address]
    docker.run("run", "--detach", *own, *place, "--entrypoint", "bash", image, "-c", script)
    return name, address


def plant_password() -> None:
    """Search for the database's password in the end."""
    secrets.plant({"password of the database": PASSWORD, "the same, encoded": quote(PASSWORD, safe="")})


def serve(fleet: Fleet) -> Database:
    """Start a PostgreSQL with the server's role and an empty database; the fleet's end removes it."""
    database = Database(*start(fleet, IMAGE, _SERVE))
    name = database.container
    wait_until("PostgreSQL", lambda: _answers(database), 60, f"see `docker logs {name}`")
    password = PASSWORD.replace("'", "''")
    database.ask(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'", "postgres")
    database.ask(f"CREATE DATABASE {NAME} OWNER {ROLE}", "postgres")
    plant_password()
    return database


def _answers(database: Database) -> bool:
    try:
        # By TCP: while initdb is at work, a server of its own listens on the socket.
        docker.run("exec", database.container, "pg_isready", "-q", "-h", "127.0.0.1")
    except LabError:
        return False
    return True


def up(name: str, targets: tuple[str, ...]) -> tuple[Fleet, Database]:
    """A fleet of a server and one worker, filled, whose rows are in PostgreSQL."""
    return up_with(name, targets, serve)


def up_with(name: str, targets: tuple[str, ...], serving: Callable[[Fleet], AnyDatabase]) -> tuple[Fleet, AnyDatabase]:
    """The same with any kind of database, which is made beside the fleet."""
    options = Options(name, workers=1, gpu_workers=0, targets=targets, fill=False, snapshot=False)
    fleet = lifecycle.up(options)
    server, worker = fleet.hosts["server"], fleet.hosts["worker1"]
    for host in (server, worker):
        hosts.execute(host, "docker", "rm", "--force", options.container_name)
        hosts.execute(host, "sh", "-c", f"rm -rf {legacy.DIRECTORY}/*")
    database = serving(fleet)
    _start(fleet, server, worker, database)
    fleet.data.update(fill.run(fleet, lambda _options, _server: database.write_past()))
    fleet.save()
    return fleet, database


def _start(fleet: Fleet, server: Host, worker: Host, database: Served) -> None:
    arguments = ["--disable-worker", "--database-url", database.url]
    since = time.time()
    hosts.execute(server, *legacy.run_command(fleet.options, server, arguments))
    legacy.wait_serving(server)
    token = legacy.read_secret(fleet.options, server, "token")
    legacy.start_worker(fleet.options, worker, server, token)
    initial = legacy.read_secret(fleet.options, server, "initial_admin_password")
    fleet.data["admin"] = lifecycle.take_over_admin(initial, server)
    found = legacy.wait_ready(fleet.admin(), {"worker1"}, since)
    fleet.data["workers"] = [lifecycle.worker_facts(each) for each in found]
