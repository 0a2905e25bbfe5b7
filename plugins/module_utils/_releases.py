# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs from one GPUStack release to the next, as one table. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple

# Where the images expect the data directory (pack/Dockerfile of every release).
IMAGE_DATA_DIR = "/var/lib/gpustack"

# The user and group of the embedded PostgreSQL inside every v2 image (pack/Dockerfile: useradd -u 9999).
POSTGRES_UID = 9999

# Roll-out variable: for how long the server keeps the model instances of a worker that is silent
# (gpustack/server/worker_instance_cleaner.py, default 300 seconds).
GRACE_PERIOD_VARIABLE = "GPUSTACK_MODEL_INSTANCE_RESCHEDULE_GRACE_PERIOD"

# Tells a v2 worker its own container's name, which it otherwise guesses from the hostname (pack/Dockerfile).
MIRRORED_NAME_VARIABLE = "GPUSTACK_RUNTIME_DEPLOY_MIRRORED_NAME"

# v2 looks for this file in the data directory before it migrates, and writes it after (gpustack-migration.sh).
MIGRATION_DONE_FILE = "run/state_migration_done"

# Alembic heads of legacy databases -> the releases that leave a database at this head
# (gpustack/migrations/versions at the tags).
LEGACY_HEADS: dict[str, tuple[str, ...]] = {
    "1dd9fa5b38ff": ("0.1.0",),
    "8277680cfcb7": ("0.1.1", "0.1.2"),
    "6dcb3a50da19": ("0.2.0", "0.2.1"),
    "f29521415cbd": ("0.3.0",),
    "0f7dde8b3c4b": ("0.3.1", "0.3.2"),
    "004c73a5c09e": ("0.4.0", "0.4.1"),
    "e6bf9e067296": ("0.5.0", "0.5.1"),
    "c45e397531d1": ("0.6.0", "0.6.1", "0.6.2"),
    "cbbc03c88985": ("0.7.0",),
    "d19176de3b74": ("0.7.1",),
}

# The schema to which `gpustack migrate` brings its copy of the database before it copies rows
# (gpustack/cmd/db_migration.py: revision, the same in 2.0.0 to 2.2.3).
MIGRATION_HEAD = "d19176de3b74"

# Which legacy releases this collection takes.
LEGACY_SUPPORTED = tuple(release for releases in LEGACY_HEADS.values() for release in releases)

# Those whose data directory comes over from macOS or Windows (playbooks/transfer.yml).
TRANSFER_SUPPORTED = ("0.7.0", "0.7.1")


class Reserved(NamedTuple):
    """What a legacy worker keeps for the system, in GiB: when nothing is said, and for what is left out."""

    unsaid: Mapping[str, int]
    left_out: Mapping[str, int]


# From which release on (gpustack/config/config.py and worker/worker.py at the tags).
_LEGACY_RESERVED = (
    ("0.1.0", Reserved({"ram": 0, "vram": 0}, {"ram": 0, "vram": 0})),
    ("0.1.2", Reserved({"ram": 1, "vram": 1}, {"ram": 0, "vram": 0})),
    ("0.2.0", Reserved({"ram": 2, "vram": 2}, {"ram": 2, "vram": 2})),
    ("0.3.0", Reserved({"ram": 2, "vram": 0}, {"ram": 2, "vram": 0})),
    ("0.5.1", Reserved({"ram": 2, "vram": 1}, {"ram": 2, "vram": 1})),
)


class UnknownReleaseError(ValueError):
    """A version that the release table does not hold."""


class Listener(NamedTuple):
    """A port that the container of a release listens on."""

    port: int
    service: str
    option: str | None


