# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a setting comes from, and which place wins."""

from __future__ import annotations

from ansible_collections.fleetops.gpustack.plugins.module_utils._legacy_settings import settings


def test_arguments_win_over_the_environment_and_that_over_the_file() -> None:
    found = settings(["--token", "a"], {"GPUSTACK_TOKEN": "b", "GPUSTACK_WORKER_NAME": "w"}, legacy=True)
    found.add({"token": "c", "worker_name": "x", "worker_ip": "10.0.0.1"}, "config")
    assert [(found.get(name), found.source(name)) for name in ("token", "worker_name", "worker_ip")] == [
        ("a", "argument"),
        ("w", "environment"),
        ("10.0.0.1", "config"),
    ]


def test_the_settings_prefix_of_legacy_releases_comes_after_the_options_own() -> None:
    environment = {"GPU_STACK_PORT": "1", "GPUSTACK_PORT": "2", "GPU_STACK_DATA_DIR": "/d"}
    found = settings([], environment, legacy=True)
    assert (found.get("port"), found.get("data_dir")) == ("2", "/d")
    assert settings([], environment, legacy=False).get("data_dir") is None


def test_the_settings_prefix_is_weaker_than_the_file() -> None:
    found = settings([], {"GPU_STACK_PORT": "1", "GPU_STACK_TOKEN": "t", "GPUSTACK_HOST": "a"}, legacy=True)
    found.add({"port": "3", "host": "b"}, "config")
    assert [(found.get(name), found.source(name)) for name in ("port", "token", "host")] == [
        ("3", "config"),
        ("t", "environment"),
        ("a", "environment"),
    ]


def test_no_variable_of_the_settings_prefix_names_a_configuration_file() -> None:
    assert settings([], {"GPU_STACK_CONFIG_FILE": "/c.yaml"}, legacy=True).get("config_file") is None


def test_an_empty_value_is_none() -> None:
    found = settings([], {"GPUSTACK_TOKEN": ""}, legacy=True)
    assert (found.get("token"), found.source("token"), found.get("token", "x")) == (None, None, "x")


def test_arguments_of_v2_need_not_be_known() -> None:
    found = settings(["--enable-worker", "--tls-port=8443", "--port", "9090"], {}, legacy=False)
    assert found.problem is None
    assert found.is_on("enable_worker")
    assert (found.number("tls_port", 443), found.number("port", 80)) == (8443, 9090)


def test_arguments_that_cannot_be_understood_are_read_as_far_as_they_go() -> None:
    found = settings(["-s", "http://s", "-t", "secret", "--no-such-option"], {}, legacy=True)
    assert "--no-such-option" in (found.problem or "")
    assert (found.get("server_url"), found.get("token")) == ("http://s", "secret")


def test_a_number_that_is_none_is_the_default() -> None:
    assert settings([], {"GPUSTACK_PORT": "eighty"}, legacy=True).number("port", 80) == 80
