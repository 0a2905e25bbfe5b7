# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from tests.lab import machine

DEB822 = """\
Types: deb-src
URIs: http://one.invalid/debian
Suites: bookworm
Components: main

Types: deb
# a comment: with a colon
URIs: http://two.invalid/debian http://three.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def test_a_deb822_source_gives_mirror_and_keyring() -> None:
    expected = ("http://two.invalid/debian", "/usr/share/keyrings/debian-archive-keyring.gpg")
    assert machine.mirror_of(DEB822) == expected


def test_a_disabled_stanza_is_passed_over() -> None:
    assert machine.mirror_of(f"Enabled: no\n{DEB822.split(chr(10) * 2)[1]}") is None


def test_a_one_line_source_gives_mirror_and_keyring() -> None:
    text = "# deb http://old.invalid bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] http://m.invalid bookworm main\n"
    assert machine.mirror_of(text) == ("http://m.invalid", "/k.gpg")


def test_a_source_of_something_else_is_no_mirror() -> None:
    text = "deb http://m.invalid/node nodistro main\ndeb http://security.invalid bookworm-security main\n"
    assert machine.mirror_of(text) is None


def test_a_bundle_that_the_environment_names_comes_first(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    assert machine.ca_bundle({"SSL_CERT_FILE": str(tmp_path / "missing"), "PIP_CERT": str(bundle)}) == bundle


def test_proxies_are_found_in_either_case() -> None:
    environ = {"HTTPS_PROXY": "http://p:1", "no_proxy": "x", "HOME": "/"}
    assert machine.proxy_variables(environ) == {"HTTPS_PROXY": "http://p:1", "no_proxy": "x"}
