#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node
short_description: Switch a host from GPUStack 0.x to 2.x, or back
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Takes the GPUStack container of a host from a 0.x release to a 2.x release in one call. The old container is
    stopped, renamed and kept; of a server the database is saved, the saving is proven, the migration is watched, and
    every row is read back from the new database before the new container is accepted.
  - When anything fails on the way, v2's files are set aside and the old container is back with identical files.
  - The work is done by a process of its own session on the host, under a lock, with a journal. It survives the end of
    the connection and of the controller. Killed anywhere, the next run continues or goes back.
  - The Docker volumes and the model caches of the host are never removed, moved or changed.
requirements:
  - Python 3.8 or newer on the host.
  - The Docker SDK for Python, and psycopg 3.2 or newer on a server, or PyMySQL 1.1 or newer where its rows are in an
    external MySQL. O(state=prepared) puts them into a private virtual environment below O(state_dir) where they are
    missing, and the other states use that.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.docker
  - fleetops.gpustack.gpu_evidence
attributes:
  check_mode:
    support: full
    details:
      - Reads only, and needs no library. The image is not asked and the GPU trial is not made.
  diff_mode:
    support: full
    details:
      - Shows what the new container has that the old one lacks, and the reverse. Secrets are masked.
  idempotent:
    support: full
