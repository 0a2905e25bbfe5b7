# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a legacy server of macOS or Windows, for a container on Linux: what is kept, what stays behind. Pure.

They lie in a launchd property list (macOS), in an environment file (Windows), in a YAML file of the desktop installer.
Precedence is the program's own: argument, environment, file.
"""

from __future__ import annotations

import plistlib
import posixpath
from typing import Any, Iterable, Mapping, NamedTuple, Sequence
from xml.parsers.expat import ExpatError

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _legacy_settings,
    _masking,
    _options,
)

#: Options that say what the server is, whatever it runs on.
_KEPT = frozenset(
    (
        "port",
        "debug",
        "token",
        "huggingface_token",
        "enable_hf_transfer",
        "enable_hf_xet",
        "bootstrap_password",
        "disable_update_check",
        "update_check_url",
        "disable_openapi_docs",
        "force_auth_localhost",
        "ollama_library_base_url",
        "enable_cors",
        "allow_credentials",
        "allow_origins",
        "allow_methods",
        "allow_headers",
        *(name for name in _options.LEGACY_OPTIONS if name.startswith(("external_auth_", "oidc_", "saml_"))),
    )
)
_PATHS = ("data_dir", "cache_dir", "bin_dir", "log_dir", "pipx_path", "config_file", "model_catalog_file")
_TLS = ("ssl_keyfile", "ssl_certfile")
#: Variables that mean the same to a container: Hugging Face's, and the proxies.
_KEPT_VARIABLES = ("HF_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_SETTINGS_VARIABLES = ("GPUSTACK_", "GPU_STACK_")


class SettingsError(Exception):
    """The settings cannot be understood; the message says why and what to do."""


class Wanted(NamedTuple):
    """What the container on Linux is started with. Arguments and environment hold secrets."""

    arguments: list[str]
    environment: dict[str, str]
    #: Names of what is kept, and what is not, each with the reason. No values.
    kept: list[str]
    dropped: list[str]
    #: A configuration file that the arguments name.
    config_file: str | None


def read(
    files: Mapping[str, bytes], arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Wanted:
    """The settings in files by name, and those that somebody adds, which win."""
    added = {str(name): str(value) for name, value in (environment or {}).items()}
    parts = [_read_one(name, files[name]) for name in sorted(files)]
    found = _legacy_settings.Settings()
    for given in [_parsed(arguments, "gpustack_transfer_args"), *(part.arguments for part in parts)]:
        found.add(given, _legacy_settings.ARGUMENT)
    variables: dict[str, str] = {}
    for further in [*(part.variables for part in parts), added]:
        variables.update(further)
    for prefix in _SETTINGS_VARIABLES:
        found.add(_legacy_settings.prefixed(variables, prefix), _legacy_settings.ENVIRONMENT)
    for part in parts:
        found.add(part.config, _legacy_settings.CONFIG)
    _require_local_server(found)
    return _wanted(found, variables, added, [name for part in parts for name in part.not_plain])


class _Part(NamedTuple):
    """What one file says."""

    arguments: dict[str, Any]
    variables: dict[str, str]
    config: dict[str, Any]
    #: Settings whose values are no plain ones.
    not_plain: list[str]


def _read_one(name: str, content: bytes) -> _Part:
    base = posixpath.basename(name.replace("\\", "/"))
    if base.endswith(".plist"):
        return _property_list(base, content)
    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    if base.endswith(".env"):
        return _Part({}, _variables(text.split("\n")), {}, [])
    if base.endswith((".yaml", ".yml")):
        return _config_file_part(base, text)
    raise SettingsError(
        f"{base} is no settings file that is known (*.plist, *.env, *.yaml); leave it out and give the settings by "
        "gpustack_transfer_args and gpustack_transfer_env."
    )


def _config_file_part(base: str, text: str) -> _Part:
    found = _config_file.read(text)
    if found.problem:
        raise SettingsError(
            f"{base} cannot be split at its keys: {found.problem}; write every key at the beginning of a line of its"
            " own, or leave the file out and give the settings by gpustack_transfer_args and gpustack_transfer_env."
        )
    values = {name: value for name, value in found.values.items() if not isinstance(value, dict)}
    return _Part({}, {}, values, [name for name in found.names if name not in values])


def _property_list(base: str, content: bytes) -> _Part:
    try:
        service = plistlib.loads(content)
        words = [str(word) for word in service["ProgramArguments"]]
        variables = {str(key): str(value) for key, value in (service.get("EnvironmentVariables") or {}).items()}
    except (plistlib.InvalidFileException, ExpatError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{base} is no property list of a service ({type(error).__name__}); leave it out and give the settings by "
            "gpustack_transfer_args and gpustack_transfer_env."
        ) from None
    start = words.index("start") + 1 if "start" in words else 1
    return _Part(_parsed(words[start:], base), variables, {}, [])


def _variables(lines: Iterable[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("'\"")
    return found


def _parsed(arguments: Sequence[str], where: str) -> dict[str, Any]:
    try:
        return _options.parse([str(argument) for argument in arguments])
    except _options.OptionsError as error:
        raise SettingsError(
            f"the arguments in {where} are none of `gpustack start` 0.7: {error}. Leave the file out and give the "
            "settings by gpustack_transfer_args."
        ) from None


def _require_local_server(found: _legacy_settings.Settings) -> None:
    if found.get("server_url"):
        raise SettingsError(
            "the settings are a worker's (server_url); only a server is transferred. A worker on Linux is made anew, "
            "as the server's page for adding one says."
        )
    if found.get("database_url"):
        raise SettingsError(
            "the server keeps its rows in an external database (database_url), so its directory has none of them; "
            "move that database by its own tools."
        )


def _wanted(
    found: _legacy_settings.Settings, variables: Mapping[str, str], added: Mapping[str, str], unread: Iterable[str]
) -> Wanted:
    arguments, environment = ["--disable-worker"], {**_kept_variables(variables), **_beyond_settings(added)}
    kept, dropped = sorted(environment), [f"{name}: no plain value" for name in unread]
    for name in sorted(found.values):
        if found.get(name) is None or name == "disable_worker" or found.values[name] is False:
            continue
        if name in _KEPT:
            _emit(name, found.values[name], arguments, environment)
            kept.append(name)
        else:
            dropped.append(f"{name}: {_why(name)}")
    dropped += [
        f"{name}: a variable of the old machine"
        for name in sorted(variables)
        if name not in environment and _is_foreign(name)
    ]
    config_file = found.get("config_file")
    return Wanted(arguments, environment, kept, dropped, str(config_file) if config_file else None)


def _emit(name: str, value: Any, arguments: list[str], environment: dict[str, str]) -> None:
    """As an argument; a secret by its variable, which other users of the host cannot see."""
    option = _options.LEGACY_OPTIONS[name]
    if _masking.is_secret_name(name) and option.environment:
        environment[option.environment] = str(value)
    elif option.kind == "flag":
        if str(value).lower() in ("1", "true", "t", "yes", "y", "on"):
            arguments.append("--" + option.name)
    elif option.kind == "list":
        for each in value if isinstance(value, list) else [value]:
            arguments.extend(["--" + option.name, str(each)])
    else:
        arguments.extend(["--" + option.name, str(value)])


def _why(name: str) -> str:
    if name in _TLS:
        return "a path of the old machine; give v2 its certificate with gpustack_extra_volumes and gpustack_extra_args"
    if name in _PATHS:
        return "a path of the old machine"
    if name not in _options.LEGACY_OPTIONS:
        return "no option of `gpustack start` 0.7"
    return "of the worker or the host that stays behind"


def _kept_variables(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.upper().startswith(_KEPT_VARIABLES)}


def _beyond_settings(added: Mapping[str, str]) -> dict[str, str]:
    """What somebody adds on purpose is kept, whatever it is; settings are judged like those of the files."""
    return {name: value for name, value in added.items() if not name.upper().startswith(_SETTINGS_VARIABLES)}


def _is_foreign(name: str) -> bool:
    return not name.upper().startswith((*_KEPT_VARIABLES, *_SETTINGS_VARIABLES))
