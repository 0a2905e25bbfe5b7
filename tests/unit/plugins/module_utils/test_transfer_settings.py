# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of macOS and Windows, for a container on Linux. The files are stand-ins by the installers' own texts."""

from __future__ import annotations

import plistlib
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _options, _transfer_settings

SECRET = "planted-secret"


def plist(*arguments: str, form: Any = plistlib.FMT_XML, **variables: str) -> dict[str, bytes]:
    words = ["/opt/homebrew/bin/gpustack", "start", *arguments]
    service = {"Label": "ai.gpustack", "ProgramArguments": words, "EnvironmentVariables": variables}
    return {"ai.gpustack.plist": plistlib.dumps(service, fmt=form)}


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_a_property_list_says_what_the_server_was_started_with(form: Any) -> None:
    files = plist(
        "--port", "8080", "--token", SECRET, "--debug", "--data-dir", "/x", form=form, PATH="/bin", HF_TOKEN="h"
    )
    found = _transfer_settings.read(files)
    assert found.arguments == ["--disable-worker", "--debug", "--port", "8080"]
    assert found.environment == {"HF_TOKEN": "h", "GPUSTACK_TOKEN": SECRET}
    assert found.kept == ["HF_TOKEN", "debug", "port", "token"]
    assert found.dropped == ["data_dir: a path of the old machine", "PATH: a variable of the old machine"]


def test_an_environment_file_of_windows_has_windows_lines() -> None:
    text = (
        b"\xef\xbb\xbf# made by install.ps1\r\nGPUSTACK_PORT=8080\r\nHTTPS_PROXY='http://p:1'\r\nAPPDATA=C:\\x\r\n\r\n"
    )
    found = _transfer_settings.read({"gpustack.env": text})
    assert found.arguments == ["--disable-worker", "--port", "8080"]
    assert found.environment == {"HTTPS_PROXY": "http://p:1"}
    assert found.dropped == ["APPDATA: a variable of the old machine"]


def test_the_helpers_file_has_the_programs_own_keys() -> None:
    text = b"port: 9090\r\ntoken: 'abc'\r\ndisable_worker: false\r\nworker_name: mac\r\nallow_origins:\r\n  - a\r\n"
    found = _transfer_settings.read({"config.yaml": text})
    assert found.arguments == ["--disable-worker", "--port", "9090"]
    assert found.environment == {"GPUSTACK_TOKEN": "abc"}
    assert found.dropped == [
        "allow_origins: no plain value",
        "worker_name: of the worker or the host that stays behind",
    ]


def test_arguments_win_over_the_environment_and_both_over_the_file() -> None:
    files = {
        **plist("--port", "1", GPUSTACK_PORT="2", GPUSTACK_DEBUG="true"),
        "config.yaml": b"port: 3\ndebug: false\n",
    }
    assert _transfer_settings.read(files).arguments == ["--disable-worker", "--debug", "--port", "1"]


def test_what_somebody_gives_wins_over_all() -> None:
    files = plist("--port", "1", FOO="old")
    found = _transfer_settings.read(files, ["--port", "7"], {"FOO": "new", "GPUSTACK_TOKEN": "t"})
    assert found.arguments == ["--disable-worker", "--port", "7"]
    assert found.environment == {"FOO": "new", "GPUSTACK_TOKEN": "t"}


def test_certificates_are_named_with_the_way_to_give_them() -> None:
    (dropped,) = _transfer_settings.read(plist("--ssl-certfile", "/x")).dropped
    assert "gpustack_extra_volumes" in dropped


def test_a_configuration_file_that_is_named_is_remembered() -> None:
    assert _transfer_settings.read(plist("--config-file", "/a/config.yaml")).config_file == "/a/config.yaml"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (plist("--server-url", "http://x"), "are a worker's"),
        ({"gpustack.env": b"GPUSTACK_SERVER_URL=http://x"}, "are a worker's"),
        (plist("--database-url", f"postgresql://u:{SECRET}@h/d"), "external database"),
        (plist("--no-such-option", SECRET), "none of `gpustack start` 0.7"),
        ({"ai.gpustack.plist": b"<plist>" + SECRET.encode()}, "no property list"),
        ({"ai.gpustack.plist": plistlib.dumps({"Label": SECRET})}, "no property list"),
        ({"settings.toml": SECRET.encode()}, "no settings file that is known"),
    ],
)
def test_what_cannot_come_along_is_refused_without_its_secrets(files: dict[str, bytes], said: str) -> None:
    with pytest.raises(_transfer_settings.SettingsError, match=said) as error:
        _transfer_settings.read(files)
    assert SECRET not in str(error.value)


def test_nothing_at_all_makes_a_server_without_a_worker() -> None:
    assert _transfer_settings.read({}) == (["--disable-worker"], {}, [], [], None)


@pytest.mark.parametrize("option", [each for each in _options.LEGACY_OPTIONS.values() if each.name != "disable-worker"])
def test_every_option_is_kept_or_named(option: _options.Option) -> None:
    values = {"flag": [], "integer": ["1"], "json": ["{}"]}
    found = _transfer_settings_of(option.name, values.get(option.kind, ["x"]))
    if found is None:
        assert option.destination in ("server_url", "database_url")
        return
    assert _options.parse(found.arguments)["disable_worker"] is True
    named = [text.partition(":")[0] for text in found.dropped]
    assert (option.destination in found.kept) != (option.destination in named)


def _transfer_settings_of(name: str, values: list[str]) -> Any:
    try:
        return _transfer_settings.read({}, ["--" + name, *values])
    except _transfer_settings.SettingsError:
        return None