@dataclass(frozen=True)
class Release:
    """One v2 release. Version-dependent behaviour is asked for here and nowhere else."""

    version: str
    # Alembic head of PostgreSQL after the server has started (read back from running releases).
    schema_head: str
    # What starts the migration. The value None means the data directory's path inside the container. From
    # 2.0.1 on the script compares with lower-case "true" and ignores the older variable in silence.
    migration_variable: str = "GPUSTACK_DATA_MIGRATION"
    migration_value: str | None = "true"
    # The internal API port (gpustack/config/config.py: api_port).
    api_port: int = 30080
    # From 2.2.0 the server has a proxy listener (config.py: proxy_port).
    proxy_port: int | None = None
    # From 2.1.0 the server runs Grafana and Prometheus (utils/s6_services.py).
    observability_ports: tuple[int, ...] = ()
    # From 2.1.1 the observability ports can be moved (--builtin-grafana-port, --builtin-prometheus-port).
    observability_options: bool = False
    # 2.0.1 and 2.0.2 want the TLS port free even without a certificate (cmd/prerun.py: ports_for_services).
    tls_port_always: bool = False
    # Up to 2.0.0 the embedded gateway ran in worker containers too (config.py@2.0.1: detect_gateway_mode).
    gateway_on_workers: bool = False
    # 2.0.0 has only one documented command: privileged, host network and Docker's socket, the server included.
    server_needs_privileges: bool = False
    # 2.0.0 puts PostgreSQL into /var/lib/gpustack whatever --data-dir says (s6 scripts of that tag).
    honours_data_dir: bool = True
    # From 2.0.2 rows of the Ollama library are deleted; before, the server crashes on them (migration script).
    drops_ollama: bool = True
    # Up to 2.1.2 an unknown key in the YAML configuration file is fatal (config.py: extra="allow" from 2.2.0).
    yaml_extra_fatal: bool = True
    # From 2.1.1 the entry point hands the arguments on unquoted (pack/entrypoint.sh).
    word_splitting: bool = False
    # From 2.0.1 --enable-worker says that the server has an embedded worker; before, it has unless disabled.
    has_enable_worker: bool = True
    # Prefix of the environment for settings without an option's own variable (config.py: env_prefix).
    settings_prefix: str = "GPUSTACK_"
    # From 2.2.0 --force-auth-localhost does nothing (config.py: deprecated, no-op).
    force_auth_localhost_works: bool = True
    # From 2.0.1 a failed migration stops the container; 2.0.0 stays up without a server (S6_BEHAVIOUR_IF_STAGE2_FAILS).
    exits_on_failure: bool = True
    # From 2.0.1 a start-up check of the configuration and of ports runs first (cmd/prerun.py).
    has_prerun: bool = True
    # From 2.1.0 the server names workers that bring no name, and workers without a uuid collide (worker_manager.py).
    server_assigns_identity: bool = True
    # The oldest PostgreSQL that it upgrades in place as an external database; None where it cannot. From 13 on by
    # upstream's documents; 2.2.0 uses new values of an enumeration in the transaction that adds them (#5715); the
    # scripts of 2.0.0 know an external database by the argument alone, which would show its password.
    external_postgresql: int | None = 13
    # Whether the project's own matrix proves an upgrade to it.
    proven: bool = False

    def migration_environment(self, data_dir: str = IMAGE_DATA_DIR) -> dict[str, str]:
        """The variable that starts the migration, with the data directory's path inside the container."""
        return {self.migration_variable: data_dir if self.migration_value is None else self.migration_value}

    def mirrors_own_container(self, role: str) -> bool:
        """Whether a container of this role starts others, and so needs Docker's socket, privileges and its own name."""
        return role in ("worker", "both") or self.server_needs_privileges


# Ports inside the embedded gateway that no option moves (utils/s6_services.py: gateway_services).
_GATEWAY = (
    (18443, "gateway API server"),
    (9876, "gateway pilot"),
    (15010, "gateway pilot"),
    (15012, "gateway pilot"),
    (8888, "gateway controller"),
    (15051, "gateway controller"),
    (15000, "gateway proxy"),
    (15020, "gateway proxy"),
    (15021, "gateway proxy"),
    (15090, "gateway proxy"),
)


