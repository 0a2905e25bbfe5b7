# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in which v2 runs inference engines on this host: which it will want, and bringing them ahead of downtime.

The image of the release decides. A throw-away container of it, with the flags of the real one and without a network,
asks GPUStack's own code: the devices by the detector of its worker, then the image for a backend by the method that
starts a model (2.0.0 to 2.2.3: worker/backends/base.py, InferenceServer._resolve_image; `gpustack list-images` prints
the table behind it). Every model needs two small images beside it: that of the container that holds the network, and
that of the one that restarts an unhealthy engine (gpustack_runtime/envs.py).
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_trial, _image
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader

#: What a model's backend was called by 0.x, to its name in 2.x (2.0.0: migrations/versions, bb9ce21dcc10).
BACKENDS = {"vllm": "vLLM", "ascend-mindie": "MindIE", "vox-box": "VoxBox"}
#: Marks the one line of the answer, whatever else the image prints.
ANSWER = "fleetops-gpustack-answer "

#: Runs in the image's own Python. It reads no configuration and starts nothing.
QUESTION = """
import json, sys
from types import SimpleNamespace
from gpustack.detectors.runtime.runtime import Runtime
from gpustack.worker.backends.base import InferenceServer
from gpustack_runtime import envs

devices = Runtime().gather_gpu_info()

def image_of(backend, version):
    server = SimpleNamespace(_model=SimpleNamespace(image_name=None, backend=backend, backend_version=version))
    server.inference_backend = None
    server._get_selected_gpu_devices = lambda: devices
    server._worker = SimpleNamespace(status=SimpleNamespace(gpu_devices=[]))
    server._get_device_info = lambda: InferenceServer._get_device_info(server)
    return (InferenceServer._resolve_image(server) or (None, None))[0]

wanted = json.loads(sys.argv[1])
print("\\nANSWER" + json.dumps({
    "images": [image_of(each["backend"], each["backend_version"]) for each in wanted],
    "support": [envs.GPUSTACK_RUNTIME_DOCKER_PAUSE_IMAGE, envs.GPUSTACK_RUNTIME_DOCKER_UNHEALTHY_RESTART_IMAGE],
}))
""".replace("ANSWER", ANSWER)


class RunnerImageError(Exception):
    """A runner image cannot be named, or cannot be had."""


class Wanted(NamedTuple):
    """The references that v2 will ask the engine for, and the backends for which it has no image on this host."""

    references: list[str]
    without: list[dict[str, Any]]


def asks(params: Mapping[str, Any]) -> bool:
    """Whether this host is to have runner images at all."""
    return bool(params["runner_images"] or params["runner_backends"])


def named(params: Mapping[str, Any]) -> Wanted:
    """What the operator names."""
    return Wanted(list(dict.fromkeys(params["runner_images"])), [])


def ask(client: Any, image: str, params: Mapping[str, Any]) -> Wanted:
    """What the image of the release wants for the backends in use on this host."""
    backends = params["runner_backends"]
    command = ["python3", "-c", QUESTION, json.dumps(backends)]
    with _gpu_trial.container(client, image, params["run_id"], params["gpu"] or {}, params["state_dir"]) as container:
        answer = parse(_gpu_trial.question(client, container, command, "which runner images do you want"))
    found = answer["images"]
    without = [backend for backend, reference in zip(backends, found) if not reference]
    raw = [reference for reference in found if reference]
    if raw:
        raw = [*answer["support"], *raw]
    references = [with_registry(reference, params["default_registry"]) for reference in raw]
    return Wanted(list(dict.fromkeys([*references, *params["runner_images"]])), without)


def parse(answer: _gpu_trial.Answer) -> dict[str, Any]:
    """The answer out of what the image printed."""
    for line in reversed(answer.output.splitlines()):
        if line.startswith(ANSWER):
            return dict(json.loads(line[len(ANSWER) :]))
    raise RunnerImageError(
        "the image does not say which runner images it wants; name them in gpustack_runner_images (`gpustack "
        "list-images` in the image lists all that there are)"
    )


def with_registry(reference: str, registry: str | None) -> str:
    """The reference as v2 asks the engine for it (2.0.0 to 2.2.3: apply_registry_override). Pure.

    Without a registry v2 asks Docker Hub, and quay.io where it reaches that alone.
    """
    first, slash, _rest = reference.partition("/")
    if not registry or (slash and ("." in first or ":" in first or first == "localhost")):
        return reference
    return f"{registry.strip().rstrip('/')}/{reference}"


def missing(reader: DockerReader, references: Iterable[str]) -> list[str]:
    """Those that the engine does not have."""
    wanted = list(references)
    present = reader.images(wanted)
    return [reference for reference in wanted if reference not in present]


def bring(client: Any, reader: DockerReader, references: Sequence[str], params: Mapping[str, Any]) -> None:
    """Load or pull what is missing; all of it is there afterwards."""
    archive = params["runner_images_archive"]
    absent = missing(reader, references)
    if archive and absent:
        _image.load_all(client, archive)
        absent = missing(reader, references)
        if absent:
            raise RunnerImageError(
                f"archive {archive} lacks {', '.join(absent)}, which v2 wants on this host; make it anew with `docker "
                f"save {' '.join(references)}`, or leave gpustack_runner_images_archive out to pull them"
            )
    for reference in absent:
        request = _image.ImageRequest(reference, None, None, params["registry_username"], params["registry_password"])
        _image.fetch(client, request, WAYS_OUT)
    still = missing(reader, absent)
    if still:
        raise RunnerImageError(f"the engine fetched {', '.join(still)} but does not know it by that name")


def proof(references: Iterable[str], reader: DockerReader, params: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, and the images that are there for it."""
    found = reader.images(references)
    return {"asked": asked(params), "images": {reference: image["Id"] for reference, image in found.items()}}


def asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The question, which the next run compares with its own. Pure."""
    return {
        "images": list(given["runner_images"]),
        "backends": [dict(backend) for backend in given["runner_backends"]],
        "registry": given["default_registry"] or "",
    }


def backend_name(backend: Mapping[str, Any]) -> str:
    """A backend as a person calls it. Pure."""
    return " ".join(str(part) for part in (backend["backend"], backend["backend_version"]) if part)


#: What helps when a runner image cannot be had.
WAYS_OUT = _image.WaysOut(
    space="free space in the file system of the engine's root directory (`docker info` names it)",
    archive="make the archive again with `docker save`, and check that it arrived whole",
    access="check gpustack_system_default_container_registry, gpustack_registry_username and "
    "gpustack_registry_password",
    unknown="the registry has no such image: bring it with gpustack_runner_images_archive, name the registry that has "
    "it in gpustack_system_default_container_registry, or correct gpustack_runner_images",
    other="check the host's way to the registry, bring the image with gpustack_runner_images_archive, or set "
    "gpustack_runner_images to none: v2 then pulls it when the model starts",
)
