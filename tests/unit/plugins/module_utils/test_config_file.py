# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file, read and edited without a YAML library, held against PyYAML."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _config_file, _masking


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "plain # a comment",
        "a#b",
        "'single # quoted'",
        "'it''s'",
        '"double"  # comment',
        r'"with \" quote"',
        "true",
        "False",
        "yes",
        "off",
        "null",
        "~",
        "",
        "# nothing",
        "https://a/b?c=d#e",
        "40000-40063",
    ],
)
def test_scalars_are_read_as_pyyaml_does(text):
    expected = yaml.safe_load(f"key: {text}\n")["key"]
    assert _config_file.read(f"key: {text}\n") == (("key",), {} if expected is None else {"key": expected}, None)


@pytest.mark.parametrize(
    "text",
    [
        "system_reserved: {ram: 2, vram: 1.5}\n",
        'system_reserved: {"ram": 2}  # GiB\n',
        "system_reserved:\n  # GiB\n  ram: 2\n\n  vram: 1\n",
        "system_reserved: {}\n",
    ],
)
def test_reservations_are_a_mapping_of_numbers(text):
    assert _config_file.read(text).values == yaml.safe_load(text)


def test_reservations_of_another_form_are_no_value():
    assert _config_file.read("system_reserved: {ram: many}\n") == (("system_reserved",), {}, None)


# --- what is understood

WHOLE = [
    "# a comment\n---\nport: 80\n# another\ntoken: t\n",
    "port: 80\r\ntoken: t\r\n",
    "allow_origins:\n- a\n- 'b c'\nport: 80\n",
    "allow_origins:\n  - http://a:80\n# said in the middle\n  - b\n\nport: 80\n",
    "allow_origins: [a, 'b, c',\n  d]\nport: 80\n",
    'saml_idp_x509_cert: |\n  -----BEGIN-----\n\n  it\'s "one"\n  -----END-----\nport: 80\n',
    'saml_idp_x509_cert: "one\n  two"\nport: 80\n',
    "saml_security:\n  {a: 1}\nport: 80\n",
    "resources:\n  os:\n    name: Linux\n    version: '1 # 2'\nport: 80\n",
    "'port': 80\n\"token\": t\n",
    "port: 80",
    "port: 80\nport: 81\n",
]


@pytest.mark.parametrize("text", WHOLE)
def test_a_copy_has_all_other_keys_with_their_values(text):
    before = yaml.safe_load(text)
    assert _config_file.read(text).problem is None
    assert set(_config_file.read(text).names) == set(before)
    copy = _config_file.translated(text, {"port": None, "token": "a_token"}, "/c.yaml")
    expected = {("a_token" if name == "token" else name): value for name, value in before.items() if name != "port"}
    assert yaml.safe_load(copy) == expected


@pytest.mark.parametrize("text", WHOLE)
def test_without_edits_a_copy_is_the_file_below_a_line(text):
    assert _config_file.translated(text, {}, "/c.yaml").split("\n", 1)[1] == text


@pytest.mark.parametrize(
    "text",
    [
        "{port: 80}\n",
        "  port: 80\n",
        "- port: 80\n",
        "? port\n: 80\n",
        "port 80\n",
        "%YAML 1.1\n---\nport: 80\n",
        "port: 80\n---\ntoken: t\n",
        "port: &p 80\ntls_port: *p\n",
        "port: *p\n",
        "token: !!str 1\n",
        "allow_origins:\n  - &a x\n",
        "allow_origins: [&a x, *a]\n",
        "<<: {port: 80}\n",
        'token: "one\nport: 80"\n',
        "token: 'one\nport: 80\n",
        "allow_origins: [a,\nport: 80]\n",
        'allow_origins:\n  - "one\nport: 80"\n',
        "token: a\x85port: 80\n",
        "token: a\rport: 80\n",
        "\ufeffport: 80\n",
    ],
)
def test_what_cannot_be_split_at_its_keys_is_said(text):
    found = _config_file.read(text)
    assert (found.names, found.values) == ((), {})
    assert found.problem
    with pytest.raises(_config_file.ConfigFileError):
        _config_file.translated(text, {}, "/c.yaml")


def test_a_file_of_which_nothing_is_left_is_still_a_mapping():
    assert yaml.safe_load(_config_file.translated("# c\nport: 80\n", {"port": None}, "/c.yaml")) == {}


# --- evidence


def test_the_evidence_shows_no_secret_and_says_the_rest():
    text = "token: s3cr3t-value\ndatabase_url: postgresql://u:s3cr3t-value@h/d\nport: 80\n"
    found = _config_file.evidence("/c.yaml", text)
    assert "s3cr3t-value" not in json.dumps(found)
    assert found["option_values"]["token"] == _masking.MASK
    assert _config_file.from_evidence(found) == (("token", "database_url", "port"), found["option_values"], None)


def test_a_problem_shows_no_value():
    found = _config_file.evidence("/c.yaml", "token: 's3cr3t-value\nport: 80\n")
    assert "s3cr3t-value" not in json.dumps(found)


def test_a_file_that_was_not_read_is_none():
    assert _config_file.from_evidence(_config_file.evidence("/c.yaml", None)) is None
    assert _config_file.from_evidence(None) is None


# --- properties

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["port", "token", "allow_origins", "enable_ray", "system_reserved", "resources", "log_dir"])
EDITS = st.dictionaries(NAMES, st.none() | st.sampled_from(["tls_port", "worker_metrics_port"]), max_size=3)


@given(
    data=st.dictionaries(NAMES, VALUES, min_size=1, max_size=5),
    edits=EDITS,
    flow=st.sampled_from([None, True, False]),
    style=st.sampled_from([None, '"', "|", "'"]),
)
@settings(max_examples=300, deadline=None)
def test_a_copy_of_whatever_pyyaml_writes_is_right_or_refused(data, edits, flow, style):
    """Each value is as before, under the new key; what is not understood raises."""
    text = "".join(
        yaml.safe_dump({name: value}, default_flow_style=flow and False, default_style=style, allow_unicode=True)
        for name, value in data.items()
    )
    try:
        copy = _config_file.translated(text, edits, "/c.yaml")
    except _config_file.ConfigFileError:
        return
    expected = {}
    for name, value in yaml.safe_load(text).items():
        new = edits.get(name, name)
        if new is not None:
            expected[new] = value
    assert yaml.safe_load(copy) == expected


@given(lines=st.lists(st.text(alphabet="ab:'\"[]{}&*!|># -\t", max_size=12), max_size=8))
@settings(max_examples=500, deadline=None)
def test_no_text_is_taken_apart_in_another_way_than_pyyaml_does(lines):
    """Where both understand a text, they find the same keys."""
    text = "".join(line + "\n" for line in lines)
    found = _config_file.read(text)
    try:
        expected = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    if found.problem is None and isinstance(expected, dict):
        assert set(found.names) == {str(name) for name in expected}