options:
  state:
    description:
      - What the host is to be.
    type: str
    required: true
    choices:
      prepared:
        - Libraries, image, GPU trial and the trial of an old database are done, beside the serving legacy container,
          which is not touched.
        - What was proven is noted in O(state_dir), where M(fleetops.gpustack.node_info) finds it. So a host that is
          prepared already needs no such call. The note is no change.
      upgraded:
        - The new release runs under the old container's name, proven. An interrupted attempt goes on where it was when
          the container that it had started runs undisturbed; otherwise it is undone and begun again.
      finalized:
        - The container is without the variables that only the roll-out needs, after one short restart.
      cleaned:
        - What the upgrade left behind is removed for good. Retired and set-aside containers, set-aside files of v2, the
          archives that were brought to the host, and backups beyond O(backup_keep) go. Volumes, and what lies in the
          data directory from before the upgrade, stay.
        - Refused unless the upgrade is finished, on a server finalized, and the new container runs and answers with the
          schema of its release. Afterwards O(state=legacy) is refused.
      legacy:
        - The old container is back under its name, with its files.
  installation:
    description:
      - Id or name of the legacy container, or id of the legacy systemd unit, as M(fleetops.gpustack.node_info) reports
        it.
      - Required with O(state=upgraded).
    type: str
  release:
    description:
      - The release to upgrade to, for example V(2.2.3).
      - Required with O(state=prepared) and O(state=upgraded).
    type: str
  image:
    description:
      - Reference of the new release's image.
      - Required with O(state=prepared) and O(state=upgraded).
    type: str
  image_id:
    description:
      - The image id or registry digest that O(image) must have, so that all hosts run the same.
    type: str
  image_archive:
    description:
      - Path on the host of an archive made by C(docker save), to load the image from instead of pulling it.
    type: path
  registry_username:
    description:
      - User for the registry that O(image) is pulled from.
    type: str
  registry_password:
    description:
      - Password for the registry that O(image) is pulled from. It goes to the Docker engine alone.
    type: str
  container_name:
    description:
      - Name of the new container. By default it takes over the legacy container's name, so that whatever would start
        the old one collides instead.
    type: str
  network:
    description:
      - Network of the new container, V(host) or V(bridge). By default as the legacy container.
    type: str
  gpu:
    description:
      - Container flags of the GPU vendor, as the plan lists them for the host.
    type: dict
    default: {}
  gpu_devices:
    description:
      - Devices to restrict the container to. All by default.
    type: list
    elements: str
    default: []
  extra_args:
    description:
      - Arguments of C(gpustack start) to add. Secrets are refused, because every process of the host could read them.
      - With O(state=prepared) and O(prepare_image), the image is asked whether its release takes them.
    type: list
    elements: str
    default: []
  extra_env:
    description:
      - Environment variables to add to the new container. They win over all others.
    type: dict
    default: {}
  extra_volumes:
    description:
      - Volumes to add to the new container, as C(docker run --volume) takes them.
    type: list
    elements: str
    default: []
  model_paths:
    description:
      - Paths of models with a local path, as the plan lists them. Where the legacy release runs without a container,
        those that are on the host are mounted into the new container under the same paths.
    type: list
    elements: str
    default: []
  rollout_env:
    description:
      - Environment variables for the time of the roll-out only. O(state=finalized) removes them again.
    type: dict
    default: {}
  expected_gpus:
    description:
      - The GPUs that the server has on record for this worker. The GPU trial has to see the same.
    type: list
    elements: dict
  gpu_gate:
    description:
      - How strictly the GPU trial compares. V(exact) asks for the same vendors, counts and indexes; V(at_least) for no
        fewer of each vendor, where the legacy container was restricted to some of the host's; V(vendor) for the same
        vendors, where GPUs are in MIG mode. What differs beyond that is warned of.
    type: str
    choices: [exact, at_least, vendor]
    default: exact
  worker_name:
    description:
      - The name under which the server knows this worker.
    type: str
  worker_uuid:
    description:
      - The uuid under which the server knows this worker.
    type: str
  server_url:
    description:
      - The server's URL for this worker. By default the one of its own legacy definition.
    type: str
  token:
    description:
      - The registration token. By default the one that is found in the legacy definition on the host itself.
      - Needed for a server whose token file was overwritten by v2; O(mend_wrecks) writes it into that file.
    type: str
  run_id:
    description:
      - Name of a new attempt, a time such as V(20261124T031500Z). By default the present time. An interrupted attempt
        keeps its own.
    type: str
  state_dir:
    description:
      - Directory for journal, lock, results, notes and the private virtual environment. One that is a symbolic link,
        that others can write into, or that belongs to another user is refused.
    type: path
    default: /var/lib/fleetops-gpustack
  backup_dir:
    description:
      - Directory in which every attempt has its backup. It is refused like O(state_dir).
    type: path
    default: /var/backups/gpustack
  backup_keep:
    description:
      - How many backups below O(backup_dir) O(state=cleaned) keeps, the newest ones, at least 1. The one of the upgrade
        is kept in any case, and so is whatever is not a finished backup of this collection.
    type: int
    default: 1
  stop_timeout:
    description:
      - Seconds that a container has to stop in before it is killed.
    type: int
    default: 60
  migration_timeout:
    description:
      - Seconds that the migration may take. V(0) means a bound that follows from the number of rows.
    type: int
    default: 0
  ready_timeout:
    description:
      - Seconds that a started container has to answer in.
    type: int
    default: 300
  on_failure:
    description:
      - What a failed switch means.
    type: str
    choices:
      rollback:
        - Everything back. A server's old container serves again, a worker's is left stopped.
      stop:
        - The new container is stopped and everything left as it is, for inspection.
    default: rollback
  accept_losses:
    description:
      - Classes of loss that the operator accepted. Kept in the journal.
    type: list
    elements: str
    default: []
  fix_permissions:
    description:
      - Whether a server's data directory is opened for v2's PostgreSQL, after its database and secrets were closed to
        others. O(state=legacy) puts the old modes back.
    type: bool
    default: false
  mend_wrecks:
    description:
      - Whether what an upgrade by hand left on the data directory is set aside first. v2 containers that somebody else
        started there are stopped and renamed, v2's files are moved into a directory beside them; nothing is deleted.
      - Without it a host with such a wreck is refused.
    type: bool
    default: false
  start:
    description:
      - Whether O(state=legacy) starts the old container.
    type: bool
    default: true
  wheels:
    description:
      - Path on the host of an archive of wheels to install the libraries from.
    type: path
  prepare_libraries:
    description:
      - Whether O(state=prepared) sees to the libraries.
    type: bool
    default: true
  prepare_image:
    description:
      - Whether O(state=prepared) sees to the image. O(prepare_trial) includes it.
    type: bool
    default: true
  prepare_trial:
    description:
      - Whether O(state=prepared) tries the image with the GPU flags.
    type: bool
    default: true
  prepare_schema:
    description:
      - Whether O(state=prepared) tries the image's migrator on a copy of the server's database, which is gone
        afterwards. Of use where that has the schema of a release before 0.7.1, which the migrator first has to change.
      - The copy is made through SQLite's backup API beside the serving server, in O(backup_dir). The migrator runs in a
        container without a network.
    type: bool
    default: false
  legacy_release:
    description:
      - Release of the legacy installation, where its container does not tell it. Defaults of options differ.
    type: str
  prepare_database:
    description:
      - Whether O(state=prepared) rehearses the upgrade of a legacy server's external PostgreSQL. A dump of the live
        database is restored into a scratch database beside it, O(image) upgrades that, and its rows are compared.
      - Nothing is done for a server with another database, or for a worker.
    type: bool
    default: false
  database_url:
    description:
      - URL of an empty external PostgreSQL database, C(postgresql://user:password@host:port/database), into which a
        server's SQLite database is migrated instead of the embedded one. Not for a server that has an external
        database already.
      - The role in it must own the database and be allowed to create others beside it, for the way back.
    type: str
  database_tools_image:
    description:
      - Image with the programs of a server's external database, C(pg_dump) and C(pg_restore) or C(mysqldump) and
        C(mysql). They must be of the version of that database's server or newer. It has to be present on the host.
      - O(image) when not given, which has those of PostgreSQL alone.
    type: str
  backup_legacy_image:
    description:
      - Whether O(state=prepared) saves the legacy container's image as an archive in O(backup_dir), named by the
        image's id, so that a legacy container which is pruned together with its image can be made again.
      - Takes as much room as the image has, and no downtime. An archive that is there already is kept.
    type: bool
    default: false
  runner_images:
    description:
      - Images that O(state=prepared) brings to the host, by the references that are asked of the engine. Those that are
        there already are kept.
    type: list
    elements: str
    default: []
  runner_backends:
    description:
      - Inference backends for which O(state=prepared) brings the images that O(image) wants on this host. A throw-away
        container of it, with O(gpu) and without a network, says which.
      - A backend for which it has none is a warning.
    type: list
    elements: dict
    default: []
    suboptions:
      backend:
        description: Name of the backend in 2.x, such as V(vLLM).
        type: str
        required: true
      backend_version:
        description: The version that the models ask for. Not set for the image's own choice.
        type: str
  runner_images_archive:
    description:
      - Path on the host of a C(docker save) archive with the runner images, to load instead of pulling.
    type: path
  default_registry:
    description:
      - Registry that 2.x puts before the references of runner images without one, its
        C(--system-default-container-registry).
    type: str
seealso:
  - module: fleetops.gpustack.node_info
  - module: fleetops.gpustack.fleet_info
  - module: fleetops.gpustack.legacy_install
"""

EXAMPLES = r"""
- name: Have everything there before the old server stops
  fleetops.gpustack.node:
    state: prepared
    installation: gpustack
    release: 2.2.3
    image: gpustack/gpustack:v2.2.3

- name: Switch the server
  fleetops.gpustack.node:
    state: upgraded
    installation: gpustack
    release: 2.2.3
    image: gpustack/gpustack:v2.2.3
    rollout_env:
      GPUSTACK_MODEL_INSTANCE_RESCHEDULE_GRACE_PERIOD: "86400"
  register: switched

- name: Restart it without the roll-out variables once all workers are back
  fleetops.gpustack.node:
    state: finalized

- name: Look what a cleanup would remove, and whether anything speaks against it
  fleetops.gpustack.node:
    state: cleaned
  check_mode: true

- name: Go back
  fleetops.gpustack.node:
    state: legacy
"""

RETURN = r"""
attempt:
  description: Name of the attempt.
  returned: when the host has or gets one
  type: str
  sample: 20261124T031500Z
outcome:
  description:
    - What became of the attempt, one of V(upgraded), V(finalized), V(cleaned), V(restored), V(stopped), V(unfinished)
      or V(none).
    - With V(restored) a failure left the host as it was before. With V(unfinished) the way back failed too.
  returned: when the host has or gets an attempt
  type: str
  sample: upgraded
steps:
  description: The steps that were done, with the seconds that each took.
  returned: when something was done
  type: list
  elements: dict
  sample: [{step: stop, seconds: 4.8}, {step: snapshot, seconds: 0.1}]
downtime:
  description:
    - Seconds from the stop of the old container to the acceptance of the new one, or to the old one's return.
    - With O(state=legacy) from the stop of the new container to the old one's return.
  returned: when a switch or a way back was made
  type: float
  sample: 15.2
backup:
  description: The backup of the attempt on the host.
  returned: when the host has or gets an attempt
  type: str
  sample: /var/backups/gpustack/20261124T031500Z
container:
  description:
    - The new container with name, id, image and image_id. With O(state=finalized) also when it was C(started), in
      seconds since the epoch; a heartbeat that is younger was sent to this container.
  returned: with O(state=upgraded) and O(state=finalized)
  type: dict
  sample: {name: gpustack, id: 4f0c, image: "gpustack/gpustack:v2.2.3"}
legacy_container:
  description: The name that the legacy container has now.
  returned: with O(state=upgraded) and O(state=legacy)
  type: str
  sample: gpustack-legacy-20261124T031500Z
parity:
  description: The rows of the saved database against those of the new one, per table.
  returned: when a server's rows were compared
  type: dict
  sample: {equal: true, tables: [{table: users, before: 3, after: 5, identical: 3}]}
raised:
  description:
    - The schema head of the saved database, C(from), and that C(to) which the new release's migrator brings it before
      rows are copied, with the rows that this C(dropped), by table.
  returned: with O(state=upgraded), when a server's database has the schema of a release before 0.7.1
  type: dict
  sample: {from: e6bf9e067296, to: d19176de3b74, dropped: {api_keys: 1}}
worker:
  description: Name and uuid of the worker, as they lie in its data directory.
  returned: with O(state=upgraded), when a worker was switched
  type: dict
  sample: {name: gpu1, uuid: 9b93ec4c-d1d3-435e-ad41-3b17ef61ae12}
schema:
  description: What RV(raised) says, of the trial with a copy of the serving database.
  returned: with O(state=prepared), when O(prepare_schema) found an old database
  type: dict
  sample: {from: e6bf9e067296, to: d19176de3b74, dropped: {}}
leftovers:
  description: What of the legacy container is not carried over as it was, with the reason. Secrets are masked.
  returned: with O(state=upgraded)
  type: list
  elements: dict
  sample: [{item: --enable-ray, value: "True", action: dropped, reason: v2 starts Ray by itself, loss: dropped_options}]
removed_environment:
  description: The roll-out variables that were removed.
  returned: with O(state=finalized), when something was done
  type: list
  elements: str
  sample: [GPUSTACK_DATA_MIGRATION]
data_dir:
  description: The data directory of the legacy container that is back, on the host.
  returned: with O(state=legacy), when something was done
  type: str
  sample: /data/gpustack
restored_files:
  description: The legacy files that were put right because they were not what the backup says, with what differed.
  returned: with O(state=legacy), when something was done
  type: list
  elements: str
  sample: ["initial_admin_password (absent)", "token (content)"]
restored_modes:
  description: Paths that got their old mode back.
  returned: with O(state=legacy), when something was done
  type: dict
  sample: {/data/gpustack: "0750"}
set_aside:
  description: Where v2's C(containers), the C(directories) with its files and its external C(databases) are now.
  returned: with O(state=legacy), when something was done
  type: dict
  sample:
    containers: [gpustack-failed-20261124T031500Z]
    directories: [/data/gpustack/.gpustack-v2-20261124T031500Z]
    databases: []
stopped_models:
  description: Containers in which v2's worker ran models. They were stopped, because they hold the GPUs, and are kept.
  returned: with O(state=legacy), when something was done
  type: list
  elements: str
recreated:
  description: Whether the legacy container was gone and was made again from its saved definition.
  returned: with O(state=legacy), when something was done
  type: bool
image:
  description: The image with id, registry digests and version.
  returned: with O(state=prepared)
  type: dict
  sample: {id: "sha256:4f0c", repo_digests: [], version: 2.2.3}
runner_images:
  description: The images in which 2.x will run models on this host, and which are there.
  returned: with O(state=prepared), where O(runner_images) or O(runner_backends) is given
  type: list
  elements: str
  sample: ["gpustack/runtime:pause", "gpustack/runner:cuda12.8-vllm0.17.1"]
gpus:
  description: The GPUs that the trial container sees.
  returned: with O(state=prepared), on a worker
  type: list
  elements: dict
  sample: [{vendor: nvidia, index: 0, name: NVIDIA A100-SXM4-80GB}]
removed:
  description:
    - What was, or in check mode would be, removed. C(containers) and
      C(databases) by name, C(files), C(state) and C(backups) by path.
  returned: with O(state=cleaned)
  type: dict
  sample:
    containers: [gpustack-legacy-20261124T031500Z]
    files: [/data/gpustack/.gpustack-v2-20261123T031500Z]
    state: [/var/lib/fleetops-gpustack/wheels.tar]
    backups: []
    databases: []
actions:
  description: What was, or in check mode would be, done.
  returned: with O(state=prepared)
  type: list
  elements: str
  sample: ["pull image gpustack/gpustack:v2.2.3"]
"""

import re
import time
from typing import Any, Callable, Mapping

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _cleanup,
    _finalize,
    _masking,
    _os_errors,
    _prepare,
    _respawn,
    _restore,
    _server_database,
    _snapshot,
    _switch,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError, describe
from ansible_collections.fleetops.gpustack.plugins.module_utils._detached import DetachedError
from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader, DockerReaderError
from ansible_collections.fleetops.gpustack.plugins.module_utils._engine import EngineError
from ansible_collections.fleetops.gpustack.plugins.module_utils._gates import GateError
from ansible_collections.fleetops.gpustack.plugins.module_utils._image import ImageError
from ansible_collections.fleetops.gpustack.plugins.module_utils._lock import LockHeldError
from ansible_collections.fleetops.gpustack.plugins.module_utils._server_database_error import ServerDatabaseError
from ansible_collections.fleetops.gpustack.plugins.module_utils._snapshot import SnapshotError

RUN: dict[str, Callable[[Mapping[str, Any], bool, Callable[[str], None]], dict[str, Any]]] = {
    "upgraded": _switch.run,
    "finalized": _finalize.run,
    "cleaned": _cleanup.run,
    "legacy": _restore.run,
}
RUN_ID = re.compile(r"\d{8}T\d{6}Z")
#: What the parts raise when something stands in the way. ValueError: a definition that cannot be understood.
EXPECTED = (
    SwitchError,
    GateError,
    SnapshotError,
    DetachedError,
    DockerReaderError,
    EngineError,
    ImageError,
    LockHeldError,
    OSError,
    ValueError,
    _prepare.PrepareError,
    ServerDatabaseError,
    _respawn.MissingLibraryError,
)


def libraries(params: Mapping[str, Any]) -> list[str]:
    """What this call has to import: a server's rows are read back from its database."""
    if params["state"] == "cleaned":
        return _cleanup.libraries(params)
    if params["state"] == "legacy":
        return _restore.libraries(params)
    if params["state"] != "upgraded":
        return ["docker"]
    record = DockerReader(params["docker_host"]).inspect(params["installation"])
    is_server = record is not None and describe(record).facts["role"] != "worker"
    return ["docker", _server_database.library(record)] if is_server else ["docker"]


def needs_libraries(state: str, check_mode: bool) -> bool:
    """Check mode reads without any; but for the gates of a cleanup, which look into PostgreSQL on an upgraded host."""
    return state == "cleaned" or (state != "prepared" and not check_mode)


def keep_only_secrets_hidden(module: AnsibleModule) -> None:
    """`extra_env` and `extra_args` stay out of logs as a whole; in results only what is secret in them is masked."""
    environment = {name: str(value) for name, value in module.params["extra_env"].items()}
    arguments = module.params["extra_args"]
    plain = [each for each, masked in zip(arguments, _masking.mask_argv(arguments)) if each == masked]
    others = {module.params[name] for name in ("token", "registry_password", "database_url")}
    secrets = {name for name, value in environment.items() if _masking.mask_value(name, value) != value}
    shown = {value for name, value in environment.items() if name not in secrets} | set(plain)
    module.no_log_values.difference_update(shown - {environment[name] for name in secrets} - others)


def carry_out(module: AnsibleModule, params: Mapping[str, Any]) -> dict[str, Any]:
    if params["state"] == "prepared":
        return _prepare.run(params, module.check_mode, module.debug, module.run_command)
    return RUN[params["state"]](params, module.check_mode, module.debug)


def finish(module: AnsibleModule, result: dict[str, Any]) -> None:
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


#: A backend in use, as the plan names it.
RUNNER_BACKEND = {"backend": {"type": "str", "required": True}, "backend_version": {"type": "str"}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "required": True,
                "choices": ["prepared", "upgraded", "finalized", "cleaned", "legacy"],
            },
            "installation": {"type": "str"},
            "release": {"type": "str"},
            "image": {"type": "str"},
            "image_id": {"type": "str"},
            "image_archive": {"type": "path"},
            "registry_username": {"type": "str"},
            "registry_password": {"type": "str", "no_log": True},
            "container_name": {"type": "str"},
            "network": {"type": "str"},
            "gpu": {"type": "dict", "default": {}},
            "gpu_devices": {"type": "list", "elements": "str", "default": []},
            "extra_args": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "extra_env": {"type": "dict", "default": {}, "no_log": True},
            "extra_volumes": {"type": "list", "elements": "str", "default": []},
            "model_paths": {"type": "list", "elements": "str", "default": []},
            "rollout_env": {"type": "dict", "default": {}},
            "expected_gpus": {"type": "list", "elements": "dict"},
            "gpu_gate": {"type": "str", "choices": ["exact", "at_least", "vendor"], "default": "exact"},
            "gpu_sources": {"type": "dict", "default": {}},
            "worker_name": {"type": "str"},
            "worker_uuid": {"type": "str"},
            "server_url": {"type": "str"},
            "token": {"type": "str", "no_log": True},
            "run_id": {"type": "str"},
            "state_dir": {"type": "path", "default": "/var/lib/fleetops-gpustack"},
            "backup_dir": {"type": "path", "default": "/var/backups/gpustack"},
            "backup_keep": {"type": "int", "default": 1},
            "stop_timeout": {"type": "int", "default": 60},
            "migration_timeout": {"type": "int", "default": 0},
            "ready_timeout": {"type": "int", "default": 300},
            "on_failure": {"type": "str", "choices": ["rollback", "stop"], "default": "rollback"},
            "accept_losses": {"type": "list", "elements": "str", "default": []},
            "fix_permissions": {"type": "bool", "default": False},
            "mend_wrecks": {"type": "bool", "default": False},
            "start": {"type": "bool", "default": True},
            "wheels": {"type": "path"},
            "prepare_libraries": {"type": "bool", "default": True},
            "prepare_image": {"type": "bool", "default": True},
            "prepare_trial": {"type": "bool", "default": True},
            "prepare_schema": {"type": "bool", "default": False},
            "legacy_release": {"type": "str"},
            "prepare_database": {"type": "bool", "default": False},
            "database_tools_image": {"type": "str"},
            "database_url": {"type": "str", "no_log": True},
            "backup_legacy_image": {"type": "bool", "default": False},
            "runner_images": {"type": "list", "elements": "str", "default": []},
            "runner_backends": {"type": "list", "elements": "dict", "default": [], "options": RUNNER_BACKEND},
            "runner_images_archive": {"type": "path"},
            "default_registry": {"type": "str"},
            "docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"},
        },
        required_if=[
            ("state", "prepared", ["release", "image"]),
            ("state", "upgraded", ["installation", "release", "image"]),
        ],
        supports_check_mode=True,
    )
    keep_only_secrets_hidden(module)
    # The module's own way to run a command, for the parts that ask systemd.
    params = dict(module.params, run_command=module.run_command)
    params["run_id"] = params["run_id"] or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    if not RUN_ID.fullmatch(params["run_id"]):
        module.fail_json(msg=f"run_id {params['run_id']!r} is no time such as 20261124T031500Z.")
    try:
        for directory in (params["state_dir"], params["backup_dir"]):
            _snapshot.require_private(directory)
        if needs_libraries(params["state"], module.check_mode):
            _respawn.ensure(libraries(params), params["state_dir"])
        result = carry_out(module, params)
    except EXPECTED as error:
        module.fail_json(msg=_os_errors.explain(error), **getattr(error, "facts", {}))
    finish(module, result)


if __name__ == "__main__":
    main()
