# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers that a GPUStack server lists over its API, whichever generation it is.

C(/version) needs no key and tells the release, from 0.1.0 to 2.2.3 (C(gpustack/routes/probes.py)). C(/v1/workers) of
0.x and C(/v2/workers) of 2.x come in pages (C(gpustack/schemas/common.py), C(ListParams)): C(page) from 1, and
C(perPage), of which 0.x takes 100 at most.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.urls import ConnectionError as TransportError
from ansible.module_utils.urls import open_url

from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _fleet_inventory

#: As many as 0.x gives at once.
PAGE_SIZE = 100
#: No answer of a GPUStack server is longer; what is, comes from something else.
LONGEST_ANSWER = 64 * 1024 * 1024
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
#: The list of workers by the major number of the release. By default the newest come first, which is no order among
#: those of one second: SQLite keeps to one even so, PostgreSQL need not from one page to the next.
_WORKERS = {0: "/v1/workers?", 2: "/v2/workers?sort_by=name&"}
_CLUSTERS = "/v2/clusters?sort_by=name&"
#: What a build from source says of itself (C(gpustack/__init__.py)).
_NO_RELEASE = "0.0.0"
#: From 2.2 on a key shows what belongs to its owner (gpustack/api/tenant.py). A legacy administrator's key belongs to
#: that person afterwards (seen on an upgraded 2.2.3), and workers belong to an organization.
_NO_WORKERS = {
    "0": "write the inventory of a server that has no workers by hand",
    "2": (
        "from 2.2 on, keys from before the upgrade and keys of other users show none: create one as an administrator "
        "for all organizations, or have a backup of the legacy server tell its workers (backup)"
    ),
}
_NO_GPUSTACK = "it is not a GPUStack server, or one behind a proxy that hides its API; check server_url"


class ApiError(Exception):
    """The server's workers could not be read; the message says why and what to do, and never the key."""


@dataclass(frozen=True)
class Access:
    """How a server is reached."""

    url: str
    api_key: str = field(repr=False)
    timeout: int = 30
    validate_certs: bool = True
    ca_path: str | None = None
    use_proxy: bool = True


def checked_url(url: str) -> str:
    """A server's URL without a slash at its end; anything but a plain one is refused."""
    try:
        parts = urllib.parse.urlsplit(url.strip())
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ApiError("server_url is not the URL of a server; write it as https://gpustack.example.com")
    if parts.username is not None or parts.password is not None:
        raise ApiError("server_url holds a user name or a password; take them out, the API key is what is needed")
    return url.strip().rstrip("/")


