# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of the new release on this host: kept when it is there, else loaded or pulled, then held against its pin.

Credentials go to the engine inside the request that pulls; no file and no argument list ever holds them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DockerReader

MASK = "********"
FETCH_SILENCE_SECONDS = 1800


class ImageRequest(NamedTuple):
    """What is asked for: a reference, optionally the id or digest that it must have, and where it may come from."""

    reference: str
    pin: str | None = None
    archive: str | None = None
    username: str | None = None
    password: str | None = None


class WaysOut(NamedTuple):
    """What helps, by what went wrong: no room, a bad archive, no access, no such image, anything else."""

    space: str
    archive: str
    access: str
    unknown: str
    other: str


#: For the image of the release.
OWN_WAYS_OUT = WaysOut(
    space="free space in the file system of the engine's root directory (`docker info` names it)",
    archive="make the archive again with `docker save`, and check that it arrived whole",
    access="check the image's name, and gpustack_registry_username and gpustack_registry_password",
    unknown="check gpustack_version and gpustack_image: the registry has no such image",
    other="check the host's way to the registry, or bring the image with gpustack_image_archive",
)


class ImageError(Exception):
    """The image cannot be had, or is not the one that was asked for."""


def find(reader: DockerReader, request: ImageRequest) -> dict[str, Any] | None:
    """The record of the image, if this host has it; one that is not what was asked for is an error."""
    attributes = reader.image(request.reference)
    if attributes is None:
        return None
    check_pin(request, attributes)
    check_architecture(request.reference, attributes, reader.version().get("Arch", ""))
    digests = attributes.get("RepoDigests") or []
    return {
        "reference": request.reference,
        "id": attributes["Id"],
        "repo_digests": digests,
        "pin": pin_of(attributes["Id"], digests),
        "size": attributes.get("Size"),
        "architecture": attributes.get("Architecture"),
        "version": None,
    }


def describe(request: ImageRequest) -> str:
    """What `fetch` does, for a person."""
    if request.archive:
        return f"load image {request.reference} from {request.archive}"
    return f"pull image {request.reference}"


def fetch(client: Any, request: ImageRequest, ways_out: WaysOut = OWN_WAYS_OUT) -> None:
    """Load the image from its archive, else pull it."""
    from docker.errors import DockerException  # here, not above: check mode runs on hosts that do not have it yet

    # The engine is silent while it unpacks a large layer.
    client.api.timeout = FETCH_SILENCE_SECONDS
    try:
        if request.archive:
            _load(client, request.reference, request.archive)
        else:
            _pull(client, request, ways_out)
    except (DockerException, OSError) as error:
        raise _explained(request, str(getattr(error, "explanation", None) or error), ways_out) from None


def load_all(client: Any, archive: str) -> None:
    """Load everything that an archive holds."""
    from docker.errors import DockerException

    client.api.timeout = FETCH_SILENCE_SECONDS
    try:
        with open(archive, "rb") as content:
            client.images.load(content)
    except (DockerException, OSError) as error:
        reason = str(getattr(error, "explanation", None) or error)
        way_out = _way_out(reason.lower(), True, OWN_WAYS_OUT)
        raise ImageError(f"archive {archive} could not be loaded: {reason.strip()}; {way_out}") from None


def check_pin(request: ImageRequest, attributes: dict[str, Any]) -> None:
    """A pin is an image id or a registry digest, with or without the repository before it."""
    if not request.pin:
        return
    digests = [digest.rpartition("@")[2] for digest in attributes.get("RepoDigests") or []]
    if not meets(request.pin, attributes["Id"], digests):
        raise ImageError(
            f"image {request.reference} on this host is {attributes['Id']} (digests: {', '.join(digests) or 'none'}), "
            f"but the run is pinned to {request.pin}; remove it with `docker image rm {request.reference}` and run "
            "again, or pin the run to this one"
        )


def pin_of(image_id: str, digests: Sequence[str]) -> str:
    """What other hosts can be held to. A digest names the same release on every architecture, an id only on one."""
    return digests[0] if digests else image_id


def meets(pin: str, image_id: str, digests: Sequence[str]) -> bool:
    """Whether an image is the pinned one."""
    return pin.rpartition("@")[2] in [image_id, *(digest.rpartition("@")[2] for digest in digests)]


def check_architecture(reference: str, attributes: dict[str, Any], engine: str) -> None:
    built_for = attributes.get("Architecture", "")
    if engine and built_for and engine != built_for:
        raise ImageError(
            f"image {reference} is built for {built_for}, but this host's engine runs {engine}; "
            f"give an image or an archive for {engine}"
        )


def check_version(reference: str, version: str, release: str) -> None:
    found, asked = version.lstrip("v"), release.lstrip("v")
    if found != asked:
        raise ImageError(
            f"image {reference} is {found}, asked for {asked}; set gpustack_version to {found}, or name an image of "
            f"{asked} in gpustack_image"
        )


def _load(client: Any, reference: str, archive: str) -> None:
    from docker.errors import ImageNotFound

    with open(archive, "rb") as content:
        loaded = client.images.load(content)
    try:
        client.images.get(reference)
    except ImageNotFound:
        names = ", ".join(tag for image in loaded for tag in image.tags or [image.id]) or "no image"
        raise ImageError(
            f"archive {archive} holds {names}, not {reference}; save the right one with `docker save {reference}`, "
            "or set gpustack_image to what it holds"
        ) from None


def _pull(client: Any, request: ImageRequest, ways_out: WaysOut) -> None:
    """Pull by the low-level call: the high-level one drops what the registry says when it fails half-way."""
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(request.reference)
    credentials = None
    if request.username:
        credentials = {"username": request.username, "password": request.password or ""}
    for event in client.api.pull(repository, tag=tag or "latest", stream=True, decode=True, auth_config=credentials):
        if "error" in event:
            raise _explained(request, event["error"], ways_out)


def _explained(request: ImageRequest, reason: str, ways_out: WaysOut) -> ImageError:
    """The engine's or the registry's own reason, without the password, and what helps against it."""
    if request.password:
        reason = reason.replace(request.password, MASK)
    how = f"loaded from {request.archive}" if request.archive else "pulled"
    way_out = _way_out(reason.lower(), bool(request.archive), ways_out)
    return ImageError(f"image {request.reference} could not be {how}: {reason.strip()}; {way_out}")


def _way_out(reason: str, from_archive: bool, ways_out: WaysOut) -> str:
    if "no space left" in reason:
        return ways_out.space
    if from_archive:
        return ways_out.archive
    if any(word in reason for word in ("auth", "denied", "forbidden")):
        return ways_out.access
    if any(word in reason for word in ("manifest unknown", "not found", "does not exist")):
        return ways_out.unknown
    return ways_out.other
