# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker engine for writers, over the Docker SDK: the few verbs that a switch needs, and no other.

Containers are named by id or name. Nothing here removes a volume.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Iterable, Iterator, Mapping, TypeVar

#: A busy engine takes its time to start a container; this is where it is taken for hung.
REQUEST_SECONDS = 180
#: It says nothing while it packs or unpacks a large layer.
ARCHIVE_SECONDS = 1800
POLL_SECONDS = 0.5

Answer = TypeVar("Answer")


class EngineError(Exception):
    """The engine refused or could not be reached; the message says what was asked of it."""


class Engine:
    """One engine, the host's own. The SDK's objects stay inside, except `client`."""

    def __init__(self, docker_host: str) -> None:
        import docker  # here, not above: check mode and info modules run on hosts that do not have it yet
        import urllib3  # what the SDK reads streams with

        self._docker_error: type[Exception] = docker.errors.DockerException
        self._missing: type[Exception] = docker.errors.NotFound
        self._stream_error: type[Exception] = urllib3.exceptions.HTTPError
        try:
            #: The SDK's own client, for what has no verb here (pull, load, trial containers).
            self.client = docker.DockerClient(base_url=docker_host, version="auto", timeout=REQUEST_SECONDS)
        except self._docker_error as error:
            raise EngineError(
                f"The Docker engine at {docker_host} does not answer ({error}); start it ('systemctl start docker')."
            ) from None
        self._api = self.client.api
        # The engine is this host's own; a proxy of the environment must not come between.
        self._api.trust_env = False

    def wait(self, seconds: float) -> None:
        """Return once it answers: it may be restarting, or have just been started with the host."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._ask("answer", self._api.ping)
                return
            except EngineError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def inspect(self, container: str) -> dict[str, Any] | None:
        """The engine's record of a container; None when there is none."""
        try:
            return self._ask("inspect container " + container, self._api.inspect_container, container)
        except LookupError:
            return None

    def image(self, reference: str) -> dict[str, Any] | None:
        """The engine's record of an image; None when it is not on the host."""
        try:
            return self._ask("inspect image " + reference, self._api.inspect_image, reference)
        except LookupError:
            return None

    def names(self) -> set[str]:
        """The names of all containers, stopped ones too."""
        found = self._ask("list containers", self._api.containers, all=True)
        return {name.lstrip("/") for container in found for name in container.get("Names") or []}

    def with_label(self, label: str) -> list[dict[str, Any]]:
        """The records of all containers with a label (``name`` or ``name=value``)."""
        found = self._ask("list containers", self._api.containers, all=True, filters={"label": label})
        records = (self.inspect(container["Id"]) for container in found)
        return [record for record in records if record is not None]

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create a container from the body of the engine's own create call; its id."""
        made = self._ask("create container " + name, self._api.create_container_from_config, dict(config), name)
        return str(made["Id"])

    def start(self, container: str) -> None:
        """Start it; one that runs stays as it is."""
        self._ask("start container " + container, self._api.start, container)

    def stop(self, container: str, seconds: int) -> None:
        """Ask it to stop, kill it after the given seconds; one that is stopped stays as it is."""
        self._ask("stop container " + container, self._api.stop, container, timeout=seconds)

    def wait_removed(self, container: str) -> None:
        """Return once a stopped container that removes itself is gone."""
        try:
            self._ask("wait for container " + container, self._api.wait, container, condition="removed")
        except LookupError:
            return

    def set_restart_policy(self, container: str, policy: Mapping[str, Any]) -> None:
        """Replace the restart policy."""
        self._ask(
            "set the restart policy of container " + container,
            self._api.update_container,
            container,
            restart_policy=dict(policy),
        )

    def rename(self, container: str, name: str) -> None:
        """Give it another name; its old name is free at once."""
        self._ask(f"rename container {container} to {name}", self._api.rename, container, name)

    def remove(self, container: str) -> None:
        """Remove a stopped container; its volumes stay, anonymous ones too."""
        self._ask("remove container " + container, self._api.remove_container, container, v=False, force=False)

    def discard(self, container: str) -> None:
        """Remove a throw-away container of ours, running or not, with its anonymous volumes, if it is there."""
        with contextlib.suppress(LookupError):
            self._ask("remove container " + container, self._api.remove_container, container, v=True, force=True)

    def connect(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect a container to a further network, with the settings of the engine's own create call."""
        addresses = endpoint.get("IPAMConfig") or {}
        settings = {
            "ipv4_address": addresses.get("IPv4Address"),
            "ipv6_address": addresses.get("IPv6Address"),
            "link_local_ips": addresses.get("LinkLocalIPs"),
            "aliases": endpoint.get("Aliases"),
            "links": [tuple(link.split(":", 1)) for link in endpoint.get("Links") or []],
            "driver_opt": endpoint.get("DriverOpts"),
        }
        self._ask(
            f"connect container {container} to network {network}",
            self._api.connect_container_to_network,
            container,
            network,
            **{name: value for name, value in settings.items() if value},
        )

    def load_image(self, archive: str) -> None:
        """Load what ``docker save`` wrote."""
        with open(archive, "rb") as content, self._patient():
            self._ask("load " + archive, self.client.images.load, content)

    def save_image(self, reference: str) -> Iterator[bytes]:
        """What ``docker save`` writes, block by block."""
        with self._patient():
            what = "save " + reference
            yield from self._unbroken(what, self._ask(what, self._api.get_image, reference))

    def tag_image(self, image: str, reference: str) -> None:
        """Give an image a further reference."""
        self._ask(f"tag image {image} as {reference}", self._api.tag, image, *_name_and_tag(reference))

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Make a volume, or take the one of this name; where it lies on the host."""
        made = self._ask("create volume " + name, self._api.create_volume, name, labels=dict(labels))
        return str(made["Mountpoint"])

    def read_archive(self, container: str, path: str) -> Iterator[bytes]:
        """A file or directory of a container, stopped or not, as the pieces of a tar archive."""
        what = f"read {path} of container {container}"
        chunks, _facts = self._ask(what, self._api.get_archive, container, path)
        return self._unbroken(what, chunks)

    def follow_logs(self, container: str, since: float | None = None) -> Iterator[str]:
        """The container's output line by line, as it is printed, until it stops."""
        what = "read the log of container " + container
        chunks = self._ask(
            what,
            self._api.logs,
            container,
            stdout=True,
            stderr=True,
            stream=True,
            follow=True,
            since=since,
        )
        return self._unbroken(what, lines_of(chunks))

    def _unbroken(self, what: str, pieces: Iterable[Answer]) -> Iterator[Answer]:
        """The pieces of a stream, with the engine's name on an error in the middle of it."""
        try:
            yield from pieces
        except (self._docker_error, self._stream_error, OSError) as error:
            raise EngineError(f"The Docker engine broke off when it was to {what}: {_reason(error)}") from None

    def log_tail(self, container: str, lines: int) -> list[str]:
        """The last lines that the container printed."""
        output = self._ask(
            "read the log of container " + container, self._api.logs, container, tail=lines, stdout=True, stderr=True
        )
        return output.decode("utf-8", "replace").splitlines()

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        usual, self._api.timeout = self._api.timeout, ARCHIVE_SECONDS
        try:
            yield
        finally:
            self._api.timeout = usual

    def _ask(self, what: str, call: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
        try:
            return call(*args, **kwargs)
        except self._missing as error:
            raise MissingError(f"The Docker engine could not {what}: {_reason(error)}") from None
        except (self._docker_error, OSError) as error:
            raise EngineError(f"The Docker engine could not {what}: {_reason(error)}") from None


class MissingError(EngineError, LookupError):
    """There is no such container or image."""


def _name_and_tag(reference: str) -> tuple[str, str]:
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def lines_of(chunks: Iterator[bytes]) -> Iterator[str]:
    """Whole lines from pieces that end anywhere."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


def is_running(record: Mapping[str, Any]) -> bool:
    """Whether a container's record says that it runs."""
    return bool(record["State"]["Running"])


def name_of(record: Mapping[str, Any]) -> str:
    """A container's name without the engine's slash."""
    return str(record["Name"]).lstrip("/")


def label_of(record: Mapping[str, Any], label: str) -> str | None:
    """A label of a container's record."""
    return (record["Config"].get("Labels") or {}).get(label)


def _reason(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)
