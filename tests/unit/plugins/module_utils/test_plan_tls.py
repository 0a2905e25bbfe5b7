# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's TLS and single sign-on in the plan."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

TLS = ["--ssl-certfile", "/certs/c.pem", "--ssl-keyfile", "/certs/k.pem"]
OIDC = {"GPUSTACK_OIDC_ISSUER": "https://idp.example.com", "GPUSTACK_OIDC_REDIRECT_URI": "https://g/auth/oidc/callback"}
SAML = {"GPUSTACK_SAML_IDP_SERVER_URL": "https://idp.example.com/saml"}


def plan(release: str = "2.2.3", volumes: tuple[str, ...] = (), **server: Any) -> dict[str, Any]:
    evidence = plan_evidence.fleet()
    installation = evidence["s"]["installations"][0]
    installation["args"] = [*installation["args"], *server.get("args", [])]
    installation["environment"] = server.get("environment", {})
    installation["mounts"] = [*installation["mounts"], *server.get("mounts", [])]
    choices = {"s": {"extra_volumes": list(volumes)}}
    return make_plan(evidence, dataclasses.replace(plan_evidence.settings(), release=release, choices=choices))


def codes(made: dict[str, Any], kind: str) -> set[str]:
    return {each["code"] for each in made[kind] if each["host"] == "s"}


def test_a_certificate_in_the_container_itself_is_refused() -> None:
    (refusal,) = plan(args=TLS)["refusals"]
    assert (refusal["host"], refusal["code"]) == ("s", "tls_files")
    assert "/certs/k.pem, /certs/c.pem" in refusal["cause"]


def test_one_in_a_mount_goes_over() -> None:
    mount = {"type": "bind", "source": "/etc/tls", "destination": "/certs", "name": None, "rw": False}
    assert plan(args=TLS, mounts=[mount])["refusals"] == []
    assert plan(args=TLS, volumes=("/etc/tls:/certs:ro",))["refusals"] == []
    in_data = ["--ssl-certfile", "/var/lib/gpustack/c.pem", "--ssl-keyfile", "/var/lib/gpustack/k.pem"]
    assert plan(args=in_data)["refusals"] == []


@pytest.mark.parametrize(
    ("environment", "release", "found"),
    [
        ({}, "2.2.3", set()),
        (OIDC, "2.2.3", {"sso", "sso_users"}),
        (SAML, "2.2.3", {"sso", "sso_users", "saml_signature"}),
        (SAML, "2.0.3", {"sso"}),
    ],
)
def test_what_only_a_login_can_show_is_said(environment: dict[str, str], release: str, found: set[str]) -> None:
    made = plan(release, environment=environment)
    assert codes(made, "warnings") & {"sso", "sso_users", "saml_signature"} == found
    assert codes(made, "refusals") == set()


def test_the_address_to_come_back_to_is_named() -> None:
    (warning,) = [each for each in plan(environment=OIDC)["warnings"] if each["code"] == "sso"]
    assert OIDC["GPUSTACK_OIDC_REDIRECT_URI"] in warning["cause"]


def test_a_provider_without_a_certificate_is_said() -> None:
    def cause(environment: dict[str, str]) -> str:
        return next(
            each["cause"] for each in plan(environment=environment)["warnings"] if each["code"] == "saml_signature"
        )

    assert "--saml-idp-x509-cert is not set" in cause(SAML)
    assert "is not set" not in cause({**SAML, "GPUSTACK_SAML_IDP_X509_CERT": "MIIC"})
