# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker engine, read over its unix socket with the standard library alone.

The only verb here is GET, and no path that is asked for has a side effect: a caller cannot write by mistake.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterable, Mapping
from urllib.parse import quote, urlencode

DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
#: The newest API whose answers this collection was written for; an older engine is asked in its own version.
NEWEST_API = (1, 45)
DEFAULT_TIMEOUT = 10.0
PARALLEL_REQUESTS = 8
_API_VERSION = re.compile(r"^(\d+)\.(\d+)$")


class DockerReaderError(Exception):
    """The engine could not be read; the message says why and what to do."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket; proxies never apply."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class DockerReader:
    """Reads one engine. Safe to use from several threads: every request has its own connection."""

    def __init__(self, docker_host: str = DEFAULT_DOCKER_HOST, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.path = socket_path(docker_host)
        self._timeout = timeout
        self._prefix: str | None = None

    def ping(self) -> dict[str, str]:
        """The headers of ``/_ping``, in lower case."""
        _body, headers = self._request("/_ping")
        return headers

    def version(self) -> dict[str, Any]:
        """What the engine is: version, components, API version."""
        return self._get("/version")

    def info(self) -> dict[str, Any]:
        """How the engine is set up: runtimes, storage, security options, proxies."""
        return self._get("/info")

    def containers(self) -> list[dict[str, Any]]:
        """All containers, stopped ones too, in the engine's short form."""
        return self._get("/containers/json", {"all": "true"})

    def inspect(self, container: str) -> dict[str, Any] | None:
        """One container by id or name; None when there is none."""
        return self._get("/containers/{}/json".format(quote(container, safe="")), missing_ok=True)

    def inspect_all(self, containers: Iterable[str]) -> list[dict[str, Any]]:
        """Several containers at once; those that vanished meanwhile are left out."""
        return [found for found in self._parallel(self.inspect, containers) if found is not None]

    def image(self, reference: str) -> dict[str, Any] | None:
        """One image by id or reference; None when it is not on the host, or when nothing is named."""
        if not reference:
            return None
        return self._get("/images/{}/json".format(quote(reference, safe="/:@")), missing_ok=True)

    def images(self, references: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Several images by reference; those that are not on the host are left out."""
        wanted = list(dict.fromkeys(references))
        found = zip(wanted, self._parallel(self.image, wanted))
        return {reference: image for reference, image in found if image is not None}

    def image_names(self) -> dict[str, str]:
        """Every name that an image has on this host, to the image's id."""
        names: dict[str, str] = {}
        for image in self._get("/images/json"):
            names.update({name: image["Id"] for name in image.get("RepoTags") or [] if name != "<none>:<none>"})
        return names

    def volume(self, name: str) -> dict[str, Any] | None:
        """One volume by name; None when there is none."""
        return self._get("/volumes/{}".format(quote(name, safe="")), missing_ok=True)

    def execution(self, identity: str) -> dict[str, Any]:
        """How a command that was run in a container ended."""
        found: dict[str, Any] = self._get("/exec/{}/json".format(quote(identity, safe="")))
        return found

    def _parallel(self, read: Any, names: Iterable[str]) -> list[Any]:
        self.versioned("")  # negotiated once, before the threads start
        with ThreadPoolExecutor(max_workers=PARALLEL_REQUESTS) as pool:
            return list(pool.map(read, names))

    def versioned(self, path: str) -> str:
        """A path with the version of the API that both sides understand."""
        if self._prefix is None:
            self._prefix = api_prefix(self.ping().get("api-version", ""))
        return self._prefix + path

    def _get(self, path: str, query: Mapping[str, str] | None = None, missing_ok: bool = False) -> Any:
        target = self.versioned(path)
        if query:
            target += "?" + urlencode(query)
        body, _headers = self._request(target, missing_ok)
        if body is None:
            return None
        try:
            return json.loads(body)
        except ValueError:
            raise DockerReaderError(
                f"{self.path} answered {path} with something that is not JSON; is it a Docker engine?"
            ) from None

    def _request(self, target: str, missing_ok: bool = False) -> tuple[bytes | None, dict[str, str]]:
        connection = UnixConnection(self.path, self._timeout)
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DockerReaderError(connection_problem(self.path, error, self._timeout)) from error
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.status == 404 and missing_ok:
            return None, headers
        if response.status != 200:
            raise DockerReaderError(
                f"The Docker engine at {self.path} answered {response.status} to GET {target}: {engine_message(body)}"
            )
        return body, headers


def socket_path(docker_host: str) -> str:
    """The path of a ``unix://`` address; anything else is another host's engine, which this host cannot speak for."""
    if docker_host.startswith("unix://"):
        return docker_host[len("unix://") :]
    if docker_host.startswith("/"):
        return docker_host
    raise DockerReaderError(
        f"docker_host must be a unix socket of the host itself (unix:///var/run/docker.sock), not {docker_host!r}."
    )


def api_prefix(engine_version: str) -> str:
    """The versioned path prefix that both sides understand; empty when the engine does not name a version."""
    match = _API_VERSION.match(engine_version)
    if match is None:
        return ""
    both = min(NEWEST_API, (int(match.group(1)), int(match.group(2))))
    return "/v{}.{}".format(*both)


def connection_problem(path: str, error: BaseException, timeout: float) -> str:
    """Cause and way out of a connection that failed."""
    if isinstance(error, socket.timeout):
        return f"The Docker engine at {path} did not answer within {timeout:g} s; look at 'systemctl status docker'."
    if isinstance(error, FileNotFoundError):
        return f"There is no Docker engine: {path} does not exist; install and start Docker, or set docker_host."
    if isinstance(error, PermissionError):
        return f"{path} may not be opened by uid {os.geteuid()}; run with become: true."
    if isinstance(error, ConnectionRefusedError) and not is_socket(path):
        return f"{path} is not a socket; set docker_host to the socket of the Docker engine."
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens on {path}; start the Docker engine ('systemctl start docker')."
    return f"The Docker engine at {path} could not be read: {error}."


def is_socket(path: str) -> bool:
    """Whether the path is a unix socket."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def engine_message(body: bytes) -> str:
    """The engine's own words in an error answer."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace").strip()


def engine_facts(version: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence ``engine`` from the engine's answers."""
    security = [str(option) for option in info.get("SecurityOptions") or []]
    components = [str(component.get("Name", "")) for component in version.get("Components") or []]
    return {
        "reachable": True,
        "error": None,
        "version": version.get("Version"),
        "api_version": version.get("ApiVersion"),
        "rootless": any("name=rootless" in option for option in security),
        "userns_remap": any("name=userns" in option for option in security),
        "podman": any("podman" in name.lower() for name in components),
        "selinux": any("name=selinux" in option for option in security),
        "root_dir": info.get("DockerRootDir"),
        "storage_driver": info.get("Driver"),
        "runtimes": sorted(info.get("Runtimes") or {}),
        "default_runtime": info.get("DefaultRuntime"),
    }


def unreachable_engine(error: str) -> dict[str, Any]:
    """The evidence ``engine`` when it could not be read."""
    facts = engine_facts({}, {})
    facts.update(reachable=False, error=error)
    return facts
