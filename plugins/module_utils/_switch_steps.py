# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that a server's and a worker's switch share. Each returns what the journal is to keep of it."""

from __future__ import annotations

import dataclasses
import os
import uuid
from typing import Any, Callable

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _container_spec,
    _data_dir_changes,
    _endpoints,
    _gates,
    _going_on,
    _layer,
    _masking,
    _recreate,
    _releases,
    _snapshot,
    _supervised,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import (
    SwitchError,
    Work,
    describe,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import new_file, write_atomically
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import is_running, name_of
from ansible_collections.fleetops.gpustack.plugins.module_utils._journal import fsync_directory

WORKER_TOKEN = "worker_token"
SAVED_FILES = (*_snapshot.LEGACY_FILES, WORKER_TOKEN)
LOG_LINES = 30


@dataclasses.dataclass
class Progress:
    """What the steps hand on to each other within one switch."""

    legacy: dict[str, Any]
    spec: dict[str, Any]
    #: The copy of the configuration file that the new container reads, with secrets.
    config_copy: str | None = None
    container_id: str = ""
    #: What was copied, until a manifest says it.
    files: list[_snapshot.FileRecord] = dataclasses.field(default_factory=list)
    manifest: dict[str, Any] = dataclasses.field(default_factory=dict)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


Step = Callable[[Work, Progress], "dict[str, Any]"]


def keep_copy(work: Work, progress: Progress) -> dict[str, Any]:
    """A stopped copy of a container that its stop deletes, made before that."""
    save_definition(work, progress)
    return {"container": _supervised.keep_copy(work, progress.legacy)}


def stop_legacy(work: Work, _progress: Progress) -> dict[str, Any]:
    """Stop the old container so that nothing revives it; note which start of it that ended, and its directory."""
    started = _supervised.stop(work)
    return {"entries": _data_dir_changes.entries(work.attempt.data_dir), "legacy_started": started}


def copy_out(work: Work, _progress: Progress) -> dict[str, Any]:
    """Data in the old container's own layer goes into a volume of its own; the layer stays as it is."""
    return _layer.copy_out(work)


def save_definition(work: Work, progress: Progress) -> None:
    """The old container's definition, as it was before anything was changed."""
    _snapshot.make_backup_dir(work.attempt.backup)
    path = os.path.join(work.attempt.backup, _snapshot.DEFINITION)
    if not os.path.exists(path):
        # Where an earlier run had stopped it already, its restart policy is ours by now.
        host = {**progress.legacy["HostConfig"], "RestartPolicy": dict(work.attempt.restart_policy)}
        write_atomically(path, {**progress.legacy, "HostConfig": host})


def is_kept(work: Work) -> bool:
    """Whether an earlier run of this attempt left a proven backup of these very files; any other is put aside."""
    attempt = work.attempt
    if not os.path.exists(attempt.manifest):
        return False
    differences = _snapshot.compare_with(attempt.data_dir, _snapshot.read_manifest(attempt.backup))
    if not any(difference.what in _snapshot.BYTES for difference in differences):
        return True
    put_backup_aside(work)
    return False


def put_backup_aside(work: Work) -> None:
    """A finished backup of an earlier try of this attempt makes way for a newer one."""
    if os.path.exists(work.attempt.manifest):
        os.rename(work.attempt.backup, _free_path(work.attempt.backup + "-superseded"))


def _free_path(path: str) -> str:
    number, candidate = 1, path
    while os.path.lexists(candidate):
        number += 1
        candidate = f"{path}-{number}"
    return candidate


def manifest_head(work: Work) -> dict[str, Any]:
    """What a manifest says besides its files."""
    attempt = work.attempt
    return {
        "attempt": attempt.name,
        "data_dir": attempt.data_dir,
        "legacy": {
            "id": attempt.legacy_id,
            "name": attempt.legacy_name,
            "restart_policy": dict(attempt.restart_policy),
        },
    }


def pre_seed_identity(work: Work, _progress: Progress) -> dict[str, Any]:
    """Write the name and uuid under which the server knows this worker; an old worker_token would contradict them."""
    data_dir, params = work.attempt.data_dir, work.params
    written = []
    name = params["worker_name"]
    if name and name != _read(data_dir, "worker_name"):
        written.append(write_file(data_dir, "worker_name", name + "\n"))
    if _read(data_dir, "worker_name") is None:
        raise SwitchError(
            f"{data_dir}/worker_name does not exist and no worker_name was given: v2 would register a new worker. Give "
            "the name under which the server knows this one."
        )
    known, own = params["worker_uuid"], _read(data_dir, "worker_uuid")
    if not own or (known and known != own):
        written.append(write_file(data_dir, "worker_uuid", (known or str(uuid.uuid4())) + "\n"))
    if os.path.exists(os.path.join(data_dir, WORKER_TOKEN)):
        os.unlink(os.path.join(data_dir, WORKER_TOKEN))  # a copy lies in the backup
    worker = {"name": _read(data_dir, "worker_name"), "uuid": _read(data_dir, "worker_uuid")}
    return {"written": written, "worker": worker}


def retire_legacy(work: Work, _progress: Progress) -> dict[str, Any]:
    """The old container gives its name to the new one; a supervisor then collides instead of reviving the old."""
    attempt = work.attempt
    record = _recreate.legacy_record(work)
    if record is None:
        raise SwitchError(
            f"The legacy container {attempt.legacy_name} is gone since it was stopped; somebody removed it. Its "
            f"definition lies in {attempt.backup}/container.json."
        )
    if name_of(record) != attempt.retired_name:
        _supervised.drop_copy(work)
        work.engine.rename(record["Id"], attempt.retired_name)
    return {"name": attempt.retired_name}


def create(work: Work, progress: Progress) -> dict[str, Any]:
    """Create the new container, which nothing restarts until it is accepted, and keep its definition for finalize.

    The configuration file stays as it is; where v2 would misread it, the container gets a copy in the data directory,
    which the way back sets aside like all that was not there before.
    """
    attempt = work.attempt
    if progress.config_copy is not None:
        write_file(attempt.data_dir, _config_file.COPY_NAME, progress.config_copy)
    wanted = _going_on.wanted(work.params, progress.spec)
    write_atomically(attempt.spec_file, wanted)
    progress.container_id = work.engine.create(attempt.container_name, _container_spec.create_body(wanted["spec"]))
    return {"container": progress.container_id}


def start(work: Work, progress: Progress) -> dict[str, Any]:
    """Start the new container; note which start of it that was."""
    work.engine.start(progress.container_id)
    record = work.engine.inspect(progress.container_id)
    return {"started": record["State"]["StartedAt"] if record else None}


def ready(work: Work, progress: Progress) -> dict[str, Any]:
    """Everything that others call has to answer."""
    answered = wait_for_container(work, progress.container_id)
    return {"answered": answered}


def wait_for_container(work: Work, container_id: str) -> list[str]:
    """Wait until a v2 container answers where others call it; what answered."""
    record = work.engine.inspect(container_id)
    if record is None or not is_running(record):
        raise _gates.GateError(exit_message(work, container_id))
    release = _releases.find(work.attempt.release, allow_unproven=True)
    endpoints = _endpoints.v2_endpoints(record, describe(record).settings, release, work.attempt.role)
    _gates.wait_until_ready(endpoints, lambda: runs(work, container_id), work.params["ready_timeout"])
    return [str(endpoint) for endpoint in endpoints]


def runs(work: Work, container_id: str) -> bool:
    """Whether a container is there and runs."""
    record = work.engine.inspect(container_id)
    return record is not None and is_running(record)


def accept(_work: Work, _progress: Progress) -> dict[str, Any]:
    """Nothing but the journal's entry: from here on the way leads forward, whatever happens."""
    return {}


def last(work: Work) -> None:
    """The new container inherits the old one's restart policy, or gets one that does its supervisor's work."""
    attempt = work.attempt
    if not runs(work, attempt.container_name):
        # The host was restarted between acceptance and this, and until now nothing but us starts the container.
        work.engine.start(attempt.container_name)
        wait_for_container(work, attempt.container_name)
    work.engine.set_restart_policy(attempt.container_name, attempt.lasting_policy)
    if attempt.lasting_policy.get("Name") in ("", "no"):
        work.warn(
            f"Container {attempt.container_name} has restart policy 'no', as the legacy container had: it will not "
            "come back by itself after a reboot. Change it with: docker update --restart unless-stopped "
            f"{attempt.container_name}"
        )


def exit_message(work: Work, container_id: str) -> str:
    """How a container that should run ended, with the end of its log."""
    record = work.engine.inspect(container_id)
    if record is None:
        return "The new container is gone; somebody removed it."
    state = record["State"]
    out_of_memory = " (out of memory)" if state.get("OOMKilled") else ""
    code = f"{state.get('ExitCode')}{out_of_memory}"
    return f"The new container stopped with exit code {code}.{log_text(work, container_id)}"


def log_text(work: Work, container_id: str) -> str:
    """The end of a container's log as part of a message, without secrets."""
    record = work.engine.inspect(container_id)
    if record is None:
        return ""
    secrets = secrets_of(record)
    lines = "\n".join(work.engine.log_tail(container_id, LOG_LINES))
    return f" Its last words:\n{_masking.mask_text(lines, secrets)}" if lines else " It printed nothing."


def secrets_of(record: dict[str, Any]) -> list[str]:
    """The secrets that a container was given, in its definition and in its configuration file."""
    own = _container_spec.secrets_of(_container_spec.from_inspect(record))
    return own + _masking.secret_values((), describe(record).settings.values)


def _read(data_dir: str, name: str) -> str | None:
    try:
        with open(os.path.join(data_dir, name), encoding="utf-8") as text:
            return text.read().strip()
    except FileNotFoundError:
        return None


def write_file(data_dir: str, name: str, value: str) -> str:
    """A small file of the data directory, whole or not at all, for root alone; its name."""
    temporary = os.path.join(data_dir, name + ".new")
    with os.fdopen(new_file(temporary), "w", encoding="utf-8") as text:
        text.write(value)
        text.flush()
        os.fsync(text.fileno())
    os.rename(temporary, os.path.join(data_dir, name))
    fsync_directory(data_dir)
    return name
