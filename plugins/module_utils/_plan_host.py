# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against switching one host, from its own evidence alone. Pure.

Every check is a generator of problems over a HostView; CHECKS lists them in the order in which an operator wants to
read them.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _external_rules,
    _plan_disk,
    _private_directories,
    _releases,
    _takeover,
    _unit_record,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import NONE, SWITCH, HostView, Problem

ARCHITECTURES = ("x86_64", "aarch64")
#: docker 7.1 of PyPI, docker/constants.py: MINIMUM_DOCKER_API_VERSION.
OLDEST_API = (1, 24)

# Findings of the database that make v2's migration or its start fail (facts, C9): what to do about each on the
# legacy server.
FATAL_FINDINGS = {
    "orphan_rows": "delete the rows that point to nothing (SQLite names them in PRAGMA foreign_key_check)",
    "int32_overflow": "correct the values that do not fit into 32 bits",
    "nul_bytes": "remove the NUL characters from these texts; PostgreSQL cannot hold them",
    "models_without_workers": "register a worker, or delete the models; v2 makes its default cluster for workers only",
    "unknown_user_source": "set users.source to Local, OIDC or SAML",
    "null_worker_status": "start the legacy worker once so that it reports its status, or delete the worker",
}
# The same, from the release on that introduced the constraint.
FATAL_FINDINGS_SINCE = {
    "username_default": (
        "2.2.0",
        "rename the user 'default'; from 2.2 on that name belongs to the default organisation",
    ),
    "duplicate_usernames": ("2.2.0", "rename all but one of these users"),
    "long_model_name": ("2.2.0", "shorten these model names to 255 characters"),
}


def check_access(view: HostView) -> Iterator[Problem]:
    """Root and a Docker engine of the supported kind."""
    host, engine = view.node["host"], view.node["engine"]
    if host["uid"] != 0:
        yield view.problem(
            "not_root",
            "the modules run as uid {}, not as root".format(host["uid"]),
            "let become reach root (become: true, become_user: root, and a sudo rule for the login user)",
        )
    if host["architecture"] not in ARCHITECTURES:
        yield view.problem(
            "architecture",
            "GPUStack v2 has no image for {}".format(host["architecture"]),
            "run this host's workload on x86_64 or aarch64",
        )
    if not engine["reachable"]:
        yield view.problem(
            "no_engine",
            "no Docker engine answers: {}".format(engine["error"]),
            "start the Docker engine, or correct gpustack_docker_host"
            if not _is_without_container(view)
            else "v2 runs in Docker alone: install Docker Engine on this host (the system's package, docker.io on"
            " Debian and Ubuntu, or docs.docker.com/engine/install), for GPUs their vendor's container runtime too, and"
            " run again; the legacy installation is not touched by that",
        )
        return
    if _api_of(engine) < OLDEST_API:
        yield view.problem(
            "engine_old",
            "its Docker engine {} speaks API {}, and the Docker SDK 7 needs {}.{}".format(
                engine["version"], engine["api_version"], *OLDEST_API
            ),
            "upgrade the Docker engine (docs.docker.com/engine/install)",
        )
    kinds = (
        ("rootless", "a rootless Docker engine"),
        ("userns_remap", "a Docker engine with userns-remap"),
        ("podman", "Podman"),
    )
    for key, kind in kinds:
        if engine.get(key):
            yield view.problem(
                "engine_kind",
                f"{kind} serves this host; uid 9999 and --privileged of GPUStack v2 do not work there",
                "run GPUStack on an ordinary (rootful) Docker engine",
            )


def _api_of(engine: Mapping[str, Any]) -> tuple[int, ...]:
    """The engine's API version as numbers; one that cannot be told is not held against it."""
    text = str(engine["api_version"] or "")
    return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+\.\d+", text) else OLDEST_API


def _is_without_container(view: HostView) -> bool:
    """Whether what is to be switched was installed by script or pip, so that Docker may never have been there."""
    return bool(view.installation) and (view.installation or {}).get("kind") == _unit_record.SYSTEMD


def check_lock(view: HostView) -> Iterator[Problem]:
    """No other run at work on this host; the lock of a dead run is not held."""
    lock = view.node["lock"]
    if lock["held"]:
        yield view.problem(
            "locked",
            "run {} (pid {}) has been at work on this host since {}".format(lock["run"], lock["pid"], lock["since"]),
            "wait until it has finished (journal: journal.jsonl in gpustack_state_dir), then run again",
        )


