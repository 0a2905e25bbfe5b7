# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of real GPUStack releases, made of the wheels on PyPI as they were resolved on the release day.

An image is built again only when what goes into it has changed: every image carries a hash of that as a label.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.lab import docker, gpustack_old_packages, gpustack_packages, machine
from tests.lab.base_image import ensure_base
from tests.lab.errors import LabError
from tests.lab.progress import step

SOURCES = Path(__file__).parent / "images" / "gpustack"
LOCK = Path("/var/tmp/gpustack-lab-images.lock")
CONTENT_LABEL = "gpustack-lab.content"
RUNTIME = "gpustack-lab/gpustack-runtime:bookworm"
DATABASE = "gpustack-lab/gpustack-database:bookworm"


@dataclass(frozen=True)
class Legacy:
    """A 0.7 release: the day to resolve its dependencies at."""

    day: str


@dataclass(frozen=True)
class Old:
    """A release before 0.7: the day to resolve its dependencies at, and the form of its published images."""

    day: str
    flavour: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class V2:
    """A 2.x release: the day to resolve its dependencies at, and how the start-up of its published image behaves."""

    day: str
    prerun: bool = True
    """`gpustack prerun` checks options and ports first (since 2.0.1)."""
    stays_up_after_failure: bool = False
    """A failed service leaves the container up without GPUStack (2.0.0) instead of ending it."""
    migration_variable: str = "GPUSTACK_DATA_MIGRATION"
    splits_words: bool = False
    """Arguments are expanded without quotes on their way to `gpustack start` (since 2.1.1)."""
    opens_directories: bool = False
    """Directories on the way to PostgreSQL's get mode 0755 (since 2.1.0)."""
    checks_nofile: bool = False
    """The limit of open files is raised to 65535 first (since 2.2.0)."""
    trusts_localhost: bool = True
    """The API takes requests from 127.0.0.1 for the administrator's, unless told not to (until 2.1)."""
    args_file: str = "/run/gpustack/args"
    service_environment: dict[str, str] = field(default_factory=dict)
    """Where `gpustack prerun` leaves its decisions for the services."""


_IN_DATA_DIR = {
    "GPUSTACK_GATEWAY_DIR": "/var/lib/gpustack/higress",
    "GPUSTACK_GATEWAY_CONFIG": "/var/lib/gpustack/higress/.env",
    "GPUSTACK_POSTGRES_DIR": "/var/lib/gpustack/postgresql",
    "GPUSTACK_POSTGRES_CONFIG": "/var/lib/gpustack/postgresql/.env",
}
_WITH_OBSERVABILITY = {
    **_IN_DATA_DIR,
    "GPUSTACK_OBSERVABILITY_DIR": "/var/lib/gpustack/observability",
    "GPUSTACK_OBSERVABILITY_CONFIG": "/var/lib/gpustack/observability/.env",
}
_IN_RUN_DIR = {
    "GPUSTACK_RUN_DIR": "/run/gpustack",
    "GPUSTACK_GATEWAY_CONFIG": "/run/gpustack/gateway/.env",
    "GPUSTACK_POSTGRES_CONFIG": "/run/gpustack/postgresql/.env",
    "GPUSTACK_OBSERVABILITY_CONFIG": "/run/gpustack/observability/.env",
}
_OLD_ARGS_FILE = "/var/lib/gpustack/run/args/gpustack"


def _v2_1(day: str) -> V2:
    return V2(day, splits_words=True, opens_directories=True, service_environment=_WITH_OBSERVABILITY)


def _v2_2(day: str) -> V2:
    return V2(
        day,
        splits_words=True,
        opens_directories=True,
        checks_nofile=True,
        trusts_localhost=False,
        service_environment=_IN_RUN_DIR,
    )


# The day is the release day plus three: dependencies that were pinned by date must have been there.
RELEASES: dict[str, Old | Legacy | V2] = {
    "0.1.2": Old("2024-08-31", "old", ("0.1.2",)),
    "0.2.1": Old("2024-09-20", "old", ("0.2.1",)),
    "0.3.2": Old("2024-11-04", "old", ("0.3.2",)),
    "0.4.1": Old("2024-12-16", "old", ("v0.4.1", "v0.4.1-cpu")),
    "0.5.1": Old("2025-02-15", "old", ("v0.5.1", "v0.5.1-cpu")),
    "0.6.2": Old("2025-06-13", "old-tini", ("v0.6.2", "v0.6.2-cpu")),
    "0.7.0": Legacy("2025-07-28"),
    "0.7.1": Legacy("2025-08-25"),
    "2.0.0": V2(
        "2025-11-26",
        prerun=False,
        stays_up_after_failure=True,
        migration_variable="GPUSTACK_MIGRATION_DATA_DIR",
        args_file=_OLD_ARGS_FILE,
        service_environment={"GPUSTACK_GATEWAY_DIR": "/var/lib/gpustack/higress"},
    ),
    "2.0.1": V2("2025-12-10", args_file=_OLD_ARGS_FILE, service_environment=_IN_DATA_DIR),
    "2.0.2": V2("2026-01-03", service_environment=_IN_DATA_DIR),
    "2.0.3": V2("2026-01-12", service_environment=_IN_DATA_DIR),
    "2.1.0": V2("2026-03-10", opens_directories=True, service_environment=_IN_DATA_DIR),
    "2.1.1": _v2_1("2026-03-29"),
    "2.1.2": _v2_1("2026-04-24"),
    "2.2.0": _v2_2("2026-06-21"),
    "2.2.1": _v2_2("2026-07-06"),
    "2.2.2": _v2_2("2026-07-27"),
    "2.2.3": _v2_2("2026-08-03"),
}


