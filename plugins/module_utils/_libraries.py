# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python libraries of the writers, and the private virtual environment that holds them where the system has none.

The system's own Python is never touched. The environment is built beside its final place and renamed into it when
its libraries import, so an interrupted build is never used. Packages come from the package index, with a pip that
the target has, or from a set of wheels that was brought to it; minimal Debian has neither pip nor ensurepip, and is
then served by pip's own wheel.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import platform
import re
import shutil
import sys
import tarfile
from typing import Any, Iterator, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _database_url, _private_directories
from ansible_collections.fleetops.gpustack.plugins.module_utils._command import Finished, RunCommand, execute

# An index that does not answer must not hold up a fleet: pip gives up after two tries of this long.
INDEX_TIMEOUT = 15
INDEX_RETRIES = 1
INSTALL_SECONDS = 600
PROBE_SECONDS = 60


class Requirement(NamedTuple):
    """A library, the versions that are accepted, and what pip is asked for."""

    module: str
    package: str
    at_least: tuple[int, ...]
    below: tuple[int, ...]
    # pip judges dependencies "for Python older than x" by the Python that it runs on. A controller that fetches
    # wheels for another Python has to be told these by name.
    dependencies: tuple[str, ...] = ()

    @property
    def specifier(self) -> str:
        return f"{self.package}>={_dotted(self.at_least)},<{_dotted(self.below)}"

    def accepts(self, version: str | None) -> bool:
        return version is not None and self.at_least <= _numbers(version) < self.below


DOCKER = Requirement("docker", "docker", (7,), (8,))
PSYCOPG = Requirement("psycopg", "psycopg[binary]", (3, 2), (4,), ("typing_extensions>=4.6",))
PYMYSQL = Requirement("pymysql", "PyMySQL", (1, 1), (2,))
ALL = (DOCKER, PSYCOPG, PYMYSQL)
#: PyMySQL's own version; its `__version__` is the one of mysqlclient that it stands in for.
_OWN_VERSION = "VERSION_STRING"
ZONEINFO_BACKPORT = "backports.zoneinfo>=0.2"


class LibrariesError(Exception):
    """The libraries are not there and could not be brought. `wanted` says what a set of wheels must hold."""

    def __init__(self, message: str, wanted: dict[str, Any]) -> None:
        super().__init__(message)
        self.wanted = wanted


def required(server: bool, database: str = _database_url.POSTGRESQL) -> list[Requirement]:
    """A worker is switched through the engine alone; a server's rows are also read back from its database."""
    return [DOCKER, of_database(database)] if server else [DOCKER]


def of_database(kind: str) -> Requirement:
    """The library that reads a kind of database (`postgresql`, `mysql`)."""
    return PYMYSQL if kind == _database_url.MYSQL else PSYCOPG


def version_of(module: Any) -> str:
    """The version of an imported library."""
    return str(getattr(module, _OWN_VERSION, None) or module.__version__)


def environment_path(state_dir: str) -> str:
    return os.path.join(state_dir, "venv")


def environment_python(state_dir: str) -> str:
    return os.path.join(environment_path(state_dir), "bin", "python")


def wanted_wheels(requirements: list[Requirement]) -> dict[str, Any]:
    """What somebody elsewhere needs to know to fetch the wheels for this host."""
    libc, libc_version = platform.libc_ver()
    packages = ["pip"] + [requirement.specifier for requirement in requirements]
    for requirement in requirements:
        packages.extend(requirement.dependencies)
    if PSYCOPG in requirements and sys.version_info < (3, 9):
        packages.append(ZONEINFO_BACKPORT)
    return {
        "python": _python_version(),
        "machine": platform.machine(),
        "libc": f"{libc} {libc_version}".strip(),
        "platforms": wheel_platforms(libc, libc_version, platform.machine()),
        "packages": packages,
    }


def wheel_platforms(libc: str, libc_version: str, machine: str) -> list[str]:
    """The wheel platforms that a host takes, newest first: every glibc wheel built for its glibc or an older one."""
    version = _numbers(libc_version)
    if libc != "glibc" or version < (2, 17):
        return []
    newest_first = [f"manylinux_2_{minor}_{machine}" for minor in range(version[1], 16, -1)]
    return [*newest_first, f"manylinux2014_{machine}"]