def check_private_directories(view: HostView) -> Iterator[Problem]:
    """Nobody but root lays out, or writes into, the directories of backups and journal."""
    for name, variable in (("backup", "gpustack_backup_dir"), ("state", "gpustack_state_dir")):
        objection = _private_directories.objection(view.node["directories"][name], view.node["host"]["uid"])
        if objection:
            yield view.problem(name + "_dir", f"{variable}: {objection.cause}", objection.way_out)


def check_writable(view: HostView) -> Iterator[Problem]:
    """What the upgrade writes into can be written: a read-only mount or an immutable directory stops even root."""
    if not view.will_switch:
        return
    places = {f"gpustack_{name}_dir": view.node["filesystems"].get(name) for name in ("backup", "state")}
    if view.installation and view.data and view.installation["data_dir"]["type"] != "layer":
        places["data directory"] = view.data["filesystem"]
    for place, filesystem in places.items():
        if filesystem and filesystem["unwritable"]:
            cause, _semicolon, way_out = filesystem["unwritable"].partition("; ")
            yield view.problem("unwritable", f"{place}: {cause}", way_out)


def check_journal(view: HostView) -> Iterator[Problem]:
    """An attempt that this version of the collection can finish or undo."""
    problem = view.node["journal"].get("problem")
    if problem:
        yield view.problem("journal", problem["cause"], problem["way_out"])


def check_installation(view: HostView) -> Iterator[Problem]:
    """Exactly one installation, of a generation and a form that is understood."""
    if not view.node["engine"]["reachable"]:
        return
    if view.action == NONE and view.installation:
        return
    if not view.candidates:
        yield view.problem(
            "no_legacy_installation",
            "no GPUStack was found (looked for containers of images named *gpustack* that run `gpustack start`, for"
            " systemd units in use that do, and for such processes)" + _of_name(view),
            "take the host out of the groups gpustack_servers and gpustack_workers, or start its legacy container, or"
            " enable its legacy unit, once",
        )
    elif view.installation is None:
        names = ", ".join("{} ({})".format(each["name"], each["image"] or each.get("kind")) for each in view.candidates)
        yield view.problem(
            "several_candidates",
            f"several GPUStack installations could be the one to upgrade: {names}",
            "remove the containers that are not in use (docker rm leaves their volumes), and disable the units that are"
            " not (systemctl disable --now), so that one is left; or, to upgrade each container, make a host of the"
            " inventory for each, with the same ansible_host, and name its container there with"
            f" gpustack_legacy_container, such as {view.candidates[0]['name']}",
        )


def _of_name(view: HostView) -> str:
    """What was looked for, where the inventory names a container, and what is there instead."""
    if not view.node["container"]:
        return ""
    there = ", ".join(each["name"] for each in view.node["siblings"]) or "none"
    return f" with the name {view.node['container']} of gpustack_legacy_container; there are: {there}"


def check_generation(view: HostView) -> Iterator[Problem]:
    """A legacy release that this collection knows, or our own v2 container of the release that was asked for."""
    installation = view.installation
    if installation is None or (view.wreck and not view.wreck.legacy_name):
        return
    generation, release = installation["generation"], installation["release"]
    if generation == "v2" and not installation["attempt"]:
        yield view.problem(
            "foreign_v2",
            "container {} already runs GPUStack {} and was not made by this collection, which proves no rows".format(
                installation["name"], release or "v2"
            ),
            "leave the host out of this run, or bring the legacy container back first and upgrade with this collection",
        )
    elif generation == "v2" and view.release and release != view.release.version and view.action == NONE:
        yield view.problem(
            "other_v2_release",
            "container {} runs GPUStack {}, asked for was {}; this collection moves 0.x to 2.x alone".format(
                installation["name"], release, view.release.version
            ),
            f"run with gpustack_version={release}, or update v2 by upstream's guide",
        )
    elif generation != "v2" and not _releases.is_supported_legacy(release):
        yield view.problem(
            "legacy_release",
            "{} runs GPUStack {}; only {} to {} are upgraded".format(
                _unit_record.called(installation),
                release or "of unknown release",
                _releases.LEGACY_SUPPORTED[0],
                _releases.LEGACY_SUPPORTED[-1],
            ),
            "bring the installation to 0.7.1 by upstream's guide first",
        )


def check_supervision(view: HostView) -> Iterator[Problem]:
    """Nothing that removes or revives the legacy container behind our back, and that cannot be switched off."""
    installation = view.installation
    if installation is None or not view.will_switch:
        return
    for finding in _takeover.problems(installation):
        yield view.problem(*finding)