def checked_key(api_key: str | None) -> str:
    """An API key that a request can carry."""
    key = (api_key or "").strip()
    if not key:
        raise ApiError(
            "there is no API key; create one as an administrator in GPUStack (API Keys) and give it in the environment "
            "variable GPUSTACK_API_KEY, or encrypted by ansible-vault in the option api_key"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ApiError("the API key holds characters that no API key has; copy it anew")
    return key


def read_fleet(access: Access) -> dict[str, Any]:
    """Release and workers of a server."""
    release, listing = _release(access)
    rows = _items(access, listing)
    clusters: dict[Any, str] = {}
    if any(row.get("cluster_id") is not None for row in rows):
        clusters = {row["id"]: str(row.get("name") or "") for row in _items(access, _CLUSTERS)}
    if not rows:
        raise ApiError(f"{access.url} (GPUStack {release}) lists no workers to this API key; {_NO_WORKERS[release[0]]}")
    return {"release": release, "workers": [_fleet_inventory.worker(row, clusters) for row in rows]}


def _release(access: Access) -> tuple[str, str]:
    answer = _get(access, "/version")
    version = answer.get("version") if isinstance(answer, dict) else None
    match = _VERSION.match(version) if isinstance(version, str) else None
    if match is None:
        raise ApiError(f"{access.url}/version does not tell a release: {_NO_GPUSTACK}")
    release = ".".join(match.groups())
    listing = _WORKERS.get(int(match[1]))
    if listing is None or release == _NO_RELEASE:
        raise ApiError(
            f"{access.url} runs GPUStack {release}, and this collection knows the API of 0.x and 2.x; see whether a "
            "newer release of the collection knows it, or write the inventory by hand"
        )
    return release, listing


def _items(access: Access, listing: str) -> list[dict[str, Any]]:
    """All entries of a list that comes in pages; ``listing`` is its path and the beginning of its query."""
    found: dict[Any, dict[str, Any]] = {}
    page = 1
    while True:
        items, pages, total = _page(access, listing, page)
        found.update({item["id"]: item for item in items})
        if page >= pages or not items:
            break
        page += 1
    if len(found) != total:
        raise ApiError(f"the list {access.url}{_path(listing)} changed while its pages were read; run again")
    return list(found.values())


def _page(access: Access, listing: str, page: int) -> tuple[list[dict[str, Any]], int, int]:
    answer = _get(access, f"{listing}page={page}&perPage={PAGE_SIZE}")
    try:
        items, pagination = answer["items"], answer["pagination"]
        numbers = int(pagination["totalPage"]), int(pagination["total"])
        well_formed = all(isinstance(item["id"], int) and isinstance(item["name"], str) for item in items)
    except (TypeError, KeyError, ValueError):
        well_formed = False
    if not well_formed:
        raise ApiError(f"{access.url}{_path(listing)} is not the list that GPUStack gives: {_NO_GPUSTACK}")
    return items, *numbers


def _path(request: str) -> str:
    return request.partition("?")[0]


def _get(access: Access, path: str) -> Any:
    text = _read(access, path)
    try:
        return json.loads(text)
    except ValueError:
        raise ApiError(f"{access.url}{_path(path)} is not JSON: {_NO_GPUSTACK}") from None


def _read(access: Access, path: str) -> bytes:
    """The body of an answer. Exceptions of the transport are told anew: what they quote may hold the key."""
    try:
        # A redirect would take the key to another server, and an entry of ~/.netrc would take its place.
        answer = open_url(
            access.url + path,
            headers={"Authorization": f"Bearer {access.api_key}", "Accept": "application/json"},
            timeout=access.timeout,
            validate_certs=access.validate_certs,
            ca_path=access.ca_path,
            use_proxy=access.use_proxy,
            follow_redirects="none",
            use_netrc=False,
        )
        with answer:
            text: bytes = answer.read(LONGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        raise ApiError(_refused(access, path, error)) from None
    except (OSError, TransportError, http.client.HTTPException) as error:
        raise ApiError(_unreachable(access, error)) from None
    if len(text) > LONGEST_ANSWER:
        raise ApiError(f"{access.url}{_path(path)} does not end: {_NO_GPUSTACK}")
    return text


def _refused(access: Access, path: str, error: urllib.error.HTTPError) -> str:
    asked = access.url + _path(path)
    if error.code == 401:
        return (
            f"{access.url} does not accept the API key (401): it has expired, was deleted, or is another server's; "
            "create one as an administrator in GPUStack (API Keys)"
        )
    if error.code == 403:
        return (
            f"{access.url} does not show its workers to this API key (403): take one of an administrator; from 2.2 on, "
            "one whose permissions are not limited to inference"
        )
    if 300 <= error.code < 400:
        where = _without_query(error.headers.get("Location") or "")
        return f"{asked} leads to {where or 'another address'} ({error.code}); give that in server_url"
    if error.code >= 500:
        return f"{asked} is answered with {error.code}: the server is not ready, or failed; see its log"
    return f"{asked} is answered with {error.code}: {_NO_GPUSTACK}"


def _without_query(url: str) -> str:
    """A redirect's target as far as it is an address: the rest may hold what a log-in page was given."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else parts.path


def _unreachable(access: Access, error: Exception) -> str:
    reason = getattr(error, "reason", error)
    text = str(getattr(reason, "strerror", None) or reason)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {access.url} is not accepted ({reason.verify_message}); give the authority that "
            "signed it in ca_path, the name that it was made for in server_url, or set validate_certs to false"
        )
    if isinstance(reason, ssl.SSLError):
        return f"{access.url} does not speak TLS as it should ({text}); check scheme and port of server_url"
    if isinstance(reason, TimeoutError):
        return (
            f"{access.url} does not answer in {access.timeout} s; check server_url and the way there, or raise timeout"
        )
    return f"{access.url} cannot be reached ({text}); check server_url, that the server runs, and the way there"
