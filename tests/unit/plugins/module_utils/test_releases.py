# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release table against what GPUStack's releases are known to do."""

from __future__ import annotations

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases

HEADS = {
    "2.0.0": "e30134bd18dc",
    "2.0.1": "e30134bd18dc",
    "2.0.2": "2aed534bd7b2",
    "2.0.3": "2aed534bd7b2",
    "2.1.0": "53667f33f000",
    "2.1.1": "8ad0f94c92e8",
    "2.1.2": "8ad0f94c92e8",
    "2.2.0": "b2c3d4e5f6a7",
    "2.2.1": "b2c3d4e5f6a7",
    "2.2.2": "c4d7e8f9a0b1",
    "2.2.3": "c4d7e8f9a0b1",
}


def test_the_table_holds_every_release_with_its_schema_head():
    assert {version: release.schema_head for version, release in _releases.RELEASES.items()} == HEADS


def test_the_default_is_proven():
    assert _releases.find(_releases.DEFAULT).proven


@pytest.mark.parametrize("text", ["2.2.3", "v2.2.3", " v2.2.3 "])
def test_a_leading_v_is_the_same_release(text):
    assert _releases.find(text).version == "2.2.3"


@pytest.mark.parametrize("text", ["3.0.0", "2.2", "latest", "", "0.7.1", "2.2.3rc1"])
def test_an_unknown_release_names_the_known_ones(text):
    with pytest.raises(_releases.UnknownReleaseError, match=r"2\.0\.0.*2\.2\.3"):
        _releases.find(text)


def test_a_newer_release_is_taken_only_when_allowed():
    newer = _releases.find("2.3.0", allow_unproven=True)
    assert (newer.version, newer.schema_head, newer.proven) == ("2.3.0", "", False)
    assert newer.word_splitting
    with pytest.raises(_releases.UnknownReleaseError):
        _releases.find("2.1.9", allow_unproven=True)


def test_only_the_first_release_reads_the_older_trigger():
    """The wrong variable is ignored in silence, and the server starts healthy and empty."""
    assert _releases.find("2.0.0").migration_environment("/data") == {"GPUSTACK_MIGRATION_DATA_DIR": "/data"}
    for version in list(HEADS)[1:]:
        assert _releases.find(version).migration_environment("/data") == {"GPUSTACK_DATA_MIGRATION": "true"}


def ports_of(release, role):
    return {listener.port for listener in _releases.listeners(release, role)}


@pytest.mark.parametrize(
    ("version", "api_port"), [("2.0.0", 8080), ("2.0.1", 8080), ("2.0.2", 30080), ("2.1.0", 30080), ("2.2.3", 30080)]
)
def test_the_api_port_of_a_server(version, api_port):
    assert api_port in ports_of(_releases.find(version), "server")


def test_listeners_that_came_with_a_release():
    ports = {version: ports_of(release, "server") for version, release in _releases.RELEASES.items()}
    assert [version for version in HEADS if 13000 in ports[version]] == list(HEADS)[4:]
    assert [version for version in HEADS if 30079 in ports[version]] == list(HEADS)[7:]
    assert [version for version in HEADS if 443 in ports[version]] == ["2.0.1", "2.0.2"]


def test_only_the_first_release_runs_the_gateway_on_workers():
    assert ports_of(_releases.find("2.2.3"), "worker") == {10150, 10151}
    assert 18443 in ports_of(_releases.find("2.0.0"), "worker")


def test_settings_move_and_remove_listeners():
    release = _releases.find("2.2.3")
    options = {
        "port": "9090",
        "api_port": 31000,
        "database_url": "postgresql://db/gpustack",
        "disable_metrics": True,
        "ssl_certfile": "/c",
        "tls_port": "8443",
        "disable_builtin_observability": True,
    }
    ports = {listener.port for listener in _releases.listeners(release, "server", options)}
    assert {9090, 31000, 8443, 30079} <= ports
    assert not {80, 443, 5432, 10161, 13000, 19090, 30080} & ports


def test_an_embedded_worker_adds_the_workers_ports():
    assert {80, 5432, 10150, 10151} <= {each.port for each in _releases.listeners(_releases.find("2.2.3"), "both")}


def test_observability_ports_can_be_moved_only_where_the_option_exists():
    moved = {"builtin_grafana_port": 13001}
    assert 13000 in {each.port for each in _releases.listeners(_releases.find("2.1.0"), "server", moved)}
    assert 13001 in {each.port for each in _releases.listeners(_releases.find("2.1.1"), "server", moved)}


@pytest.mark.parametrize(
    ("version", "role", "expected"),
    [("2.0.0", "server", True), ("2.0.1", "server", False), ("2.2.3", "worker", True), ("2.2.3", "both", True)],
)
def test_who_starts_containers(version, role, expected):
    assert _releases.find(version).mirrors_own_container(role) is expected


@pytest.mark.parametrize(
    ("version", "floor", "expected"),
    [
        ("2.10.0", "2.9.0", True),
        ("2.0.1", "2.0.2", False),
        ("2.1.0", "2.1", True),
        ("560.28.03", "560", True),
        ("12.4", "12.10", False),
    ],
)
def test_versions_compare_by_number(version, floor, expected):
    assert _releases.at_least(version, floor) is expected


def test_legacy_heads():
    assert _releases.legacy_release("d19176de3b74") == "0.7.1"
    assert _releases.legacy_release("cbbc03c88985") == "0.7.0"
    assert _releases.legacy_release("e30134bd18dc") is None


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.7.1", True), ("v0.7.0", True), ("0.6.2", True), ("0.1.0", True), ("0.8.0", False), (None, False)],
)
def test_which_legacy_releases_are_supported(version, expected):
    assert _releases.is_supported_legacy(version) is expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [("d19176de3b74", False), ("cbbc03c88985", True), ("1dd9fa5b38ff", True), ("e30134bd18dc", False), (None, False)],
)
def test_which_databases_the_migrator_raises_first(head, expected):
    assert _releases.is_raised(head) is expected


@pytest.mark.parametrize(
    ("version", "unsaid"),
    [("0.1.2", (1, 1)), ("0.2.1", (2, 2)), ("0.4.1", (2, 0)), ("0.5.0", (2, 0)), ("0.5.1", (2, 1)), (None, (2, 1))],
)
def test_what_a_legacy_worker_reserves_when_nothing_is_said(version, unsaid):
    found = _releases.legacy_reserved(version).unsaid
    assert (found["ram"], found["vram"]) == unsaid


@pytest.mark.parametrize(("version", "tag"), [("0.3.2", "0.3.2"), ("0.4.0", "v0.4.0"), ("0.7.1", "v0.7.1")])
def test_the_tag_of_a_legacy_image(version, tag):
    assert _releases.legacy_tag(version) == tag