def check_options(view: HostView) -> Iterator[Problem]:
    """Arguments that can be understood, and a token that v2 takes for a legacy one."""
    installation = view.installation
    if installation is None or not view.will_switch:
        return
    if installation["options_problem"]:
        yield view.problem(
            "options",
            "the arguments of {} cannot be understood: {}".format(
                _unit_record.called(installation), installation["options_problem"]
            ),
            "start the legacy container with arguments that `gpustack start --help` of its release lists",
        )
    token = installation["token"]
    # After an interrupted attempt the file may be v2's; the way back restores it.
    if token["reserved_prefix"] and view.action == SWITCH and not (view.wreck and view.wreck.token_lost):
        yield view.problem(
            "token_prefix",
            "the registration token starts with 'gpustack', which v2 does not recognise as a legacy token",
            "set another token on the legacy server and all its workers, then run again",
        )
    has_none = token["source"] == "none" and not view.settings.choice(view.name, "token")
    if view.runs_worker and not view.is_server and has_none:
        yield view.problem(
            "no_token",
            f"{_unit_record.called(installation)} has no registration token in its arguments, environment or data"
            " directory",
            "set gpustack_token for this host (in a vault)",
        )


def check_archive(view: HostView) -> Iterator[Problem]:
    """An image archive that is on the controller, or at a path that means something on the host."""
    archive = view.settings.image_archive
    if not archive or view.settings.archive_size is not None or archive.startswith(("/", "~")):
        return
    if view.will_switch and not view.node["image"]["present"]:
        yield view.problem(
            "image_archive",
            f"gpustack_image_archive ({archive}) is no file in the directory in which Ansible was started, and a"
            " relative path says nothing on the host",
            "give an absolute path, on the controller or on the hosts",
        )


def check_network(view: HostView) -> Iterator[Problem]:
    """The network mode that the target needs."""
    installation, release = view.installation, view.release
    if installation is None or release is None or not view.will_switch:
        return
    network = view.settings.choice(view.name, "network") or (
        "host" if installation["network_mode"] == "host" else "bridge"
    )
    if network == "host":
        return
    if view.runs_worker or (view.is_server and release.server_needs_privileges):
        what = "a worker" if view.runs_worker else f"the server of v{release.version}"
        yield view.problem(
            "network",
            "container {} is on network {}, and {} needs the host's network".format(
                installation["name"], installation["network_mode"], what
            ),
            "set gpustack_network: host for this host",
        )


def check_data_directory(view: HostView) -> Iterator[Problem]:
    """A data directory that v2's PostgreSQL can live in."""
    installation = view.installation
    if installation is None or not view.will_switch:
        return
    data_dir, data = installation["data_dir"], view.data
    if data is None:
        yield view.problem(
            "data_dir_unreadable",
            "the data directory {} cannot be read".format(data_dir["host_path"] or data_dir["container_path"]),
            "check that the path exists and that root may read it",
        )
        return
    if view.is_server and not view.is_external:
        yield from _check_server_directory(view, data_dir, data)


def _check_server_directory(view: HostView, data_dir: dict[str, Any], data: dict[str, Any]) -> Iterator[Problem]:
    if data["filesystem"]["network"]:
        yield view.problem(
            "network_filesystem",
            "the server's data directory {} is on {} ({}), where SQLite's locks and PostgreSQL's ownership fail".format(
                data_dir["host_path"], data["filesystem"]["type"], data["filesystem"]["export"]
            ),
            "move the data directory to a local file system",
        )
    is_copied = data_dir["type"] == "layer"  # and opened on the way
    if not (data["traversable_by_others"] or is_copied or view.settings.fix_permissions):
        yield view.problem(
            "permissions",
            "uid 9999 (PostgreSQL in v2's image) cannot traverse {} (mode {})".format(
                data_dir["host_path"], data["mode"]
            ),
            "chmod a+rx the directory, or set gpustack_fix_permissions=true, which first makes the database and"
            " secret files 0600",
        )
    release = view.release
    if release and not release.honours_data_dir and data_dir["container_path"] != "/var/lib/gpustack":
        yield view.problem(
            "data_dir_release",
            "v{} puts its database into /var/lib/gpustack whatever --data-dir ({}) says".format(
                release.version, data_dir["container_path"]
            ),
            f"upgrade to {_releases.DEFAULT}",
        )


