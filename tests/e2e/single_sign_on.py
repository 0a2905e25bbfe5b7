# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenID Connect provider beside a fleet, and somebody who logs in by it as a browser would.

The provider speaks the protocol in full but lets in whoever says a name: nobody's directory is under test here.
"""

from __future__ import annotations

import http.cookiejar
import ipaddress
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.lab.api import Client, wait_until
from tests.lab.fleet import Fleet

PORT = 9400
SESSION = "gpustack_session"
_SECONDS = 30
CALLBACK = "/auth/oidc/callback"


def issuer(fleet: Fleet) -> str:
    """Its address: the controller's in the network of the fleet."""
    return f"http://{ipaddress.ip_network(fleet.data['subnet'])[1]}:{PORT}"


@contextmanager
def provider(fleet: Fleet) -> Iterator[None]:
    """Serve it as long as this lasts."""
    address = urllib.parse.urlsplit(issuer(fleet)).hostname
    argv = [sys.executable, "-m", "oidc_provider_mock", "--host", str(address), "--port", str(PORT)]
    with (
        (fleet.folder / "oidc-provider.log").open("w") as log,
        subprocess.Popen(argv, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until("the OpenID provider", lambda: _answers(fleet), _SECONDS, f"see {log.name}")
            yield
        finally:
            process.terminate()


def _answers(fleet: Fleet) -> bool:
    try:
        _browser().open(f"{issuer(fleet)}/.well-known/openid-configuration", timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def log_in(server: str, subject: str) -> Client:
    """The session of somebody who comes by single sign-on."""
    cookies = http.cookiejar.CookieJar()
    browser = _browser(urllib.request.HTTPCookieProcessor(cookies))
    with browser.open(f"{server}/auth/oidc/login", timeout=_SECONDS) as form:
        asked = form.geturl()
    body = urllib.parse.urlencode({"sub": subject}).encode()
    # The way back ends at the web interface, which the lab's servers are without.
    with suppress(urllib.error.HTTPError):
        browser.open(asked, data=body, timeout=_SECONDS).close()
    (session,) = (cookie.value for cookie in cookies if cookie.name == SESSION)
    return Client(server, ("Cookie", f"{SESSION}={session}"))


def _browser(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    # The lab's hosts are next door: no proxy of the machine's environment stands between.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)
