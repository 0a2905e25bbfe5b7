# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How this machine reaches its packages: Debian mirror, apt settings, certificate authorities, pip configuration.

A build uses them while it runs, as read-only mounts and environment; nothing of them stays in an image.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

APT = Path("/etc/apt")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
APT_SETTINGS = re.compile(r"^Acquire::(Check-Valid-Until|Check-Date|Retries|https?::(Proxy|Timeout|CAInfo))\b")


def mirror_of(text: str) -> tuple[str, str] | None:
    """The first Debian 12 mirror in one apt source file, with its keyring ('' when none is named).

    Takes both forms: deb822 stanzas (`URIs: ...`) and one-line entries (`deb [options] URI suite ...`).
    """
    return _mirror_of_stanzas(text) or _mirror_of_lines(text)


def _mirror_of_stanzas(text: str) -> tuple[str, str] | None:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        parts = [line.partition(":") for line in lines]
        fields = {key.lower(): value.strip() for key, _colon, value in parts if value}
        if fields.get("enabled", "yes").lower() == "no" or "deb" not in fields.get("types", "").split():
            continue
        if "bookworm" in fields.get("suites", "").split() and fields.get("uris"):
            return fields["uris"].split()[0], fields.get("signed-by", "")
    return None


def _mirror_of_lines(text: str) -> tuple[str, str] | None:
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+bookworm\s+.*\bmain\b", line)
        if match:
            keyring = re.search(r"signed-by=(\S+)", match["options"] or "")
            return match["uri"], keyring.group(1) if keyring else ""
    return None


def debian_mirror() -> tuple[str, str] | None:
    """The mirror and keyring from which this machine takes Debian 12, if it does."""
    files = [*sorted((APT / "sources.list.d").glob("*.sources")), APT / "sources.list"]
    files += sorted((APT / "sources.list.d").glob("*.list"))
    for path in files:
        found = mirror_of(path.read_text()) if path.is_file() else None
        if found:
            return found
    return None


def apt_settings() -> str:
    """This machine's settings for fetching packages, as lines of an apt.conf."""
    try:
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return "".join(f"{line}\n" for line in dump.splitlines() if APT_SETTINGS.match(line) and not line.endswith(' "";'))


def ca_bundle(environ: Mapping[str, str] | None = None) -> Path | None:
    """The certificate authorities that this machine trusts, as one file."""
    environ = os.environ if environ is None else environ
    named = [Path(environ[name]) for name in CA_VARIABLES if environ.get(name)]
    return next((path for path in [*named, CA_BUNDLE] if path.is_file()), None)


def proxy_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The proxy settings of this machine's environment."""
    environ = os.environ if environ is None else environ
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {key: value for key, value in environ.items() if key.lower() in names}
