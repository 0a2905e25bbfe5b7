# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what was started does its work: the watch of a first start, and readiness over HTTP.

Requests go straight to the address, never through a proxy. A certificate is not verified against authorities or names:
it is the operator's own, and the address is this host's. After a start it has to be the one of the server's option.
"""

from __future__ import annotations

import http.client
import queue
import re
import socket
import ssl
import threading
import time
from typing import Callable, Iterable, Iterator, NamedTuple

REQUEST_SECONDS = 5.0
POLL_SECONDS = 0.25
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class GateError(Exception):
    """What was started does not do its work; the message says what was seen."""


class Endpoint(NamedTuple):
    """An address that has to answer 200."""

    what: str
    host: str
    port: int
    path: str = "/readyz"
    tls: bool = False
    #: The file, on this host, of the certificate that it has to show after a start; any will do where it is none.
    certificate: str | None = None

    def __str__(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{self.what} ({scheme}://{self.host}:{self.port}{self.path})"


def answer_of(endpoint: Endpoint) -> str | None:
    """None when it answers 200, else what it did instead."""
    connection = connection_to(endpoint)
    try:
        connection.request("GET", endpoint.path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if status == 200 else f"HTTP status {status}"


def wrong_certificate(endpoint: Endpoint) -> str | None:
    """What is wrong with the certificate that it shows; None when it is that of the file, or nothing tells which."""
    wanted = _first_certificate(endpoint.certificate) if endpoint.certificate else None
    if wanted is None:
        return None
    try:
        address = (endpoint.host, endpoint.port)
        with socket.create_connection(address, REQUEST_SECONDS) as plain, _unverified().wrap_socket(
            plain
        ) as connection:
            shown = connection.getpeercert(binary_form=True)
    except OSError as error:
        return str(error) or type(error).__name__
    return None if shown == wanted else f"it shows another certificate than that in {endpoint.certificate}"


def _first_certificate(path: str) -> bytes | None:
    """The server's own certificate, which comes first in its file; None when it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as text:
            found = _CERTIFICATE.search(text.read())
        return ssl.PEM_cert_to_DER_cert(found.group()) if found else None
    except (OSError, ValueError):
        return None


def wait_until_ready(endpoints: Iterable[Endpoint], still_runs: Callable[[], bool], seconds: float) -> None:
    """Return when all answer; a container that ends ends the waiting."""
    deadline = time.monotonic() + seconds
    waiting = list(endpoints)
    while waiting:
        answers = {endpoint: answer_of(endpoint) or wrong_certificate(endpoint) for endpoint in waiting}
        waiting = [endpoint for endpoint in waiting if answers[endpoint] is not None]
        if not waiting:
            return
        said = "; ".join(f"{endpoint}: {answers[endpoint]}" for endpoint in waiting)
        if not still_runs():
            raise GateError(f"The container stopped before it was ready: {said}.")
        if time.monotonic() > deadline:
            raise GateError(f"Not ready within {seconds:g} seconds: {said}.")
        time.sleep(POLL_SECONDS)


def lines_with_ticks(lines: Iterator[str]) -> Iterator[str | None]:
    """The lines as they come, and None whenever none came for a moment; ends with the lines."""
    channel: queue.Queue[str | BaseException | None] = queue.Queue()
    threading.Thread(target=_pump, args=(lines, channel), daemon=True).start()
    while True:
        try:
            item = channel.get(timeout=POLL_SECONDS)
        except queue.Empty:
            yield None
            continue
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item


def _pump(lines: Iterator[str], channel: queue.Queue[str | BaseException | None]) -> None:
    try:
        for line in lines:
            channel.put(line)
        channel.put(None)
    except Exception as error:  # the watching thread raises it
        channel.put(error)


def connection_to(endpoint: Endpoint) -> http.client.HTTPConnection:
    """A connection that goes past every proxy, not yet open."""
    if not endpoint.tls:
        return http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=REQUEST_SECONDS)
    return http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=REQUEST_SECONDS, context=_unverified())


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
