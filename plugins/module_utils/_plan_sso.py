# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single sign-on at a server: its options go over as they are, and what only a login can show. Pure.

The paths of the callbacks, /auth/oidc/callback and /auth/saml/callback, are the same in 0.7.1 and in every 2.x up to
2.2.3 (gpustack/routes/auth.py, gpustack/routes/routes.py).
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _container_spec, _options, _releases
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem

# By which option a server knows that it has one, in the order in which GPUStack asks (config.py, init_auth), and which
# option tells where the user comes back to.
KINDS = (("OIDC", "oidc_issuer", "oidc_redirect_uri"), ("SAML", "saml_idp_server_url", "saml_sp_acs_url"))
# From here on a SAML response must be signed, and 0.7.1 read it without a look at its signature; and a user who was
# made in another way does not come in by single sign-on under the same name (routes/auth.py).
STRICT_SINCE = "2.2.2"
CERTIFICATE = "saml_idp_x509_cert"


def warnings(view: HostView, built: _container_spec.Built) -> Iterator[Problem]:
    """What to look at after the upgrade of a server with single sign-on."""
    if not view.will_switch or not view.is_server or view.release is None or not built.spec:
        return
    values = {**built.config, **_options.values_of(built.spec["command"], built.spec["environment"])}
    for kind, option, redirect in KINDS:
        if values.get(option):
            yield _to_try(view, kind, redirect, values)
            if _releases.at_least(view.release.version, STRICT_SINCE):
                yield from _strict(view, kind, values)
            return


def _to_try(view: HostView, kind: str, redirect: str, values: Mapping[str, Any]) -> Problem:
    return view.problem(
        "sso",
        f"the server has single sign-on by {kind}; its options go over, and the way back from the provider"
        f" ({values.get(redirect) or 'not set'}) has the same path in v2, but nobody logs in for you",
        "log in by it once after the upgrade; the provider has to be in reach of the server's container, and port and"
        " scheme of that address have to be those under which users reach v2",
    )


def _strict(view: HostView, kind: str, values: Mapping[str, Any]) -> Iterator[Problem]:
    release = view.release.version if view.release else ""
    yield view.problem(
        "sso_users",
        f"v{release} lets nobody in by {kind} whose name belongs to a user of another source; 0.7.1 did not look at it",
        f"look for users of source Local who log in by {kind}, and let an administrator make their accounts anew",
    )
    if kind == "SAML":
        missing = "" if values.get(CERTIFICATE) else ", and --saml-idp-x509-cert is not set"
        yield view.problem(
            "saml_signature",
            f"v{release} takes signed SAML responses only, where 0.7.1 did not look at signatures{missing}",
            "let the provider sign response or assertion, and give its certificate with --saml-idp-x509-cert",
        )
