# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is, seen past the collection: v2 in service with everything in it, or the legacy one as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases
from tests.e2e import outside
from tests.lab.api import wait_until
from tests.lab.fleet import Fleet, Reach

RELEASE = "2.2.3"
READY_SECONDS = 120.0
#: Tables whose rows all come along under their names; what the legacy server wrote after the lab counted comes on top.
TABLES = ("api_keys", "models", "model_usages", "system_loads")
#: What `docker inspect` shows of the moment and not of the definition.
PASSING = ("State", "NetworkSettings", "RestartCount", "ExecIDs")

#: What must keep its bytes; a host has some of these.
FILES = (
    *("database.db", "database.db-wal", "database.db-journal"),
    *("token", "jwt_secret_key", "initial_admin_password", "worker_name", "worker_uuid"),
)
_HASHES = f'cd "$0" && sha256sum {" ".join(FILES)} 2>/dev/null; true'
# Names, modes and owners of the directory's own entries, without what was put aside.
_LISTING = """cd "$0" && find . -maxdepth 1 -not -name '.gpustack-v2-*' -printf '%f %y %m %u %g\\n' | sort"""


@dataclass(frozen=True)
class Legacy:
    """A stopped legacy installation: bytes of its files, its directory, its container's definition."""

    files: str
    listing: str
    container: dict[str, Any]


def legacy(host: Reach, data_dir: str = outside.DATA_DIR) -> Legacy:
    """The legacy installation of a host as it is now."""
    container = outside.gpustack(host)
    networks = sorted(container["NetworkSettings"]["Networks"])
    definition = {key: value for key, value in container.items() if key not in PASSING}
    hashes, listing = files(host, data_dir)
    return Legacy(hashes, listing, {**definition, "Networks": networks})


def files(host: Reach, data_dir: str) -> tuple[str, str]:
    """The legacy files of a data directory: checksums of what must keep its bytes, names and modes of all."""
    return host.exec_root("sh", "-c", _HASHES, data_dir), host.exec_root("sh", "-c", _LISTING, data_dir)


def assert_identical(host: Reach, before: Legacy, data_dir: str = outside.DATA_DIR) -> None:
    """The legacy installation has its name back, and not a byte of it is another one."""
    assert outside.is_legacy(host)
    now = legacy(host, data_dir)
    assert now.files == before.files
    assert now.listing == before.listing
    assert now.container == before.container


def assert_v2(fleet: Fleet, name: str, finalized: bool = False) -> None:
    """A host runs the target release, is restarted by the engine, and has everything."""
    container = outside.gpustack(fleet.host(name))
    assert container["Config"]["Image"] == f"gpustack/gpustack:v{RELEASE}"
    assert container["State"]["Running"]
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    rollout = outside.ROLLOUT & set(outside.environment_of(container))
    assert bool(rollout) == (name == "server" and not finalized)
    if name == "server":
        _assert_rows(fleet)
    else:
        wait_ready(fleet, name)


def assert_clean(host: Reach, data_dir: str) -> None:
    """Nothing of the legacy installation and of v2's earlier tries is left but the backup."""
    assert set(outside.containers(host)) == {"gpustack"}
    assert not [name for name in host.exec_root("ls", "-A", data_dir).split() if name.startswith(".gpustack-v2-")]
    assert len(host.exec_root("ls", "/var/backups/gpustack").split()) == 1


def _assert_rows(fleet: Fleet) -> None:
    server = fleet.host("server")
    assert outside.status(f"{fleet.data['server_url']}/readyz") == 200
    head = _releases.find(RELEASE, allow_unproven=False).schema_head
    assert outside.psql(server, "SELECT version_num FROM alembic_version") == [[head]]
    counts = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in TABLES)
    found = {table: int(count) for table, count in outside.psql(server, counts)}
    short = {table: count for table, count in found.items() if count < fleet.data["rows"][table]}
    assert not short, f"the legacy server had {fleet.data['rows']}"
    users = {user["username"] for user in fleet.admin().items("/v2/users")}
    assert {user["username"] for user in fleet.data["users"]} | {fleet.data["late_user"]["username"]} <= users


def wait_ready(fleet: Fleet, name: str) -> None:
    """Wait until the v2 server calls a worker ready under its old identity, with a heartbeat of its new container."""
    container = outside.gpustack(fleet.host(name))
    since = container["State"]["StartedAt"][:19].replace("T", " ")
    sql = f"SELECT name, id, worker_uuid FROM workers WHERE state = 'READY' AND heartbeat_time > '{since}'"
    expected = {worker["name"]: [str(worker["id"]), worker["worker_uuid"]] for worker in fleet.data["workers"]}

    def ready() -> bool | None:
        found = {row[0]: row[1:] for row in outside.psql(fleet.host("server"), sql)}
        return True if found.get(name) == expected[name] else None

    wait_until(f"worker {name} to be READY", ready, READY_SECONDS, "see `docker logs gpustack` on that host")
