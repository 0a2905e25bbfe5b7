#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_info
short_description: The workers, models and model instances that a GPUStack server knows, read from its database
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Reads the server's view from its database, SQLite for GPUStack 0.x and the embedded PostgreSQL for 2.x, in one
    form for both. Needs neither the API nor a password of it. Runs on the server's host.
  - Can wait until every expected worker is READY under its old id, name and uuid, with the same GPUs, and has sent a
    heartbeat since a given time. The database is asked every two seconds until then.
  - Vendor, number and index of GPUs must be equal. Their names and memory sizes are read by other means in 2.x, so a
    difference there only warns.
  - Reads only. A live SQLite database is opened so that not even its shared memory file changes.
options:
  generation:
    description:
      - V(legacy) for GPUStack 0.x, V(v2) for 2.x.
    type: str
    choices: [legacy, v2]
    required: true
  data_dir:
    description:
      - The data directory of the server on the host.
    type: path
    required: true
  expected:
    description:
      - Workers that must be there, as this module or M(fleetops.gpustack.node_info) returned them before.
      - Of each, C(id), C(name), C(uuid) (not when it is empty, as releases before 0.7 knew none) and C(gpus) are
        compared. C(since) of a worker goes before O(since). Its other keys are ignored.
      - O(on_timeout) says what follows when one of them is not as expected after O(wait) seconds.
    type: list
    elements: dict
    default: []
  since:
    description:
      - A heartbeat must not be older than this, in seconds since the epoch by the clock of the server's host. Give
        the time at which the new container was started.
    type: float
  wait:
    description:
      - For how many seconds to wait for O(expected).
    type: int
    default: 0
  settle:
    description:
      - For how many seconds without a break all of O(expected) must be as expected. Where that begins within O(wait),
        its end is waited for.
      - A 2.x server looks every 15 seconds whether it reaches a worker's API, gives each look 20 seconds, and only then
        writes what it saw (gpustack/server/worker_syncer.py). A look that began while a worker was being switched may
        so turn a worker that is READY to UNREACHABLE for a while. V(20) outlasts it.
    type: int
    default: 0
  expected_models:
    description:
      - Models that ran on the legacy server, each with C(id), C(name), C(source), C(backend), C(backend_version) and
        C(instances), its running instances with C(id) and C(updated). They are judged in RV(model_judgements); one that
        does not run is no failure of this module.
    type: list
    elements: dict
    default: []
  models_wait:
    description:
      - For how many seconds to wait until O(expected_models) run, once O(expected) are as expected. A model that cannot
        run whatever one waits for is not waited for.
    type: int
    default: 0
  on_timeout:
    description:
      - What it means when an expected worker is not as expected after O(wait) seconds.
    type: str
    choices:
      fail:
        - The module fails and names what is missing.
      report:
        - The module succeeds, and RV(judgements) says what is missing. For callers that hold each worker to it by
          itself.
    default: fail
