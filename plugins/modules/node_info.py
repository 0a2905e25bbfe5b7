#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Gather all evidence about the GPUStack installation of a host
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Finds the GPUStack containers of a host by their image and by what they start, whatever their names are, and reports
    everything that an upgrade from GPUStack 0.x to 2.x depends on.
  - Reads only. The Docker engine is asked with GET requests alone. A live SQLite database is opened so that not even
    its shared memory file changes, and a stopped one is read from a copy in memory.
  - What cannot be read is part of the evidence and does not fail the module. Secrets are never returned.
  - Judgement is not made here. The filter P(fleetops.gpustack.plan#filter) makes the plan from this evidence.
requirements:
  - Python 3.8 or newer, with its standard library.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.attributes.info_module
  - fleetops.gpustack.docker
  - fleetops.gpustack.gpu_evidence
options:
  salt:
    description:
      - Put before a registration token when its digest is made, so that tokens can be compared without being seen.
      - Without it, no digest is returned.
    type: str
    default: ""
  image:
    description:
      - Reference of an image whose presence on the host is looked up, for example V(gpustack/gpustack:v2.2.3).
    type: str
  container:
    description:
      - Name of the legacy container that this host of the inventory is about, where several GPUStack containers share
        one machine. The others are then returned as RV(siblings), and nothing else is said of them.
      - Without it, every installation of the machine is this host's.
    type: str
  data_dir:
    description:
      - The data directory on the host. Found in the container's definition when not given.
    type: path
  backup_dir:
    description:
      - Directory for backups. Used to report the file system that it is on, and which legacy images lie there.
    type: path
    default: /var/backups/gpustack
  state_dir:
    description:
      - Directory in which this collection keeps journal, lock, the note of the last preparation and private virtual
        environment.
    type: path
    default: /var/lib/fleetops-gpustack
  remote_tmp:
    description:
      - Directory into which Ansible lays files for the host first, the setting C(remote_tmp). Used to report the file
        system that it is on.
      - A path below C(~) is the login user's, where that user became root by sudo or doas.
    type: str
    default: ~/.ansible/tmp
  controller_clock:
    description:
      - The controller's time when it makes this call, in seconds since the epoch.
      - With it, the offset of the host's clock is returned.
    type: float
  connect:
    description:
      - Further TCP endpoints to try from this host, besides those that follow from the installation.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Host name or address.
        type: str
        required: true
      port:
        description: TCP port.
        type: int
        required: true
seealso:
  - module: fleetops.gpustack.gpu_facts
  - module: fleetops.gpustack.node
"""

EXAMPLES = r"""
- name: Gather the evidence of every host
  fleetops.gpustack.node_info:
    salt: "{{ run_salt }}"
    image: gpustack/gpustack:v2.2.3
  become: true
  register: node

- name: Show which release each installation runs
  ansible.builtin.debug:
    msg: "{{ item.name }} is a {{ item.role }} of GPUStack {{ item.release }}"
  loop: "{{ node.installations }}"
  loop_control:
    label: "{{ item.name }}"

- name: Learn whether the host reaches a registry
  fleetops.gpustack.node_info:
    connect:
      - host: registry.example.com
        port: 443
  become: true
"""

RETURN = r"""
host:
  description: The host itself.
  returned: always
  type: dict
  contains:
    hostname:
      description: Host name.
      type: str
    python:
      description: Version of the Python that ran the module.
      type: str
      sample: 3.11.2
    uid:
      description: Effective user id of the module. Much evidence needs V(0).
      type: int
    architecture:
      description: Machine architecture.
      type: str
      sample: x86_64
    clock:
      description: The host's time in seconds since the epoch.
      type: float
    clock_offset:
      description: The host's time minus O(controller_clock); none without it. The way to the host counts in.
      type: float
    boot_id:
      description: Identifier of this boot.
      type: str
    system_vendor:
      description: Vendor of the hardware or hypervisor.
      type: str
    proxy:
      description: Whether the module's environment or the engine has a proxy. Never the value.
      type: dict
      contains:
        http_proxy:
          description: A proxy for HTTP or HTTPS is set.
          type: bool
        no_proxy:
          description: Exceptions from it are set.
          type: bool
engine:
  description: The Docker engine.
  returned: always
  type: dict
  contains:
    reachable:
      description: Whether it could be read.
      type: bool
    error:
      description: Why not, and what to do.
      type: str
    version:
      description: Its version.
      type: str
      sample: 26.1.5
    api_version:
      description: The newest version of its API.
      type: str
    rootless:
      description: Whether it runs without root.
      type: bool
    userns_remap:
      description: Whether it maps user ids.
      type: bool
    podman:
      description: Whether Podman answers in its place.
      type: bool
    selinux:
      description: Whether it labels containers for SELinux.
      type: bool
    root_dir:
      description: Directory of its images and volumes.
      type: str
    storage_driver:
      description: Its storage driver.
      type: str
    runtimes:
      description: Names of the registered runtimes.
      type: list
      elements: str
    default_runtime:
      description: The runtime of containers that name none.
      type: str
installations:
  description:
    - Every GPUStack container, running or not, also those that this collection made or retired.
    - Every systemd unit in use that runs GPUStack without a container, and every such process that nobody keeps, in the
      same form. Its mounts are what a container with the same paths needs.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description:
        - What it is. A V(systemd) unit runs C(gpustack start) without a container, as upstream's installer script of
          0.x sets it up; a V(process) does so, and nothing keeps it.
      type: str
      choices: [container, systemd, process]
    id:
      description: Container id, or V(systemd:) and the unit.
      type: str
    name:
      description: Name of the container or unit.
      type: str
    image:
      description: The reference that the container was started by.
      type: str
    image_id:
      description: Id of its image.
      type: str
    image_archive:
      description: The archive of its image in O(backup_dir), or V(null).
      type: str
    created:
      description: When the container was made.
      type: str
    running:
      description: Whether it runs.
      type: bool
    status:
      description: The engine's word for its state.
      type: str
    generation:
      description: V(legacy) is 0.x, V(v2) is 2.x.
      type: str
      choices: [legacy, v2, unknown]
    release:
      description: The release, or V(null) when nothing tells it.
      type: str
      sample: 0.7.1
    release_source:
      description: What told the release.
      type: str
      choices: [tag, label, package, schema]
    role:
      description: V(both) is a server with an embedded worker.
      type: str
      choices: [server, worker, both]
    retired:
      description: Whether the name says that this collection retired it or set it aside.
      type: bool
    attempt:
      description: The attempt of this collection that made the container.
      type: str
    auto_remove:
      description: Whether the engine deletes it when it stops.
      type: bool
    restart_policy:
      description: Name and maximum retry count of the restart policy.
      type: dict
    supervisors:
      description: Everybody else who starts or replaces the container, the most binding one first.
      type: list
      elements: dict
      contains:
        kind:
          description: What it is.
          type: str
          choices: [compose, swarm, kubernetes, systemd, watchtower]
        name:
          description: Project and service, service, pod, unit or container.
          type: str
        file:
          description: The file that defines it, where there is one.
          type: str
        problem:
          description: Why a switch cannot take the container over from it, with the way out, or V(null).
          type: dict
          contains:
            cause:
              description: What stands in the way.
              type: str
            way_out:
              description: What to do about it.
              type: str
        unit:
          description: With V(systemd) what has to come back with the container.
          type: dict
          contains:
            name:
              description: The unit.
              type: str
            enabled:
              description: Whether it is started at boot.
              type: bool
            active:
              description: Whether it is started.
              type: bool
            makes:
              description: Whether it makes the container (C(docker run)), and does not only start it.
              type: bool
            removes:
              description: Whether it, or C(--rm) in it, removes the container.
              type: bool
            further:
              description: Of a unit without a container, its commands beside the main one, which are not carried over.
              type: list
              elements: str
    network_mode:
      description: Network mode.
      type: str
    published_ports:
      description: Forwarded ports, each with RV(ignore:container), RV(ignore:host_ip) and RV(ignore:host_port).
      type: list
      elements: dict
    args:
      description: Arguments of C(gpustack start), secrets masked.
      type: list
      elements: str
    environment:
      description: Variables that are not the image's own, secrets masked.
      type: dict
    mounts:
      description: Mounts with type, source, destination, name and rw.
      type: list
      elements: dict
    labels:
      description: Labels that are not the image's own, secrets masked.
      type: dict
    privileged:
      description: Whether it is privileged.
      type: bool
    runtime:
      description: Its runtime.
      type: str
    ipc_mode:
      description: Its IPC mode.
      type: str
    pid_mode:
      description: Its PID mode.
      type: str
    devices:
      description: Devices handed in, as the engine lists them.
      type: list
      elements: dict
    device_requests:
      description: What C(--gpus) asked for, as the engine lists it.
      type: list
      elements: dict
    shm_size:
      description: Size of its C(/dev/shm) in bytes.
      type: int
    hostname:
      description: Its host name.
      type: str
    user:
      description: The user it runs as, where it is not the image's default.
      type: str
    host_config:
      description: What is set of the engine's V(HostConfig), by the engine's names, without mounts and secrets.
      type: dict
    config_file:
      description:
        - The YAML configuration file, or V(null).
        - RV(ignore:option_names) and RV(ignore:option_values) are V(null) when it cannot be read.
      type: dict
      contains:
        path:
          description: Path in the container.
          type: str
        option_names:
          description: Its top-level keys.
          type: list
          elements: str
        option_values:
          description: Their values, secrets masked, as far as they are single ones (and C(system_reserved)).
          type: dict
        problem:
          description: Why it cannot be split at its keys, or V(null).
          type: str
    options_problem:
      description: Why arguments or configuration file cannot be understood.
      type: str
    data_dir:
      description: The data directory.
      type: dict
      contains:
        type:
          description: What holds it. V(layer) is the container itself.
          type: str
          choices: [bind, volume, anonymous, layer]
        host_path:
          description: Path on the host.
          type: str
        read_path:
          description: >-
            Path on the host to read it from now. Differs from RV(ignore:host_path) where a running container has its
            data in its own layer, because only there its locks on files are seen.
          type: str
        container_path:
          description: Path in the container.
          type: str
        volume:
          description: Name of the volume.
          type: str
    data:
      description: What the data directory holds, or V(null) when it cannot be read from the host.
      type: dict
      contains:
        uid:
          description: Owner.
          type: int
        gid:
          description: Group.
          type: int
        mode:
          description: Mode in octal.
          type: str
          sample: "0755"
        traversable_by_others:
          description: Whether the directory's own bits let user 9999, PostgreSQL of v2, in.
          type: bool
        filesystem:
          description: As one of RV(filesystems).
          type: dict
        files:
          description: Known files by name, each with size, mode, uid, gid and the time of the last change.
          type: dict
        v2_since:
          description: When PostgreSQL of v2 made its files there, in seconds since the epoch, or V(null).
          type: float
        v2_files:
          description: What a v2 release left there, as relative paths.
          type: list
          elements: str
        cache:
          description: What lies in the directory of downloaded models.
          type: list
          elements: str
    worker:
      description: Identity of the worker, for the roles V(worker) and V(both).
      type: dict
      contains:
        name:
          description: The name it registers by.
          type: str
        name_source:
          description: Where the name comes from.
          type: str
          choices: [argument, environment, config, file, hostname]
        uuid:
          description: Content of C(worker_uuid), or V(null).
          type: str
        port:
          description: Port of its API.
          type: int
        metrics_port:
          description: Port of a legacy worker's metrics.
          type: int
        ip:
          description: The address it was told to advertise, or V(null).
          type: str
        server_url:
          description: Where it finds its server. V(null) for an embedded worker.
          type: str
    token:
      description: The registration token, unseen.
      type: dict
      contains:
        source:
          description: Where it was found.
          type: str
          choices: [argument, environment, config, file, none]
        digest:
          description: SHA-256 of O(salt) and token.
          type: str
        reserved_prefix:
          description: Whether it begins with C(gpustack), which v2 does not take for a legacy token.
          type: bool
    server:
      description: Where the server listens and keeps its data, for the roles V(server) and V(both).
      type: dict
      contains:
        port:
          description: Port that users call.
          type: int
        api_port:
          description: Port of the internal API where it was set.
          type: int
        tls:
          description: Whether it has a certificate.
          type: bool
        database:
          description:
            - Kind (V(sqlite), V(embedded) or V(external)), masked URL, fingerprint of an external one, and path of
              an SQLite file of its own.
          type: dict
    database:
      description:
        - The database of a legacy server, SQLite or an external PostgreSQL, or V(null). The latter is read through the
          server's own container, in a read-only transaction, and has C(external) with what it says of itself.
      type: dict
      contains:
        size:
          description: Bytes of C(database.db).
          type: int
        wal_size:
          description: Bytes of C(database.db-wal).
          type: int
        journal_size:
          description: Bytes of C(database.db-journal).
          type: int
        hot_journal:
          description: Whether an unclean stop left a rollback journal that the database needs.
          type: bool
        readable:
          description: Whether it could be read.
          type: bool
        error:
          description: Why not.
          type: str
        schema_head:
          description: Revision of the schema.
          type: str
        release:
          description: The newest legacy release with this revision.
          type: str
        integrity:
          description: V(ok), or what SQLite found.
          type: str
        integrity_check:
          description: Which check was made. Large databases get V(quick_check) here and a full one on their snapshot.
          type: str
          choices: [integrity_check, quick_check]
        foreign_key_violations:
          description: Rows that point to rows that are not there.
          type: int
        counts:
          description: Rows per table.
          type: dict
        findings:
          description: Rows that the migration stumbles over, drops, or that cannot run afterwards.
          type: list
          elements: dict
          contains:
            code:
              description: What it is.
              type: str
            table:
              description: Where.
              type: str
            count:
              description: How many rows.
              type: int
            rows:
              description: Names of the first of them.
              type: list
              elements: str
        workers:
          description: Workers with id, name, hostname, ip, port, uuid, state, heartbeat, GPUs and reserved resources.
          type: list
          elements: dict
        models:
          description: Models.
          type: list
          elements: dict
        model_instances:
          description: Instances of models.
          type: list
          elements: dict
container:
  description: The option O(container), or V(null).
  returned: always
  type: str
siblings:
  description: GPUStack containers of other hosts of the inventory on the same machine. None without O(container).
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Container id.
      type: str
    name:
      description: Container name.
      type: str
    image:
      description: The reference that the container was started by.
      type: str
    generation:
      description: As in RV(installations).
      type: str
      choices: [legacy, v2, unknown]
    role:
      description: As in RV(installations).
      type: str
      choices: [server, worker, both]
    retired:
      description: As in RV(installations).
      type: bool
    running:
      description: Whether it runs.
      type: bool
places:
  description: Where this collection keeps things of this host.
  returned: always
  type: dict
  contains:
    backup_dir:
      description: The option O(backup_dir).
      type: str
    state_dir:
      description: The option O(state_dir).
      type: str
gpu:
  description: Evidence about accelerators.
  returned: always
  type: dict
  contains:
    devices:
      description: Device nodes.
      type: list
      elements: str
    pci:
      description: PCI devices of accelerator classes, each with address, vendor, device and class.
      type: list
      elements: dict
    modules:
      description: Loaded kernel modules.
      type: list
      elements: str
    paths:
      description: Files and directories of vendor software.
      type: list
      elements: str
    versions:
      description: Versions that vendor software keeps in files.
      type: dict
      sample: {rocm_version: "7.0.1"}
    tools:
      description:
        - Vendor tools by name, each with its path, its exit status, V(null) when it gave no answer, and its error.
        - C(nvidia-smi) also with GPUs, the indexes of those in MIG mode, and the CUDA version.
      type: dict
    wsl:
      description: Whether this is Linux inside of Windows.
      type: bool
ports:
  description: TCP ports that somebody listens on.
  returned: always
  type: list
  elements: int
reachability:
  description: TCP connections that were tried, without proxies.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: Host name or address.
      type: str
    port:
      description: TCP port.
      type: int
    kind:
      description: Why it was tried.
      type: str
      choices: [worker_to_server, server_to_worker, asked]
    worker:
      description: The worker that it is about.
      type: str
    ok:
      description: Whether the connection was made.
      type: bool
    error:
      description: Why not.
      type: str
image:
  description: The image that O(image) names.
  returned: always
  type: dict
  contains:
    reference:
      description: The reference.
      type: str
    present:
      description: Whether the host has it.
      type: bool
    id:
      description: Its id.
      type: str
    repo_digests:
      description: Its digests.
      type: list
      elements: str
    size:
      description: Its size in bytes.
      type: int
    version:
      description: The release that its tag or label tells.
      type: str
image_names:
  description: Every name that an image has on the host, to the image's id.
  returned: always
  type: dict
filesystems:
  description: File systems that the upgrade fills.
  returned: always
  type: dict
  contains:
    docker_root:
      description: The engine's, or V(null). The others have the same form.
      type: dict
      contains:
        mount_point:
          description: Where it is mounted.
          type: str
        device:
          description: What is mounted.
          type: str
        type:
          description: Its type.
          type: str
        total:
          description: Bytes in all.
          type: int
        free:
          description: Bytes free for users.
          type: int
        unwritable:
          description: Why root cannot write there, a read-only mount or an immutable directory, or V(null).
          type: str
        network:
          description: Whether another machine holds it.
          type: bool
        export:
          description: What that machine exports, for network file systems.
          type: str
    backup:
      description: That of O(backup_dir).
      type: dict
    state:
      description: That of O(state_dir).
      type: dict
    remote_tmp:
      description: That of O(remote_tmp).
      type: dict
directories:
  description: What lies at O(backup_dir) and O(state_dir). Others must not write there.
  returned: always
  type: dict
  contains:
    backup:
      description: That of O(backup_dir), or V(null) when nothing is there yet.
      type: dict
      contains:
        path:
          description: The path.
          type: str
        kind:
          description: What it is. A link is not followed.
          type: str
          choices: [directory, link, other]
        uid:
          description: Owner.
          type: int
        mode:
          description: Mode in octal.
          type: str
          sample: "0700"
    state:
      description: The same of O(state_dir).
      type: dict
journal:
  description: The newest attempt on this host.
  returned: always
  type: dict
  contains:
    attempt:
      description: Its name.
      type: str
    step:
      description: Its last step.
      type: str
    state:
      description: State of that step.
      type: str
    outcome:
      description: What became of it.
      type: str
      choices: [none, unfinished, upgraded, finalized, restored, failed]
    release:
      description: The release it went to.
      type: str
    legacy_name:
      description: The legacy container's name.
      type: str
    backup:
      description: Its backup.
      type: str
    role:
      description: The host's role, V(server), V(worker) or V(both).
      type: str
    container_name:
      description: Name of the new container.
      type: str
    data_dir:
      description: The data directory.
      type: str
    stopped_at:
      description: When the legacy container was stopped, in seconds since the epoch.
      type: float
    accepted:
      description: Whether the new container was accepted since the attempt began last.
      type: bool
    in_use:
      description: Whether it was accepted and nothing has been taken back since.
      type: bool
    definition:
      description: The file in that backup that holds the definition of the legacy container, or V(null).
      type: str
    problem:
      description:
        - Why this version of the collection can neither finish nor undo the attempt, as C(cause) and C(way_out).
        - V(null) when it can.
      type: dict
    error:
      description: Why the journal cannot be read.
      type: str
way_back:
  description: Whether this host can go back from its newest attempt. V(null) when it has none.
  returned: always
  type: dict
  contains:
    legacy_container:
      description: V(present), V(removed), or V(null) when that cannot be read.
      type: str
    obstacle:
      description: What stands in the way, with the way out. V(null) when nothing does.
      type: str
lock:
  description: Who works on this host at the moment.
  returned: always
  type: dict
  contains:
    held:
      description: Whether somebody does.
      type: bool
    pid:
      description: Process.
      type: int
    since:
      description: Since when.
      type: str
    run:
      description: Of which run.
      type: str
    error:
      description: Why the lock cannot be read.
      type: str
libraries:
  description: Libraries that the writing modules would use.
  returned: always
  type: dict
  contains:
    docker:
      description: Version of the Docker SDK.
      type: str
    psycopg:
      description: Version of psycopg.
      type: str
    pymysql:
      description: Version of PyMySQL, which a server with an external MySQL needs.
      type: str
    venv:
      description: Whether the private virtual environment exists.
      type: bool
prepared:
  description:
    - What the last M(fleetops.gpustack.node) with O(fleetops.gpustack.node#module:state=prepared) proved here. V(null)
      when it proved nothing, or its note cannot be read.
    - Whether that still holds is judged by the plan, against the rest of the evidence.
  returned: always
  type: dict
  contains:
    image:
      description: Id of the image, and the release that it called itself.
      type: dict
      sample: {id: "sha256:4f0c", version: 2.2.3}
    runner_images:
      description: The runner images that were C(asked) for, and C(images), by reference, with their ids.
      type: dict
    trial:
      description: Under which circumstances the GPU trial was passed, or V(null) without one.
      type: dict
      contains:
        flags:
          description: The GPU flags.
          type: dict
        expected_gpus:
          description: The GPUs that had to be seen.
          type: list
          elements: dict
        boot_id:
          description: The boot in which that was.
          type: str
        gpu:
          description: What RV(gpu) was then.
          type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DEFAULT_DOCKER_HOST
from ansible_collections.fleetops.gpustack.plugins.module_utils._node_evidence import Request, evidence


def arguments() -> dict[str, Any]:
    """The argument specification."""
    endpoint = {"host": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
    return {
        "salt": {"type": "str", "default": "", "no_log": True},
        "image": {"type": "str"},
        "container": {"type": "str"},
        "data_dir": {"type": "path"},
        "backup_dir": {"type": "path", "default": "/var/backups/gpustack"},
        "state_dir": {"type": "path", "default": "/var/lib/fleetops-gpustack"},
        "remote_tmp": {"type": "str", "default": "~/.ansible/tmp"},
        "controller_clock": {"type": "float"},
        "gpu_sources": {"type": "dict", "default": {}},
        "connect": {"type": "list", "elements": "dict", "default": [], "options": endpoint},
        "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=arguments(), supports_check_mode=True)
    module.exit_json(changed=False, **evidence(Request(**module.params), module.run_command))


if __name__ == "__main__":
    main()
