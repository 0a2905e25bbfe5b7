# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets out of everything that is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _masking

M = _masking.MASK
SECRETS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzABC0123456789_.~", min_size=6, max_size=40).map(
    lambda text: "q7" + text
)


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "--token",
        "HF_TOKEN",
        "GPUSTACK_TOKEN",
        "GPU_STACK_TOKEN",
        "huggingface-token",
        "bootstrap-password",
        "GPUSTACK_BOOTSTRAP_PASSWORD",
        "POSTGRES_PASSWORD",
        "PGPASSWORD",
        "HFTOKEN",
        "oidc-client-secret",
        "saml-sp-private-key",
        "GPUSTACK_JWT_SECRET_KEY",
        "OPENAI_API_KEY",
        "accessKey",
        "X_REGISTRY_AUTH",
    ],
)
def test_secret_names(name):
    assert _masking.is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ssl-keyfile",
        "GPUSTACK_SSL_KEYFILE",
        "ssl-certfile",
        "force-auth-localhost",
        "external-auth-name",
        "external-auth-post-logout-redirect-key",
        "GPUSTACK_JWT_TOKEN_EXPIRE_MINUTES",
        "AWS_ACCESS_KEY_ID",
        "saml-idp-x509-cert",
        "oidc-client-id",
        "monkey",
        "PATH",
        "HIGRESS_EXT_AUTH_TIMEOUT_MS",
    ],
)
def test_names_that_are_no_secret(name):
    assert not _masking.is_secret_name(name)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--token", "abc"], ["--token", M]),
        (["--token=abc"], ["--token=" + M]),
        (["-t", "abc"], ["-t", M]),
        (["-tabc"], ["-t" + M]),
        (["-dtabc", "--port", "80"], ["-dt" + M, "--port", "80"]),
        (["--tok", "abc"], ["--tok", M]),
        (["--bootstrap-pass=abc"], ["--bootstrap-pass=" + M]),
        (["--huggingface-token", "abc", "--debug"], ["--huggingface-token", M, "--debug"]),
        (["--token", "--debug"], ["--token", M]),
        (["--database-url", "postgresql://root:pw@db/x"], ["--database-url", "postgresql://root:" + M + "@db/x"]),
        (["--database-url=postgresql://root:p@w@db/x"], ["--database-url=postgresql://root:" + M + "@db/x"]),
        (["--ssl-keyfile", "/k.pem", "-d", "--host", "::"], ["--ssl-keyfile", "/k.pem", "-d", "--host", "::"]),
        (["--tools-download-base-url", "http://u:p@h"], ["--tools-download-base-url", "http://u:" + M + "@h"]),
    ],
)
def test_arguments(argv, expected):
    assert _masking.mask_argv(argv) == expected


def test_environment():
    environment = {"GPUSTACK_TOKEN": "abc", "HTTPS_PROXY": "http://u:pw@proxy:1", "TZ": "UTC", "HF_TOKEN": ""}
    assert _masking.mask_env(environment) == {
        "GPUSTACK_TOKEN": M,
        "HTTPS_PROXY": "http://u:" + M + "@proxy:1",
        "TZ": "UTC",
        "HF_TOKEN": "",
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h/a@b", "http://h/a@b"),
        ("http://user:pw@h:1/x", "http://user:" + M + "@h:1/x"),
        ("http://onlytoken@h", "http://" + M + "@h"),
        ("http://h/?token=a&b=c", "http://h/?token=" + M + "&b=c"),
        ("mysql+aiomysql://r:p/w@x@h", "mysql+aiomysql://r:" + M + "@h"),
    ],
)
def test_urls(url, expected):
    assert _masking.mask_url(url) == expected


def test_texts_lose_known_secrets_and_what_looks_like_one():
    text = "token s3cr3t-token at http://u:pw12@h, key gpustack_0123456789abcdef_0123456789abcdef0123456789abcdef"
    assert _masking.mask_text(text, ["s3cr3t-token", None, ""]) == f"token {M} at http://u:{M}@h, key {M}"
    private = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
    assert _masking.mask_text("x " + private + " y") == "x " + M + " y"


def test_a_short_word_does_not_blot_out_a_text():
    assert _masking.mask_text("a database", ["a"]) == "a database"


def test_the_secrets_of_a_command():
    values = _masking.secret_values(
        ["--token", "one", "-ttwo", "-t=three", "--token=four", "--port", "80"], {"HF_TOKEN": "five", "TZ": "UTC"}
    )
    assert sorted(values) == ["five", "four", "one", "three", "two"]


FORMS = st.sampled_from(
    [
        lambda secret: ["--token", secret],
        lambda secret: ["--token=" + secret],
        lambda secret: ["-t", secret],
        lambda secret: ["-t" + secret],
        lambda secret: ["--bootstrap-password", secret],
        lambda secret: ["--huggingface-token=" + secret],
        lambda secret: ["--oidc-client-secret", secret],
        lambda secret: ["--database-url", "postgresql://root:" + secret + "@db:5432/gpustack"],
        lambda secret: ["--saml-sp-private-key=" + secret],
    ]
)
AROUND = st.lists(st.sampled_from(["--debug", "--port=80", "--enable-cors", "-d"]), max_size=3)


@given(secret=SECRETS, form=FORMS, before=AROUND, after=AROUND)
def test_no_form_of_an_argument_shows_its_secret(secret, form, before, after):
    argv = before + form(secret) + after
    masked = _masking.mask_argv(argv)
    assert len(masked) == len(argv)
    assert secret not in " ".join(masked)
    assert [word for word in masked if word in ("--debug", "--port=80", "--enable-cors")] == [
        word for word in before + after if word != "-d"
    ]


@given(secret=SECRETS, name=st.sampled_from(["GPUSTACK_TOKEN", "HF_TOKEN", "DB_PASSWORD", "S3_SECRET_KEY"]))
def test_no_secret_variable_shows_its_value(secret, name):
    assert secret not in str(_masking.mask_env({name: secret}))


@given(text=st.text())
def test_masking_takes_any_text(text):
    masked = _masking.mask_text(text)
    assert _masking.mask_text(masked) == masked