requirements:
  - Python 3.8 or newer with its C(sqlite3) module.
  - psycopg 3.2 or newer for O(generation=v2), or PyMySQL 1.1 or newer where the rows are in an external MySQL.
    M(fleetops.gpustack.node) with O(fleetops.gpustack.node#module:state=prepared) brings it.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.attributes.info_module
  - fleetops.gpustack.postgresql
seealso:
  - module: fleetops.gpustack.node_info
  - module: fleetops.gpustack.migration_info
"""

EXAMPLES = r"""
- name: Read which workers the old server knows
  fleetops.gpustack.fleet_info:
    generation: legacy
    data_dir: /data/gpustack
  become: true
  register: before

- name: Wait until the new server has all of them back
  fleetops.gpustack.fleet_info:
    generation: v2
    data_dir: /data/gpustack
    expected: "{{ before.workers }}"
    wait: 300
  become: true
"""

RETURN = r"""
workers:
  description: The workers.
  returned: success or when an expected worker is not as expected
  type: list
  elements: dict
  contains:
    id:
      description: Id.
      type: int
    name:
      description: Name.
      type: str
    hostname:
      description: Host name.
      type: str
    ip:
      description: Address.
      type: str
    port:
      description: Port of its API.
      type: int
    uuid:
      description: UUID. Empty for workers of releases before 0.7.
      type: str
    state:
      description: State in lower case.
      type: str
      sample: ready
    state_message:
      description: What the server says about the state.
      type: str
    heartbeat:
      description: Time of the last heartbeat in seconds since the epoch.
      type: float
    gpus:
      description: GPUs, each with C(vendor), C(index), C(name), C(memory) in bytes, and C(uuid).
      type: list
      elements: dict
    system_reserved:
      description: What is kept for the system.
      type: dict
models:
  description: The models, each with C(id), C(name), C(source), C(reference), C(backend), C(backend_version),
    C(replicas) and C(ready_replicas).
  returned: success or when an expected worker is not as expected
  type: list
  elements: dict
model_instances:
  description:
    - The instances of models, each with C(id), C(name), C(model_id), C(model_name), C(worker_id), C(worker_name),
      C(subordinate_worker_ids), C(gpu_indexes), C(state), C(state_message) and C(updated), the time of its last change
      in seconds since the epoch.
  returned: success or when an expected worker is not as expected
  type: list
  elements: dict
judgements:
  description: One for each of O(expected).
  returned: success or when an expected worker is not as expected
  type: list
  elements: dict
  contains:
    name:
      description: Name of the worker.
      type: str
    problems:
      description: Why it is not as expected. Empty when it is.
      type: list
      elements: str
    warnings:
      description: What differs and does not matter.
      type: list
      elements: str
model_judgements:
  description: One for each of O(expected_models).
  returned: success or when an expected worker is not as expected
  type: list
  elements: dict
  contains:
    id:
      description: Id of the model.
      type: int
    name:
      description: Name of the model.
      type: str
    ran:
      description: How many instances ran on the legacy server.
      type: int
    runs:
      description: How many instances run now. One whose state 2.x has not written itself since is not counted.
      type: int
    replicas:
      description: How many instances the server is asked for now. V(none) for a model that it does not have.
      type: int
    problems:
      description: Why it does not run as before. Empty when it does.
      type: list
      elements: str
    hopeless:
      description: Whether waiting cannot help.
      type: bool
    instances:
      description:
        - Its instances now, each with C(id), C(name), C(worker_name), C(state), C(state_message), C(untouched) (2.x has
          not changed it since it was copied) and C(runs).
      type: list
      elements: dict
seconds:
  description: How long the module waited for the workers.
  returned: success or when an expected worker is not as expected
  type: float
model_seconds:
  description: How long the module waited for the models after that.
  returned: success or when an expected worker is not as expected
  type: float
"""

import contextlib
import os
import time
from typing import Any, Callable, Iterator

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _database_address,
    _fleet_records,
    _models,
    _postgres,
    _respawn,
    _server_database,
    _snapshot,
    _sqlite_reader,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DEFAULT_DOCKER_HOST,
    DockerReaderError,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._server_database_error import ServerDatabaseError

POLL_SECONDS = 2

_TABLES = {
    "workers": _fleet_records.worker_record,
    "models": _fleet_records.model_record,
    "model_instances": _fleet_records.model_instance_record,
}
#: What the records are made of; the rest, a worker's token among it, is not even read.
_COLUMNS = {
    "workers": "id, name, hostname, ip, port, worker_uuid, state, state_message, heartbeat_time, status, "
    "system_reserved",
    "models": "id, name, source, huggingface_repo_id, huggingface_filename, model_scope_model_id, "
    "model_scope_file_path, local_path, backend, backend_version, replicas, ready_replicas",
    "model_instances": "id, name, model_id, model_name, worker_id, worker_name, distributed_servers, gpu_indexes, "
    "state, state_message, updated_at",
}


class FleetError(Exception):
    """The server's view could not be read."""


def legacy_fleet(data_dir: str) -> dict[str, list[dict[str, Any]]]:
    """The view of a 0.x server."""
    path = os.path.join(data_dir, _snapshot.DATABASE)
    if not os.path.exists(path):
        raise FleetError(f"{path} is not there; name the data directory of a GPUStack 0.x server.")
    try:
        with _sqlite_reader.opened(path, live=True) as connection:
            tables = _sqlite_reader.table_names(connection)
            return {
                table: _sqlite_reader.records(connection, tables, table, convert) for table, convert in _TABLES.items()
            }
    except Exception as error:
        if not _sqlite_reader.is_sqlite_error(error):
            raise
        raise FleetError(_sqlite_reader.sqlite_problem(path, error)) from error


def external_fleet(connection: Any) -> dict[str, list[dict[str, Any]]]:
    """The view of a 0.x server with an external database, whose tables have further columns that tell of a model."""
    cursors = {table: connection.execute(f"SELECT * FROM {table} ORDER BY id") for table in _TABLES}
    fleet = {table: list(records_of(cursor, table)) for table, cursor in cursors.items()}
    connection.rollback()
    return fleet


def v2_fleet(connection: Any) -> dict[str, list[dict[str, Any]]]:
    """The view of a 2.x server, all of it at one moment."""
    try:
        fleet = {table: list(v2_records(connection, table)) for table in _TABLES}
        connection.rollback()
    except connection.Error as error:
        raise FleetError(
            f"The database does not answer: {_postgres.explain(error)}; "
            "check that the v2 server runs and has finished its start."
        ) from None
    return fleet


def v2_records(connection: Any, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table as records."""
    yield from records_of(connection.execute(f"SELECT {_COLUMNS[table]} FROM {table} ORDER BY id"), table)


def records_of(cursor: Any, table: str) -> Iterator[dict[str, Any]]:
    """What a query found in a table, as records."""
    names = [column.name for column in cursor.description]
    for row in cursor:
        yield _TABLES[table](dict(zip(names, row)))


@contextlib.contextmanager
def reader(params: dict[str, Any]) -> Iterator[Callable[[], Any]]:
    """How to read the fleet, for as long as the context lasts."""
    if is_local(params):
        yield lambda: legacy_fleet(params["data_dir"])
        return
    view = v2_fleet if params["generation"] == "v2" else external_fleet
    with contextlib.closing(_server_database.connect_by_params(params)) as connection:
        yield lambda: view(connection)


def is_local(params: dict[str, Any]) -> bool:
    """Whether the rows are in the SQLite of the data directory."""
    return params["generation"] == "legacy" and not _server_database.is_external(params)


def awaited(read: Callable[[], Any], params: dict[str, Any]) -> dict[str, Any]:
    """The fleet as soon as all expected workers are as expected, or what it is when the time is over."""
    started = good_since = time.monotonic()
    while True:
        fleet = read()
        judgements = _fleet_records.judge(params["expected"], fleet["workers"], params["since"])
        now = time.monotonic()
        good = not any(judgement["problems"] for judgement in judgements)
        if not good:
            good_since = now
        left = params["wait"] - (now - started)
        if (good and now - good_since >= params["settle"]) or (not good and left <= 0):
            return dict(fleet, judgements=judgements, seconds=round(now - started, 1), changed=False)
        # The interval between two looks. Past the end of `wait` only workers that are good are looked at on, until they
        # have been so for `settle` seconds or are no longer.
        time.sleep(min(POLL_SECONDS, left) if left > 0 else POLL_SECONDS)


def with_models(read: Callable[[], Any], params: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The result with what is said of the models that ran, as soon as all of them do, or when the time is over."""
    wait = 0 if any(judgement["problems"] for judgement in result["judgements"]) else params["models_wait"]
    started, fleet = time.monotonic(), result
    while True:
        judgements = _models.judge(params["expected_models"], fleet["models"], fleet["model_instances"])
        waited = time.monotonic() - started
        if waited >= wait or not any(each["problems"] and not each["hopeless"] for each in judgements):
            return {**result, **fleet, "model_judgements": judgements, "model_seconds": round(waited, 1)}
        time.sleep(min(POLL_SECONDS, wait - waited))
        fleet = read()


def problem_text(judgements: list[dict[str, Any]]) -> str:
    """What is missing, per worker."""
    return "; ".join(
        "worker {}: {}".format(judgement["name"], ", ".join(judgement["problems"]))
        for judgement in judgements
        if judgement["problems"]
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "generation": {"type": "str", "choices": ["legacy", "v2"], "required": True},
            "data_dir": {"type": "path", "required": True},
            "host": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 5432},
            "container": {"type": "str"},
            "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
            "expected": {
                "type": "list",
                "elements": "dict",
                "default": [],
            },
            "expected_models": {"type": "list", "elements": "dict", "default": []},
            "models_wait": {"type": "int", "default": 0},
            "since": {"type": "float"},
            "wait": {"type": "int", "default": 0},
            "settle": {"type": "int", "default": 0},
            "on_timeout": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
            "state_dir": {"type": "path", "default": "/var/lib/fleetops-gpustack"},
        },
        supports_check_mode=True,
    )
    try:
        if not is_local(module.params):
            _respawn.ensure([_server_database.library_by_params(module.params)], module.params["state_dir"])
        with reader(module.params) as read:
            result = with_models(read, module.params, awaited(read, module.params))
    except (
        FleetError,
        DockerReaderError,
        SwitchError,
        ServerDatabaseError,
        _database_address.AddressError,
        _respawn.MissingLibraryError,
        _sqlite_reader.DatabaseError,
        OSError,
    ) as error:
        module.fail_json(msg=f"The server's view of its fleet cannot be read: {error}")
    problems = problem_text(result["judgements"])
    if problems and module.params["on_timeout"] == "fail":
        module.fail_json(
            msg="After {} s these workers are not as expected: {}. Look at the worker's container "
            "(docker logs) and at its server URL, token, clock and GPU flags.".format(result["seconds"], problems),
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
