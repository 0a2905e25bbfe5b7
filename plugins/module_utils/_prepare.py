# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be done before the switch, beside the serving legacy container: libraries, image, GPU trial."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _attempt,
    _database_tools,
    _external_database,
    _external_rehearsal,
    _fleet_records,
    _gpu_evidence,
    _gpu_trial,
    _host_facts,
    _image,
    _legacy_image,
    _libraries,
    _options,
    _os_errors,
    _parity,
    _prepared,
    _raised_snapshot,
    _runner_images,
    _schema_trial,
    _server_database,
    _snapshot,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import HostLock, LockHeldError
from ansible_collections.fleetops.gpustack.plugins.module_utils._server_database_error import ServerDatabaseError

#: What the parts raise when the host cannot be prepared.
EXPECTED = (
    _image.ImageError,
    _gpu_trial.TrialError,
    _legacy_image.LegacyImageError,
    _options.OptionsError,
    _raised_snapshot.RaiseError,
    _runner_images.RunnerImageError,
    _snapshot.SnapshotError,
    _attempt.SwitchError,
    _parity.ParityError,
    ServerDatabaseError,
    _database_tools.ToolsError,
    DockerReaderError,
    EngineError,
    LockHeldError,
    OSError,
)


class PrepareError(Exception):
    """The host cannot be prepared. `facts` are for the module's result: what was found up to there."""

    def __init__(self, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts


def run(
    params: Mapping[str, Any], check_mode: bool, report: Callable[[str], None], run_command: RunCommand
) -> dict[str, Any]:
    """Prepare the host, or in check mode say what that would do; nothing is written then."""
    result: dict[str, Any] = {"changed": False, "actions": [], "warnings": [], "image": None, "gpus": None}
    result["schema"] = None
    try:
        if check_mode:
            _prepare(params, True, result, report, run_command)
        else:
            with HostLock(params["state_dir"], params["run_id"]):
                _prepare(params, False, result, report, run_command)
    except _libraries.LibrariesError as error:
        raise PrepareError(str(error), {**_facts(result), "wheels_wanted": error.wanted}) from None
    except EXPECTED as error:
        raise PrepareError(_os_errors.explain(error), _facts(result)) from None
    return result


def _facts(result: dict[str, Any]) -> dict[str, Any]:
    """What a failed result says beside its message; a warning is moot then."""
    return {name: value for name, value in result.items() if name != "warnings"}


def _prepare(
    params: Mapping[str, Any],
    check_mode: bool,
    result: dict[str, Any],
    report: Callable[[str], None],
    run_command: RunCommand,
) -> None:
    reader = DockerReader(params["docker_host"])
    report("libraries")
    _have_libraries(params, reader, check_mode, result, run_command)
    if params["backup_legacy_image"]:
        report("legacy image")
        _save_legacy_image(params, reader, check_mode, result)
    with_image = params["prepare_image"] or params["prepare_trial"] or params["prepare_schema"]
    with_runners = _runner_images.asks(params)
    if not (with_image or with_runners):
        return
    report("image")
    _have_image(params, reader, check_mode, result)
    if with_image and not check_mode:
        report("trial")
        _try_image(params, reader, result, run_command)
    if with_runners:
        report("runner images")
        _have_runner_images(params, reader, check_mode, result)


def _have_libraries(
    params: Mapping[str, Any],
    reader: DockerReader,
    check_mode: bool,
    result: dict[str, Any],
    run_command: RunCommand,
) -> None:
    """The other parts need the Docker SDK: with `prepare_libraries` off it has to be there already."""
    build = params["prepare_libraries"]
    server = build and _is_server(reader, params["installation"])
    database = _server_database.kind(
        reader.inspect(params["installation"]) if server and params["installation"] else None
    )
    only_look = check_mode or not build
    outcome = _libraries.ensure(run_command, params["state_dir"], server, params["wheels"], only_look, database)
    if outcome["changed"] and not build:
        if check_mode:
            return
        raise EngineError(
            f"neither {sys.executable} nor {outcome['python']} has the Docker SDK for Python; "
            "run with prepare_libraries: true, or install it"
        )
    _note(result, outcome["actions"])
    result["libraries"] = outcome["versions"]
    if outcome["python"] != sys.executable and not check_mode:
        _libraries.activate(params["state_dir"])


def _have_image(params: Mapping[str, Any], reader: DockerReader, check_mode: bool, result: dict[str, Any]) -> None:
    request = _image.ImageRequest(
        params["image"],
        params["image_id"],
        params["image_archive"],
        params["registry_username"],
        params["registry_password"],
    )
    found = _image.find(reader, request)
    if found is None:
        if not check_mode:
            _image.fetch(Engine(params["docker_host"]).client, request)
        _note(result, [_image.describe(request)])
        if check_mode:
            return
        found = _image.find(reader, request)
    if found is None:
        raise _image.ImageError(
            f"the engine fetched image {request.reference} but does not know it by that name; write gpustack_image "
            "as `docker image ls` shows it"
        )
    result["image"] = found


def _have_runner_images(
    params: Mapping[str, Any], reader: DockerReader, check_mode: bool, result: dict[str, Any]
) -> None:
    """The images in which v2 will run models here. Which ones, only a container of the image can tell."""
    if check_mode and params["runner_backends"]:
        backends = ", ".join(_runner_images.backend_name(backend) for backend in params["runner_backends"])
        _note(result, [f"have the runner images that {params['image']} wants for {backends}"])
        return
    wanted = _runner_images.named(params)
    if params["runner_backends"]:
        client = Engine(params["docker_host"]).client
        wanted = _runner_images.ask(client, result["image"]["id"], params)
    absent = _runner_images.missing(reader, wanted.references)
    archive = params["runner_images_archive"]
    if absent and not check_mode:
        _runner_images.bring(Engine(params["docker_host"]).client, reader, wanted.references, params)
    _note(result, [f"load {each} from {archive}" if archive else f"pull {each}" for each in absent])
    result["runner_images"] = wanted.references
    result["warnings"].extend(
        f"v2 has no runner image for {_runner_images.backend_name(backend)} on this host; models of it will not start"
        for backend in wanted.without
    )
    if not check_mode:
        proof = _runner_images.proof(wanted.references, reader, params)
        _prepared.add_runner_images(params["state_dir"], proof)


def _save_legacy_image(
    params: Mapping[str, Any], reader: DockerReader, check_mode: bool, result: dict[str, Any]
) -> None:
    record = reader.inspect(params["installation"] or "")
    if record is None or _legacy_image.find(params["backup_dir"], record) is not None:
        return
    if not check_mode:
        _legacy_image.save(Engine(params["docker_host"]), record, params["backup_dir"])
    path = _legacy_image.archive_path(params["backup_dir"], record["Image"])
    _note(result, [f"save image {record['Config']['Image']} to {path}"])


def _try_image(
    params: Mapping[str, Any], reader: DockerReader, result: dict[str, Any], run_command: RunCommand
) -> None:
    """Ask the image for its release, and what it makes of arguments, GPUs and database; note what that proves."""
    client = Engine(params["docker_host"]).client
    image = result["image"]
    _prepared.forget(params["state_dir"])
    owner = params["state_dir"]  # of several containers on one machine each has a state directory of its own
    arguments = params["extra_args"]
    _options.check_extra_arguments(arguments)
    answers = _gpu_trial.ask(
        client, image["id"], params["run_id"], params["gpu"], params["prepare_trial"], owner, arguments
    )
    image["version"] = answers["version"]
    result["gpus"] = answers["gpus"]
    _image.check_version(image["reference"], answers["version"], params["release"])
    if params["prepare_trial"] and params["expected_gpus"] is not None:
        _compare(params["expected_gpus"], answers["gpus"], params["gpu_gate"], result)
    schema = _try_schema(params, reader, client, result) if params["prepare_schema"] else None
    rehearsed = _rehearse(params, result) if params["prepare_database"] else None
    trial = _trial(params, run_command) if params["prepare_trial"] else None
    _prepared.write(params["state_dir"], image, trial, schema=schema, database=rehearsed, arguments=arguments)


def _try_schema(
    params: Mapping[str, Any], reader: DockerReader, client: Any, result: dict[str, Any]
) -> dict[str, Any] | None:
    """Whether the image's migrator takes the server's database; what that would drop is worth a warning."""
    record = reader.inspect(params["installation"] or "")
    facts = _attempt.describe(record).facts if record else {}
    directory = (facts.get("data_dir") or {}).get("read_path")
    if directory is None or not os.path.exists(os.path.join(directory, _snapshot.DATABASE)):
        return None
    raised = _schema_trial.try_schema(
        client, result["image"]["id"], directory, facts["running"], params["backup_dir"], params["run_id"]
    )
    result["schema"] = {"from": raised.head_before, "to": raised.facts.schema_head, "dropped": raised.dropped}
    return _prepared.schema_proof(raised.head_before)


def _rehearse(params: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any] | None:
    """Try the upgrade of an external database on a copy; None where the server has none."""
    engine = Engine(params["docker_host"])
    record = engine.inspect(params["installation"] or "")
    if record is None or not _external_database.is_external(record):
        return None
    proven = _external_rehearsal.rehearse(params, engine, record, result["image"]["id"])
    _note(result, ["rehearse the upgrade on a copy of the external database"])
    return proven


def _trial(params: Mapping[str, Any], run_command: RunCommand) -> dict[str, Any]:
    """The circumstances of the trial. It may have made device nodes, so the host's GPUs are looked at after it."""
    gpu = _gpu_evidence.gpu(run_command, params["gpu_sources"])
    return _prepared.trial_proof(params["gpu"], params["expected_gpus"], _host_facts.boot_id(), gpu)


def _compare(expected: list[dict[str, Any]], seen: list[dict[str, Any]], gate: str, result: dict[str, Any]) -> None:
    comparison = _fleet_records.compare_gpus(expected, seen, gate)
    result["warnings"].extend(comparison.warnings)
    if comparison.problems:
        raise _gpu_trial.TrialError(
            "a trial container of the new image does not see the GPUs that the legacy worker has: "
            f"{'; '.join(comparison.problems)}. Legacy record: {_listed(expected)}. New image: {_listed(seen)}. "
            "Mend the driver or the container toolkit, or set gpustack_gpu_vendor and gpustack_gpu_devices"
        )


def _listed(gpus: list[dict[str, Any]]) -> str:
    return ", ".join(f"{gpu['index']} {gpu['vendor']} {gpu['name']}" for gpu in gpus) or "none"


def _is_server(reader: DockerReader, installation: str | None) -> bool:
    """Whatever is not surely a worker gets the server's libraries."""
    container = reader.inspect(installation) if installation else None
    if container is None:
        return True
    return bool(_attempt.describe(container).facts["role"] != "worker")


def _note(result: dict[str, Any], actions: list[str]) -> None:
    result["actions"].extend(actions)
    result["changed"] = result["changed"] or bool(actions)