def probe(run: RunCommand, python: str, requirements: list[Requirement]) -> dict[str, str | None]:
    """Versions of the libraries that this interpreter really imports, None for the others."""
    script = (
        "import importlib, json, sys\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        module = importlib.import_module(name)\n"
        f"        found[name] = getattr(module, '{_OWN_VERSION}', None) or module.__version__\n"
        "    except Exception:\n"
        "        found[name] = None\n"
        "print(json.dumps(found))\n"
    )
    names = [requirement.module for requirement in requirements]
    done = execute(run, [python, "-B", "-c", script, *names], PROBE_SECONDS)
    try:
        return dict(json.loads(done.output.splitlines()[-1]))
    except (ValueError, IndexError):
        return dict.fromkeys(names)


def missing(found: dict[str, str | None], requirements: list[Requirement]) -> list[Requirement]:
    return [requirement for requirement in requirements if not requirement.accepts(found.get(requirement.module))]


def ensure(
    run: RunCommand,
    state_dir: str,
    server: bool,
    wheels: str | None,
    check_mode: bool,
    database: str = _database_url.POSTGRESQL,
) -> dict[str, Any]:
    """Have every library in this module's interpreter or in the private environment; `actions` says what was done."""
    requirements = required(server, database)
    for python in (sys.executable, environment_python(state_dir)):
        found = probe(run, python, requirements)
        if not missing(found, requirements):
            return {"changed": False, "actions": [], "python": python, "versions": found}
    lacking = ", ".join(requirement.specifier for requirement in requirements)
    source = f"wheels {wheels}" if wheels else "the package index"
    action = f"build {environment_path(state_dir)} with {lacking} from {source}"
    if not check_mode:
        _private_directories.make(state_dir)
        with _one_builder(state_dir):
            found = _build(run, state_dir, requirements, wheels)
    return {"changed": True, "actions": [action], "python": environment_python(state_dir), "versions": found}


def activate(state_dir: str) -> None:
    """Let this process import from the private environment, without a new process.

    The environment was made by this very interpreter, so its packages fit. It goes first on the path: where it is
    used, the system's own libraries are missing or too old.
    """
    libraries = _site_packages(environment_path(state_dir))
    if libraries not in sys.path:
        sys.path.insert(0, libraries)
        importlib.invalidate_caches()


def _site_packages(environment: str) -> str:
    return os.path.join(environment, "lib", f"python{_python_version()}", "site-packages")


def _build(
    run: RunCommand, state_dir: str, requirements: list[Requirement], wheels: str | None
) -> dict[str, str | None]:
    """Build aside, prove by importing, then rename."""
    final = environment_path(state_dir)
    new, old = final + ".new", final + ".old"
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        _create_environment(run, new, requirements)
        _install(run, new, requirements, _wheel_directory(wheels, os.path.join(new, "wheels"), requirements))
        shutil.rmtree(os.path.join(new, "wheels"), ignore_errors=True)
        python = os.path.join(new, "bin", "python")
        found = probe(run, python, requirements)
        broken = ", ".join(requirement.module for requirement in missing(found, requirements))
        if broken:
            raise _error(requirements, f"the packages were installed, but {broken} cannot be imported")
        if os.path.lexists(final):
            os.rename(final, old)
        os.rename(new, final)
    finally:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
    return found


def _create_environment(run: RunCommand, path: str, requirements: list[Requirement]) -> None:
    done = execute(run, [sys.executable, "-B", "-m", "venv", "--without-pip", path], PROBE_SECONDS)
    if done.status != 0:
        raise _error(requirements, f"{sys.executable} -m venv failed: {_reason(done)}")