def listeners(release: Release, role: str, options: Mapping[str, Any] | None = None) -> list[Listener]:
    """
    The ports that a container of this release and role listens on.

    `options` are the container's own settings by name with underscores, e.g. {"port": 8080, "ssl_certfile": "..."}.
    """
    values = dict(options or {})
    gateway = values.get("gateway_mode") != "disabled"
    found: list[Listener] = []
    if role in ("server", "both"):
        found += _server_listeners(release, values, gateway)
    if role in ("worker", "both"):
        found += _worker_listeners(values)
    if gateway and (role in ("server", "both") or release.gateway_on_workers):
        found.append(_listener(values, "api_port", release.api_port, "API"))
        found += [Listener(port, service, None) for port, service in _GATEWAY]
    elif role in ("server", "both"):
        found.append(_listener(values, "api_port", release.api_port, "API"))
    return sorted(found)


def _server_listeners(release: Release, values: Mapping[str, Any], gateway: bool) -> list[Listener]:
    found = []
    if gateway:
        found.append(_listener(values, "port", 80, "gateway"))
        if release.tls_port_always or values.get("ssl_certfile"):
            found.append(_listener(values, "tls_port", 443, "gateway (TLS)"))
    if not values.get("database_url"):
        found.append(_listener(values, "database_port", 5432, "PostgreSQL"))
    if not values.get("disable_metrics"):
        found.append(_listener(values, "metrics_port", 10161, "server metrics"))
    if release.proxy_port is not None:
        found.append(_listener(values, "proxy_port", release.proxy_port, "proxy"))
    if release.observability_ports and not values.get("disable_builtin_observability"):
        found += _observability_listeners(release, values)
    return found


def _observability_listeners(release: Release, values: Mapping[str, Any]) -> list[Listener]:
    grafana, prometheus = release.observability_ports
    if not release.observability_options:
        return [Listener(grafana, "Grafana", None), Listener(prometheus, "Prometheus", None)]
    return [
        _listener(values, "builtin_grafana_port", grafana, "Grafana"),
        _listener(values, "builtin_prometheus_port", prometheus, "Prometheus"),
    ]


def _worker_listeners(values: Mapping[str, Any]) -> list[Listener]:
    found = [_listener(values, "worker_port", 10150, "worker API")]
    if not values.get("disable_worker_metrics"):
        found.append(_listener(values, "worker_metrics_port", 10151, "worker metrics"))
    return found


def _listener(values: Mapping[str, Any], name: str, default: int, service: str) -> Listener:
    return Listener(int(values.get(name) or default), service, "--" + name.replace("_", "-"))


# Proven means: the upgrade from 0.7.1 to it is run by the project's own matrix.
_TABLE = (
    Release(
        "2.0.0",
        schema_head="e30134bd18dc",
        external_postgresql=None,
        migration_variable="GPUSTACK_MIGRATION_DATA_DIR",
        migration_value=None,
        api_port=8080,
        gateway_on_workers=True,
        server_needs_privileges=True,
        honours_data_dir=False,
        drops_ollama=False,
        has_enable_worker=False,
        settings_prefix="GPU_STACK_",
        exits_on_failure=False,
        has_prerun=False,
        server_assigns_identity=False,
        proven=True,
    ),
    Release(
        "2.0.1",
        schema_head="e30134bd18dc",
        api_port=8080,
        tls_port_always=True,
        drops_ollama=False,
        server_assigns_identity=False,
    ),
    Release("2.0.2", schema_head="2aed534bd7b2", tls_port_always=True, server_assigns_identity=False),
    Release("2.0.3", schema_head="2aed534bd7b2", server_assigns_identity=False, proven=True),
    Release("2.1.0", schema_head="53667f33f000", observability_ports=(13000, 19090)),
    Release(
        "2.1.1",
        schema_head="8ad0f94c92e8",
        observability_ports=(13000, 19090),
        observability_options=True,
        word_splitting=True,
    ),
    Release(
        "2.1.2",
        schema_head="8ad0f94c92e8",
        observability_ports=(13000, 19090),
        observability_options=True,
        word_splitting=True,
    ),
    Release(
        "2.2.0",
        schema_head="b2c3d4e5f6a7",
        external_postgresql=17,
        proxy_port=30079,
        observability_ports=(13000, 19090),
        observability_options=True,
        yaml_extra_fatal=False,
        word_splitting=True,
        force_auth_localhost_works=False,
    ),
    Release(
        "2.2.1",
        schema_head="b2c3d4e5f6a7",
        proxy_port=30079,
        observability_ports=(13000, 19090),
        observability_options=True,
        yaml_extra_fatal=False,
        word_splitting=True,
        force_auth_localhost_works=False,
    ),
    Release(
        "2.2.2",
        schema_head="c4d7e8f9a0b1",
        proxy_port=30079,
        observability_ports=(13000, 19090),
        observability_options=True,
        yaml_extra_fatal=False,
        word_splitting=True,
        force_auth_localhost_works=False,
    ),
    Release(
        "2.2.3",
        schema_head="c4d7e8f9a0b1",
        proxy_port=30079,
        observability_ports=(13000, 19090),
        observability_options=True,
        yaml_extra_fatal=False,
        word_splitting=True,
        force_auth_localhost_works=False,
        proven=True,
    ),
)

