# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private certificate authority and a server's certificate, made on a host of the lab by its openssl."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from tests.lab.fleet import Reach

#: On every host; only the server has its key.
FOLDER = "/etc/gpustack-tls"
AUTHORITY, CERTIFICATE, KEY = "ca.pem", "server.pem", "server.key"
_SCRIPT = """
set -e
umask 077
mkdir -p {folder} && chmod 0755 {folder} && cd {folder}
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=Lab authority' -keyout ca.key -out ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj '/CN={name}' -keyout server.key -out server.csr 2>/dev/null
printf 'subjectAltName=%s' '{names}' > names
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem \\
    2>/dev/null
chmod 0644 ca.pem server.pem
"""


def issue(host: Reach, names: Sequence[str]) -> str:
    """Make both in the host's folder; the authority's certificate, for those who call that server."""
    alternatives = ",".join(f"DNS:{name}" for name in names)
    host.exec_root("sh", "-c", _SCRIPT.format(folder=FOLDER, name=names[0], names=alternatives))
    return host.exec_root("cat", f"{FOLDER}/{AUTHORITY}")


def trust(host: Reach, authority: str) -> None:
    """Lay the authority's certificate where the host's containers mount it."""
    host.exec_root("mkdir", "-p", FOLDER)
    host.run(f"sudo tee {FOLDER}/{AUTHORITY} >/dev/null", stdin=authority)


def context(authority: str) -> ssl.SSLContext:
    """For a client that trusts this authority alone; it calls by address, so names are not looked at."""
    found = ssl.create_default_context(cadata=authority)
    found.check_hostname = False
    return found
