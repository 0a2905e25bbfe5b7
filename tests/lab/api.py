# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of a GPUStack server's HTTP interface, as far as the lab needs one."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.lab.errors import LabError

# The lab's hosts are next door: no proxy of the machine's environment stands between.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ApiError(LabError):
    """The server answered with an error, or not at all."""


class Client:
    """One user's view of one server."""

    def __init__(self, url: str, header: tuple[str, str] | None = None, context: ssl.SSLContext | None = None) -> None:
        self.url = url.rstrip("/")
        self._header = header
        self._context = context

    def with_api_key(self, key: str) -> Client:
        """A client that shows this API key."""
        return Client(self.url, ("Authorization", f"Bearer {key}"), self._context)

    def login(self, username: str, password: str) -> Client:
        """A client with the session of this user."""
        form = urllib.parse.urlencode({"username": username, "password": password}).encode()
        request = urllib.request.Request(f"{self.url}/auth/login", data=form, method="POST")
        with self._open(request) as response:
            for cookie in response.headers.get_all("Set-Cookie") or []:
                if cookie.startswith("gpustack_session="):
                    return Client(self.url, ("Cookie", cookie.split(";")[0]), self._context)
        raise ApiError(f"{self.url} let {username} in but gave no session")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the decoded answer."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self._header:
            request.add_header(*self._header)
        with self._open(request) as response:
            content = response.read()
        return json.loads(content) if content else None

    def items(self, path: str) -> list[dict[str, Any]]:
        """All entries of a paginated list."""
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = self.call("GET", f"{path}?page={page}&perPage=100")
            found += answer["items"]
            if page >= answer["pagination"]["totalPage"]:
                return found
            page += 1

    def _open(self, request: urllib.request.Request) -> Any:
        opener = _OPENER
        if self._context is not None:
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
            )
        try:
            return opener.open(request, timeout=60)
        except urllib.error.HTTPError as exc:
            said = exc.read().decode(errors="replace")[:400]
            raise ApiError(f"{request.method} {request.full_url} was answered with {exc.code}: {said}") from exc
        except OSError as exc:
            raise ApiError(f"{request.method} {request.full_url} got no answer: {exc}") from exc


def wait_until(what: str, condition: Callable[[], Any], timeout: float, way_out: str) -> Any:
    """Return the first true value of a condition; an ApiError on the way means: not yet."""
    deadline = time.monotonic() + timeout
    last: str = "no answer yet"
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
            last = "not so yet"
        except ApiError as exc:
            last = str(exc)
        time.sleep(0.5)
    raise LabError(f"waited {timeout:.0f} s for {what}, in vain (last: {last}); {way_out}")