def check_database(view: HostView) -> Iterator[Problem]:
    """A database that can be read, is whole, and that v2 can take over."""
    installation, database = view.installation, view.database
    if installation is None or view.action != SWITCH or not view.is_server:
        return
    if view.is_external:
        yield from _check_external(view, installation)
        return
    if database is None:
        yield view.problem(
            "no_database",
            "no database.db is in {}".format(installation["data_dir"]["host_path"]),
            "set gpustack_data_dir to the directory that holds it",
        )
        return
    if database["hot_journal"]:
        yield view.problem(
            "hot_journal",
            "database.db has a hot rollback journal (an unclean stop); v2's migration would ignore it and take"
            " over uncommitted rows",
            "start and cleanly stop the legacy release once",
        )
    elif not database["readable"]:
        yield view.problem(
            "database_unreadable",
            "database.db cannot be read: {}".format(database["error"]),
            "repair or restore database.db",
        )
    elif database["integrity"] != "ok":
        yield view.problem(
            "database_corrupt",
            "database.db fails its integrity check: {}".format(database["integrity"]),
            "restore database.db from a backup, or repair it with SQLite's .recover",
        )
    elif not _releases.is_supported_legacy(database["release"]):
        yield view.problem(
            "schema_head",
            "database.db has schema revision {}, which no supported legacy release has".format(database["schema_head"]),
            "bring the server to 0.7.1 by upstream's guide first",
        )
    else:
        yield from _check_findings(view, database)


def _check_external(view: HostView, installation: dict[str, Any]) -> Iterator[Problem]:
    """An external database that v2 can upgrade in place, and of which a copy can be made and tried."""
    database = view.database or {}
    if not database.get("readable"):
        yield view.problem(
            "external_database",
            "the server's external database ({}) cannot be read: {}".format(
                installation["server"]["database"]["url_masked"], database.get("error") or "no word"
            ),
            "mend that, or upgrade this server by upstream's guide after a dump that was restored once",
        )
        return
    if not _releases.is_supported_legacy(database["release"]):
        yield view.problem(
            "schema_head",
            "the external database has schema revision {}, which no supported legacy release has".format(
                database["schema_head"]
            ),
            "bring the server to 0.7.1 by upstream's guide first",
        )
        return
    if _releases.is_raised(database["schema_head"]):
        yield view.problem(
            "external_head",
            "the external database has the schema of GPUStack {}; one in an external database is upgraded from that of"
            " {} alone, because v2 changes it in place and nothing could be compared".format(
                database["release"], _releases.LEGACY_SUPPORTED[-1]
            ),
            f"bring the server to {_releases.LEGACY_SUPPORTED[-1]} by upstream's guide first",
        )
    if view.release:
        for obstacle in _external_rules.obstacles(database["external"], view.release):
            yield view.problem(*obstacle)
    yield from _check_findings(view, database)


def _check_findings(view: HostView, database: dict[str, Any]) -> Iterator[Problem]:
    for finding in database["findings"]:
        code, way_out = finding["code"], FATAL_FINDINGS.get(finding["code"])
        since = FATAL_FINDINGS_SINCE.get(code)
        if since and view.release and _releases.at_least(view.release.version, since[0]):
            way_out = since[1]
        if way_out:
            yield view.problem(
                "database_" + code, "{} in table {}: {}".format(code, finding["table"], _named(finding)), way_out
            )
        elif code == "ollama_models" and view.release and not view.release.drops_ollama:
            yield view.problem(
                "ollama_release",
                f"v{view.release.version} crashes at its start on rows from the Ollama library ({_named(finding)})",
                f"upgrade to {_releases.DEFAULT}, or delete these models first",
            )


def _named(finding: dict[str, Any]) -> str:
    """The first rows of a finding by name, and how many more there are."""
    items = [str(item) for item in finding["rows"][:5]]
    if not items:
        return f"{finding['count']} rows"
    more = finding["count"] - len(items)
    return ", ".join(items) + (f" and {more} more" if more > 0 else "")


CHECKS: tuple[Callable[[HostView], Iterator[Problem]], ...] = (
    check_access,
    check_lock,
    check_private_directories,
    check_writable,
    check_journal,
    check_installation,
    check_generation,
    check_supervision,
    check_options,
    check_network,
    check_data_directory,
    check_database,
    check_archive,
    _plan_disk.check_disk,
)


def problems(view: HostView) -> list[Problem]:
    """Everything that speaks against switching this host."""
    return [problem for check in CHECKS for problem in check(view)]
