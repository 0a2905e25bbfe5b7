# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local HTTP server in place of a GPUStack server, with the answers that `record.py` had from a real one."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DATA = Path(__file__).with_name("data")
RELEASES = ("0.7.1", "2.2.3")
#: What the stand-in takes for the keys with which the recordings were made.
KEY = "gpustack_planted0administr_0123456789abcdef"
USERS_KEY = "gpustack_planted0otheruser_0123456789abcdef"
_WHO = {f"Bearer {KEY}": "admin", f"Bearer {USERS_KEY}": "user"}

#: Status, body and headers of an answer to a path and the value of Authorization.
Answer = tuple[int, bytes, dict[str, str]]


@dataclass
class Seen:
    """Where the server is, and what was asked."""

    url: str
    requests: list[tuple[str, str | None]] = field(default_factory=list)


def recording(release: str) -> dict[str, Any]:
    """What a real server of a release answered, by who asked and what for."""
    found: dict[str, Any] = json.loads((DATA / f"{release}.json").read_text())
    return found


def recorded(release: str) -> Callable[[str, str | None], Answer]:
    """Answers as they were recorded."""
    answers = recording(release)

    def answer(path: str, authorization: str | None) -> Answer:
        found = answers[_WHO.get(authorization or "", "none")][path]
        return found["status"], json.dumps(found["body"]).encode(), {"Content-Type": "application/json"}

    return answer


@contextlib.contextmanager
def serving(answer: Callable[[str, str | None], Answer], certificate: Path | None = None) -> Iterator[Seen]:
    """Serve answers on the loopback address, by TLS where a certificate with its key is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization")
            seen.requests.append((self.path, authorization))
            status, body, headers = answer(self.path, authorization)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Tests look at `Seen` instead."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    seen = Seen(f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(path: Path) -> None:
    """A certificate for 127.0.0.1 that nobody but itself has signed, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(1))
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(key, hashes.SHA256())
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