def ensure(release: str) -> str:
    """Return the reference of the image of a release, building what is missing or out of date."""
    if release not in RELEASES:
        raise LabError(f"the lab knows no recipe for GPUStack {release!r}; it has {', '.join(RELEASES)}")
    facts = RELEASES[release]
    with _one_at_a_time():
        if isinstance(facts, Old):
            return _ensure_old(release, facts)
        return _ensure_legacy(release, facts) if isinstance(facts, Legacy) else _ensure_v2(release, facts)


def ensure_nvidia_standin() -> str:
    """Return the image that carries, under /nvidia, the stand-ins for libnvidia-ml.so.1 and nvidia-smi."""
    with _one_at_a_time():
        base = docker.out("image", "inspect", "--format", "{{.Id}}", ensure_base())
        content = _digest([SOURCES / "nvidia"], base)
        return _ensure_image(f"gpustack-lab/nvidia-standin:{content[:12]}", SOURCES / "nvidia", content)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep two runs of the lab from building the same image side by side."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure_legacy(release: str, facts: Legacy) -> str:
    _ensure_layer(RUNTIME, SOURCES / "runtime", ensure_base())
    program = f"gpustack-lab/gpustack-legacy:{release}"
    content = _ensure_program(program, release, facts, SOURCES / "legacy", RUNTIME)
    for flavour, suffix in (("legacy-cpu", "-cpu"), ("legacy-cuda", "")):
        source = SOURCES / flavour
        _ensure_image(f"gpustack/gpustack:v{release}{suffix}", source, _digest([source], content), PROGRAM=program)
    return f"gpustack/gpustack:v{release}"


def _ensure_old(release: str, facts: Old) -> str:
    """One program under the tags of its published images, which differ in what they bring for GPUs alone."""
    _ensure_layer(RUNTIME, SOURCES / "runtime", ensure_base())
    program = f"gpustack-lab/gpustack-legacy:{release}"
    content = _ensure_program(program, release, facts, SOURCES / "legacy", RUNTIME)
    source = SOURCES / facts.flavour
    for tag in facts.tags:
        _ensure_image(f"gpustack/gpustack:{tag}", source, _digest([source], content), PROGRAM=program)
    return f"gpustack/gpustack:{facts.tags[0]}"


def _ensure_v2(release: str, facts: V2) -> str:
    _ensure_layer(RUNTIME, SOURCES / "runtime", ensure_base())
    _ensure_layer(DATABASE, SOURCES / "database", RUNTIME)
    _ensure_program(f"gpustack/gpustack:v{release}", release, facts, SOURCES / "v2", DATABASE)
    return f"gpustack/gpustack:v{release}"


def _ensure_program(reference: str, release: str, facts: Old | Legacy | V2, source: Path, parent: str) -> str:
    """Make the image that holds the release itself; return the hash of what went into it."""
    behaviour = json.dumps(asdict(facts), sort_keys=True)
    install, recipe = gpustack_packages.install, gpustack_packages.__file__
    if isinstance(facts, Old):
        install, recipe = gpustack_old_packages.install, gpustack_old_packages.__file__
    inputs = [source, SOURCES / "precompile", gpustack_packages.TOOLS, Path(recipe)]
    content = _digest(inputs, _label(parent), release, behaviour)
    if _label(reference) != content:
        with step(f"building GPUStack {release}"), _context(source, SOURCES / "precompile") as context:
            install(release, facts.day, Path(context, "root"))
            Path(context, "release.json").write_text(behaviour)
            _build(reference, Path(context), content)
    return content


# -- building ------------------------------------------------------------------------------------------------------


def _context(*sources: Path) -> tempfile.TemporaryDirectory[str]:
    """A build context with copies of the sources: the contents of a directory, a file as it is."""
    context = tempfile.TemporaryDirectory(dir="/var/tmp", prefix="gpustack-lab-")
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, context.name, dirs_exist_ok=True)
        else:
            shutil.copy(source, context.name)
    return context


def _ensure_layer(reference: str, source: Path, parent: str) -> str:
    parent_id = docker.out("image", "inspect", "--format", "{{.Id}}", parent)
    return _ensure_image(reference, source, _digest([source], parent_id))


def _ensure_image(reference: str, source: Path, content: str, **arguments: str) -> str:
    if _label(reference) != content:
        with step(f"building {reference}"):
            _build(reference, source, content, **arguments)
    return reference


def _build(reference: str, context: Path, content: str, **arguments: str) -> None:
    docker.build(reference, context, args={"CONTENT": content, **machine.proxy_variables(), **arguments})


def _label(reference: str) -> str:
    image = docker.inspect("image", reference)
    labels = (image or {}).get("Config", {}).get("Labels") or {}
    return str(labels.get(CONTENT_LABEL, ""))


def _digest(sources: Iterable[Path], *values: str) -> str:
    """A hash over files, their paths and whether they are programs, and further values."""
    digest = hashlib.sha256()
    for source in sources:
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        for path in files:
            if path.parent.name == "__pycache__":
                continue
            mode = "755" if path.stat().st_mode & 0o100 else "644"
            digest.update(f"{path.relative_to(source.parent)} {mode}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    for value in values:
        digest.update(f"\0{value}".encode())
    return digest.hexdigest()