RELEASES: dict[str, Release] = {release.version: release for release in _TABLE}

DEFAULT = "2.2.3"

_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")


def normalise(version: str) -> str:
    """The version without a leading "v": "v2.2.3" and "2.2.3" are the same release."""
    match = _VERSION.fullmatch(str(version).strip())
    if not match:
        raise UnknownReleaseError(
            "'{}' is not a GPUStack version such as 2.2.3 or v2.2.3; known are: {}".format(version, ", ".join(RELEASES))
        )
    return match.group(1)


def find(version: str, allow_unproven: bool = False) -> Release:
    """
    The release of a version; `UnknownReleaseError` names the known ones.

    With `allow_unproven` a version newer than the table is taken to behave like the table's newest, without a known
    schema head: the caller then gates on rows alone.
    """
    number = normalise(version)
    if number in RELEASES:
        return RELEASES[number]
    newest = _TABLE[-1]
    if allow_unproven and at_least(number, newest.version):
        return _like(newest, number)
    raise UnknownReleaseError(
        f"GPUStack {number} is not in the release table; choose one of {', '.join(RELEASES)}, or set"
        f" gpustack_allow_unproven for a release newer than {newest.version}"
    )


def _like(release: Release, version: str) -> Release:
    values = {name: getattr(release, name) for name in release.__dataclass_fields__}
    values.update(version=version, schema_head="", proven=False)
    return Release(**values)


def at_least(version: str, floor: str) -> bool:
    """Whether a version is the floor or newer; floors may be short ("2.1")."""
    return version_key(version) >= version_key(floor)


def version_key(version: str) -> tuple[int, ...]:
    """Numbers of a dotted version, padded to three, for comparing."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return numbers + (0,) * (3 - len(numbers))


def legacy_release(head: str) -> str | None:
    """The newest legacy release that leaves a database at this schema head; None for any other head."""
    releases = LEGACY_HEADS.get(head)
    return releases[-1] if releases else None


def is_raised(head: str | None) -> bool:
    """Whether `gpustack migrate` changes the schema of a database at this head before it copies rows."""
    return head in LEGACY_HEADS and head != MIGRATION_HEAD


def legacy_tag(version: str) -> str:
    """The tag of a legacy release's image: up to 0.3 tags had no "v" (.github/workflows of the tags)."""
    return "v" + version if at_least(version, "0.4") else version


def legacy_reserved(version: str | None) -> Reserved:
    """What a worker of a legacy release reserves by default; an unknown release counts as the newest."""
    found = [reserved for since, reserved in _LEGACY_RESERVED if version is None or at_least(version, since)]
    return found[-1]


def is_supported_legacy(version: str | None) -> bool:
    """Whether an upgrade from this legacy release is supported; an unknown release is not."""
    return version is not None and version.strip().lstrip("v") in LEGACY_SUPPORTED
