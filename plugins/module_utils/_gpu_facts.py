# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a host's evidence from which its GPU vendor is judged, in the form of the whole. Reads only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _discovery, _gpu_evidence
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import RunCommand
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import (
    DockerReader,
    DockerReaderError,
    engine_facts,
    unreachable_engine,
)

#: What of an installation speaks for a vendor.
INSTALLATION_KEYS = (
    "id",
    "name",
    "generation",
    "release",
    "role",
    "retired",
    "image",
    "runtime",
    "privileged",
    "devices",
    "device_requests",
    "environment",
)


def evidence(docker_host: str, sources: Mapping[str, Any], run: RunCommand) -> dict[str, Any]:
    """`gpu`, `engine` and `installations`; an engine that cannot be read says why in `engine.error`."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        gpu = pool.submit(_gpu_evidence.gpu, run, sources)
        engine, installations = _containers(docker_host)
        return {"gpu": gpu.result(), "engine": engine, "installations": installations}


def _containers(docker_host: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        reader = DockerReader(docker_host)
        engine = engine_facts(reader.version(), reader.info())
        containers = reader.inspect_all([container["Id"] for container in reader.containers()])
        images = reader.images(container["Image"] for container in containers if container.get("Image"))
    except DockerReaderError as error:
        return unreachable_engine(str(error)), []
    found = _discovery.find(containers, images, (), lambda _path: None)
    return engine, [{key: each.facts[key] for key in INSTALLATION_KEYS} for each in found]