def _install(run: RunCommand, environment: str, requirements: list[Requirement], wheels: str | None) -> None:
    """Run a pip that need not belong to the environment, and let it install there and nowhere else."""
    pip = _pip_of_wheels(run, wheels, requirements) if wheels else _pip_of_target(run, environment, requirements)
    command = [*pip, "install", "--quiet", "--no-input", "--no-cache-dir", "--disable-pip-version-check"]
    # Nothing is ever built from source on a host: that would run foreign code as root and want a compiler.
    command += ["--only-binary=:all:", "--target", _site_packages(environment)]
    if wheels:
        command += ["--no-index", "--find-links", wheels]
    else:
        command += ["--timeout", str(INDEX_TIMEOUT), "--retries", str(INDEX_RETRIES)]
    done = execute(run, command + [requirement.specifier for requirement in requirements], INSTALL_SECONDS)
    if done.status != 0:
        source = f"the wheels in {wheels}" if wheels else "the package index"
        raise _error(requirements, f"pip could not install from {source}: {_reason(done)}")


def _pip_of_target(run: RunCommand, environment: str, requirements: list[Requirement]) -> list[str]:
    """The system's pip, which only has to write into the environment, else the one that Python carries along."""
    if execute(run, [sys.executable, "-B", "-m", "pip", "--version"], PROBE_SECONDS).status == 0:
        return [sys.executable, "-B", "-m", "pip"]
    python = os.path.join(environment, "bin", "python")
    if execute(run, [python, "-B", "-m", "ensurepip"], INSTALL_SECONDS).status == 0:
        return [python, "-B", "-m", "pip"]
    raise _error(requirements, f"{sys.executable} has neither pip nor ensurepip")


def _pip_of_wheels(run: RunCommand, wheels: str, requirements: list[Requirement]) -> list[str]:
    """pip runs straight out of its own wheel. A directory for several Pythons holds several; the newest that runs."""
    pips = [name for name in os.listdir(wheels) if re.match(r"pip-[0-9][^-]*-.*\.whl$", name)]
    for name in sorted(pips, key=lambda name: _numbers(name[len("pip-") :]), reverse=True):
        pip = [sys.executable, "-B", os.path.join(wheels, name, "pip")]
        if execute(run, [*pip, "--version"], PROBE_SECONDS).status == 0:
            return pip
    raise _error(requirements, f"{wheels} holds no wheel of pip itself (pip-*.whl) that this Python runs")


def _wheel_directory(wheels: str | None, unpacked: str, requirements: list[Requirement]) -> str | None:
    """The directory of wheels; a tar file of wheels is unpacked into the environment that is being built."""
    if not wheels or os.path.isdir(wheels):
        return wheels or None
    try:
        _unpack_wheels(wheels, unpacked)
    except (OSError, tarfile.TarError) as error:
        cause = f"{wheels} is neither a directory nor a tar file of wheels: {error}"
        raise _error(requirements, cause) from error
    return unpacked


def _unpack_wheels(archive: str, directory: str) -> None:
    """Only wheels, only by their base names: nothing can leave the directory."""
    os.mkdir(directory)
    with tarfile.open(archive) as members:
        for member in members:
            content = members.extractfile(member) if member.isfile() and member.name.endswith(".whl") else None
            if content is not None:
                with open(os.path.join(directory, os.path.basename(member.name)), "wb") as target:
                    shutil.copyfileobj(content, target)


@contextlib.contextmanager
def _one_builder(state_dir: str) -> Iterator[None]:
    """Two runs on one host build one after the other. The lock ends with the process, however it ends."""
    descriptor = os.open(state_dir, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _error(requirements: list[Requirement], cause: str) -> LibrariesError:
    wanted = wanted_wheels(requirements)
    libraries = ", ".join(requirement.specifier for requirement in requirements)
    return LibrariesError(
        f"the Python libraries {libraries} are missing and could not be installed: {cause.rstrip('.')}. "
        f"Install them for {sys.executable}, give the host a pip and a package index, or put wheels for Python "
        f"{wanted['python']} on {wanted['machine']} ({', '.join(wanted['packages'])}, and what they need) into a "
        "directory on the controller and name it in gpustack_wheels_dir",
        wanted,
    )


def _reason(done: Finished) -> str:
    """Why a command failed, in the words that it ended with."""
    if done.status is not None and done.status < 0:
        return f"it was killed by signal {-done.status}"
    lines = [line.strip() for line in (done.error or done.output).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or [f"it ended with {done.status} and no word"])[-1]


def _python_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)
