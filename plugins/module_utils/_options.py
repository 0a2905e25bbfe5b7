# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments and environment of a legacy installation, translated to those of a v2 release. Pure."""

from __future__ import annotations

import argparse
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Mapping, NoReturn, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _config_file, _masking, _releases

# Classes of loss that the operator accepts by name.
DROPPED_OPTIONS = "dropped_options"
OLLAMA = "ollama"

# The newest legacy release: that of an installation which does not tell its own.
NEWEST_LEGACY = _releases.LEGACY_SUPPORTED[-1]

# What a legacy worker reserved has other names in 0.1; later releases take these too.
_LEGACY_RESERVED_OLD_NAMES = {"ram": "memory", "vram": "gpu_memory"}

# An argument that does not reach `gpustack start` as it is: 2.1.1 and newer split at blanks and expand * ? [ (unquoted
# "$@" in pack/entrypoint.sh), every v2 image keeps the arguments in a file of lines and skips empty ones, and argparse
# takes a value with a leading dash for an option.
_UNSAFE_ARGUMENT = re.compile(r"\A\Z|\A-|[\s*?\[]")

_TRUE = ("1", "true", "t", "yes", "y", "on")

# Variables that only a roll-out sets; what an earlier attempt by hand left of them must not stay.
ROLLOUT_VARIABLES = ("GPUSTACK_DATA_MIGRATION", "GPUSTACK_MIGRATION_DATA_DIR")


class OptionsError(ValueError):
    """Arguments that cannot be understood or carried over; the message says the way out."""


@dataclass(frozen=True)
class Option:
    """One option of `gpustack start` 0.7.x (gpustack/cmd/start.py)."""

    name: str
    kind: str = "text"  # text | integer | json | flag | list
    letter: str | None = None
    variable: str | None = None

    @property
    def destination(self) -> str:
        return self.name.replace("-", "_")

    @property
    def environment(self) -> str | None:
        """The variable that legacy and v2 read for this option; those that take a list and two more have none."""
        if self.kind == "list" or self.name in ("enable-hf-xet", "disable-rpc-servers"):
            return None
        return self.variable or "GPUSTACK_" + self.destination.upper()


def _options(kind: str, names: str) -> list[Option]:
    return [Option(name, kind) for name in names.split()]


LEGACY_OPTIONS: dict[str, Option] = {
    option.destination: option
    for option in [
        Option("debug", "flag", letter="d"),
        Option("token", letter="t"),
        Option("server-url", letter="s"),
        Option("huggingface-token", variable="HF_TOKEN"),
        Option("enable-hf-transfer", "flag", variable="HF_HUB_ENABLE_HF_TRANSFER"),
        Option("system-reserved", "json"),
        *_options(
            "flag",
            "enable-ray disable-worker force-auth-localhost disable-update-check disable-openapi-docs disable-metrics"
            " disable-rpc-servers enable-hf-xet enable-cors allow-credentials",
        ),
        *_options(
            "integer",
            "ray-node-manager-port ray-object-manager-port ray-runtime-env-agent-port ray-dashboard-agent-grpc-port"
            " ray-dashboard-agent-listen-port ray-metrics-export-port port ray-port ray-client-server-port"
            " ray-dashboard-port worker-port metrics-port",
        ),
        *_options("list", "ray-args rpc-server-args allow-origins allow-methods allow-headers"),
        *_options(
            "text",
            "config-file data-dir cache-dir bin-dir pipx-path host database-url bootstrap-password ssl-keyfile"
            " ssl-certfile ollama-library-base-url update-check-url model-catalog-file worker-ip worker-name"
            " service-port-range rpc-server-port-range ray-worker-port-range log-dir tools-download-base-url"
            " external-auth-name external-auth-full-name external-auth-avatar-url oidc-issuer oidc-client-id"
            " oidc-client-secret oidc-redirect-uri saml-idp-server-url saml-idp-entity-id saml-idp-x509-cert"
            " saml-sp-entity-id saml-sp-acs-url saml-sp-x509-cert saml-sp-private-key saml-sp-attribute-prefix"
            " saml-security",
        ),
    ]
}

# Secrets go by environment, where only root and the container read them, not by an argument that every process sees.
_SECRETS = (
    "token",
    "huggingface_token",
    "bootstrap_password",
    "database_url",
    "oidc_client_secret",
    "saml_sp_private_key",
)

_RAY = tuple(name for name in LEGACY_OPTIONS if "ray" in name.split("_"))
_RPC = ("disable_rpc_servers", "rpc_server_port_range", "rpc_server_args")

# Keys of a YAML configuration file that v2 does not know (gpustack/config/config.py). `host` it still tolerates.
REMOVED_KEYS = tuple(sorted((*_RAY, *_RPC, "ollama_library_base_url")))

# Settings of 0.7 that are no options (gpustack/config/config.py@0.7.1); v2 has them too.
SETTINGS_ONLY = ("external_auth_type", "jwt_secret_key", "openid_configuration", "resources")

# GPUSTACK_<SETTING> that 0.7 does not read, because no option does and its settings class has another prefix. v2's
# settings class reads them from 2.0.1 on.
_NOT_READ = frozenset(
    "GPUSTACK_" + name.upper()
    for name in (*(name for name, option in LEGACY_OPTIONS.items() if not option.environment), *SETTINGS_ONLY)
)


# The release from which on an option, and so its variable, is read (gpustack/cmd/start.py at every tag, by
# `python -m tests.options since`); all others since 0.1.0. 0.1.0 and 0.1.1 have one that no later release has,
# --enable-metrics, which is refused as unknown.
_SINCE = {
    name.replace("-", "_"): release
    for release, names in {
        "0.1.2": "disable-metrics ollama-library-base-url",
        "0.3.0": "huggingface-token",
        "0.3.1": "disable-update-check tools-download-base-url update-check-url",
        "0.3.2": "cache-dir",
        "0.4.0": "bin-dir disable-rpc-servers pipx-path",
        "0.5.0": "model-catalog-file",
        "0.6.0": "allow-credentials allow-headers allow-methods allow-origins enable-cors enable-hf-transfer enable-ray"
        " ray-args ray-client-server-port ray-node-manager-port ray-object-manager-port ray-port ray-worker-port-range"
        " rpc-server-args rpc-server-port-range service-port-range",
        "0.6.1": "disable-openapi-docs",
        "0.7.0": "enable-hf-xet ray-dashboard-agent-grpc-port ray-dashboard-agent-listen-port ray-dashboard-port"
        " ray-metrics-export-port",
        "0.7.1": "external-auth-avatar-url external-auth-full-name external-auth-name oidc-client-id oidc-client-secret"
        " oidc-issuer oidc-redirect-uri ray-runtime-env-agent-port saml-idp-entity-id saml-idp-server-url"
        " saml-idp-x509-cert saml-security saml-sp-acs-url saml-sp-attribute-prefix saml-sp-entity-id"
        " saml-sp-private-key saml-sp-x509-cert",
    }.items()
    for name in names.split()
}


def is_read_by(name: str, legacy: str) -> bool:
    """Whether a legacy release has an option of this name (with underscores)."""
    return _releases.at_least(legacy, _SINCE.get(name, "0.1.0"))


@dataclass
class Translation:
    """What the v2 container gets, and what became of everything else."""

    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    leftovers: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    #: Keys of the configuration file -> their v2 names, None for those that must not go over. Empty: the file itself
    #: goes over.
    config_edits: dict[str, str | None] = field(default_factory=dict)
    #: What v2 reads from the configuration file, by its own names, without what is no single value.
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Target:
    release: _releases.Release
    role: str
    legacy: str = NEWEST_LEGACY

    @property
    def runs_worker(self) -> bool:
        return self.role in ("worker", "both")


class _Parser(argparse.ArgumentParser):
    """argparse, as the legacy program itself uses it, which raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise OptionsError(_not_understood(_without_values(message)))


def _without_values(message: str) -> str:
    """argparse repeats the words that it did not understand, and one of them may be a secret."""
    message = re.sub(r"(ambiguous option: -*[\w-]*).*( could match)", r"\1\2", message, flags=re.DOTALL)
    return re.sub(r"'.*'|\".*\"", "'...'", message, flags=re.DOTALL)


def _not_understood(cause: str) -> str:
    return (
        f"the legacy arguments cannot be understood ({cause}), so `gpustack start` 0.7 would have refused them too;"
        " recreate the legacy container with valid arguments, or with the same settings in its environment"
    )


def _integer(text: str) -> str:
    int(text)
    return text


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gpustack start", add_help=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("-h", "--help", dest="help", action="store_true")
    for option in LEGACY_OPTIONS.values():
        names = ["-" + option.letter] if option.letter else []
        arguments: dict[str, Any] = {"flag": {"action": "store_true"}, "list": {"action": "append"}}.get(
            option.kind, {}
        )
        if option.kind in ("integer", "json"):
            arguments = {"type": _integer if option.kind == "integer" else json.loads}
        parser.add_argument(*names, "--" + option.name, dest=option.destination, **arguments)
    return parser


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """
    The values of a legacy argument list by name with underscores, in the order of the arguments.

    Flags are True, lists are lists, system_reserved is what its JSON says, everything else stays text.
    """
    namespace, unknown = _parser().parse_known_args(list(argv))
    if unknown:
        names = [argument.split("=", 1)[0] for argument in unknown if argument.startswith("-")]
        raise OptionsError(_not_understood("unrecognized: " + (", ".join(names) or f"{len(unknown)} words")))
    values = vars(namespace)
    if "help" in values:
        raise OptionsError(_not_understood("--help prints a text and starts nothing"))
    return dict(values)


def start_arguments(entrypoint: Sequence[str] | None, command: Sequence[str] | None) -> list[str]:
    """The arguments of `gpustack start` in a container's entry point and command, in each form that is known."""
    words = list(entrypoint or []) + list(command or [])
    for index, word in enumerate(words):
        if word.rsplit("/", 1)[-1] == "gpustack" and words[index + 1 : index + 2] == ["start"]:
            return words[index + 2 :]
        if "gpustack start" in word and re.search(r'"?\$[@*]"?', word):
            # sh -c '... gpustack start "$@"' NAME ARGUMENTS: the word after the script is $0.
            return words[index + 2 :]
    raise OptionsError(
        "the container does not run `gpustack start` in a form that is known; recreate the legacy container with the"
        " image's own entry point and its arguments after the image"
    )


def translate(
    argv: Sequence[str],
    environment: Mapping[str, str],
    release: str | _releases.Release,
    role: str,
    config: _config_file.ConfigFile | None = None,
    config_copy: str = "",
    legacy: str | None = None,
) -> Translation:
    """
    The v2 arguments and environment for a legacy argument list and environment (without the image's own variables).

    `config` is what the file of --config-file holds, None when it was not read, and `config_copy` the path under which
    the container finds the copy that is made of it where keys have to change. `legacy` is the release that they were
    written for, None where it is not known.
    """
    found_release = release if isinstance(release, _releases.Release) else _releases.find(release)
    target = _Target(found_release, role, legacy or NEWEST_LEGACY)
    arguments = parse(argv)
    result = Translation()
    file = config or _config_file.ConfigFile((), {})
    options = _take_environment(environment, arguments, file, target, result)
    options.update(arguments)
    given = {**file.values, **options}
    for name, value in options.items():
        if name != "config_file":
            _translate_one(name, value, name in arguments, given, target, result)
    _add_embedded_worker(target, result)
    _add_reserved(options, file, target, result)
    if options.get("config_file"):
        path = str(options["config_file"])
        _translate_config(path, config, config_copy, given, target, result)
        kept = config_copy if result.config_edits else path
        _emit("config_file", "config_file", "--config-file", kept, "config_file" in arguments, target, result)
    return result


def values_of(arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings by name that v2 arguments (separate or joined by "=") and variables make; arguments win."""
    values: dict[str, Any] = {
        name[len("GPUSTACK_") :].lower(): value for name, value in environment.items() if name.startswith("GPUSTACK_")
    }
    values = {name: _switch(value) for name, value in values.items()}
    words = list(arguments)
    for index, word in enumerate(words):
        if not word.startswith("--"):
            continue
        option, joined, value = word[2:].partition("=")
        following = words[index + 1 : index + 2]
        if not joined and following and not following[0].startswith("-"):
            value, joined = following[0], "="
        values[option.replace("-", "_")] = value if joined else True
    return values


def check_extra_arguments(arguments: Sequence[str]) -> None:
    """Arguments of the operator's own: none that the image would split or skip, and no secrets."""
    secrets = [argument for argument, masked in zip(arguments, _masking.mask_argv(arguments)) if argument != masked]
    if secrets:
        raise OptionsError(
            "gpustack_extra_args holds a secret, which every process of the host could read;"
            " put it into gpustack_extra_env"
        )
    for argument in arguments:
        if re.search(r"\A\Z|[\s*?\[]", argument):
            raise OptionsError(
                f"gpustack_extra_args holds '{argument}', which the image would split, expand or skip;"
                " put it into gpustack_extra_env as GPUSTACK_<OPTION>"
            )


def _leftover(name: str, value: Any, action: str, reason: str, loss: str | None = None) -> dict[str, Any]:
    text = value if isinstance(value, str) else json.dumps(value)
    return {"item": name, "value": _masking.mask_value(name, text), "action": action, "reason": reason, "loss": loss}


def _flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def _switch(value: str) -> Any:
    lowered = value.lower()
    return lowered == "true" if lowered in ("true", "false") else value


# --- the environment ------------------------------------------------------------------------------


def _take_environment(
    environment: Mapping[str, str],
    arguments: Mapping[str, Any],
    file: _config_file.ConfigFile,
    target: _Target,
    result: Translation,
) -> dict[str, Any]:
    """Variables that stand for options, by option; every other variable goes into the result as it is."""
    by_variable = {option.environment: option for option in LEGACY_OPTIONS.values() if option.environment}
    younger = {
        option.environment for option in by_variable.values() if not is_read_by(option.destination, target.legacy)
    }
    ignored = _NOT_READ | {name for name in younger if name and name.startswith("GPUSTACK_")}
    read = {name: value for name, value in environment.items() if name not in ignored}
    for name in sorted(set(environment) - set(read)):
        why = f"{_line_of(target.legacy)} does not read it, and v2 would"
        result.leftovers.append(_leftover(name, environment[name], "dropped", why))
    found: dict[str, Any] = {}
    for name, value in read.items():
        renamed = _rename(name, read, file, target, result)
        if renamed is None:
            continue
        option = by_variable.get(renamed)
        if option is None or option.variable == "HF_HUB_ENABLE_HF_TRANSFER":
            result.environment[renamed] = value
        elif value == "":
            result.leftovers.append(
                _leftover(name, value, "dropped", "empty, which 0.7 takes for not set and v2 does not")
            )
            _hide(option.destination, file, result)
        elif option.destination in arguments:
            result.leftovers.append(
                _leftover(name, value, "dropped", f"the argument {_flag_name(option.destination)} overrides it")
            )
        else:
            found[option.destination] = _variable_value(option, name, value)
    return found


def _line_of(release: str) -> str:
    """The line of a release, as people call it: 0.7 for 0.7.1."""
    return release.rpartition(".")[0]


def _hide(name: str, file: _config_file.ConfigFile, result: Translation) -> None:
    """A key of the file must not go over where something stronger goes by a way that is weaker in v2."""
    if name in file.names:
        result.config_edits[name] = None


def _variable_value(option: Option, name: str, value: str) -> Any:
    if option.kind == "flag":
        # 0.7 reads GPUSTACK_X by itself and takes two words; pydantic, which reads GPU_STACK_X, takes more.
        return value.lower() in (("true", "1") if name.startswith("GPUSTACK_") else _TRUE)
    if option.kind != "json":
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise OptionsError(
            f"the legacy variable {name} holds no valid JSON ('{value}'); correct it in the legacy container"
        ) from None


def _rename(
    name: str,
    environment: Mapping[str, str],
    file: _config_file.ConfigFile,
    target: _Target,
    result: Translation,
) -> str | None:
    """The v2 name of a variable, None when it does not go over."""
    if name in ROLLOUT_VARIABLES:
        result.leftovers.append(_leftover(name, environment[name], "dropped", "only the roll-out sets it"))
        return None
    if not name.upper().startswith("GPU_STACK_"):
        return name
    setting = name[len("GPU_STACK_") :].lower()
    option = LEGACY_OPTIONS.get(setting)
    renamed = option.environment if option and option.environment else target.release.settings_prefix + setting.upper()
    dropped = _why_weak_variable_dropped(setting, renamed, environment, file, target)
    if dropped:
        result.leftovers.append(_leftover(name, environment[name], "dropped", *dropped))
        return None
    if renamed != name:
        result.leftovers.append(_leftover(name, environment[name], "renamed", f"v2 reads it as {renamed}"))
    return renamed


def _why_weak_variable_dropped(
    setting: str,
    renamed: str,
    environment: Mapping[str, str],
    file: _config_file.ConfigFile,
    target: _Target,
) -> tuple[str, str | None] | None:
    """Why a variable of 0.7's settings class, the weakest of all places, does not go over."""
    if setting == "config_file":
        return "0.7 does not read it, and v2 would", None
    if setting in file.names:
        return "the configuration file overrides it", None
    option = LEGACY_OPTIONS.get(setting)
    if option and option.environment:
        return (f"{renamed} overrides it", None) if renamed in environment else None
    return _why_dropped(setting, None, target) if option else None


# --- one option -----------------------------------------------------------------------------------


def _translate_one(
    name: str, value: Any, argument: bool, given: Mapping[str, Any], target: _Target, result: Translation
) -> None:
    item = _flag_name(name) if argument else str(LEGACY_OPTIONS[name].environment)
    dropped = _why_dropped(name, value, target)
    if dropped:
        result.leftovers.append(_leftover(item, value, "dropped", *dropped))
    elif name != "system_reserved":
        renamed = _renamed_option(name, given, target)
        if renamed:
            result.leftovers.append(_leftover(item, value, "renamed", _reason_of_name(_flag_name(renamed), name)))
        _emit(name, renamed or name, item, value, argument, target, result)


def _why_dropped(name: str, value: Any, target: _Target) -> tuple[str, str | None] | None:
    """Why an option does not go over, and the class of loss, if it is one."""
    effective = value is not False
    if name in _RAY:
        return "v2 starts Ray by itself, on --ray-port-range", DROPPED_OPTIONS if effective else None
    if name in _RPC:
        return "v2 has no llama-box RPC servers", DROPPED_OPTIONS if effective else None
    if name == "ollama_library_base_url":
        return "v2 has no Ollama library", OLLAMA
    if name == "host":
        everywhere = value in ("0.0.0.0", "::", "", None)
        return (
            "v2's gateway listens on every address; restrict it by published ports or a firewall",
            None if everywhere else DROPPED_OPTIONS,
        )
    if name == "worker_name":
        return "the file worker_name carries the worker's identity", None
    if name == "database_url" and str(value).startswith("sqlite:"):
        return "the SQLite database is migrated into the embedded PostgreSQL", None
    if name == "force_auth_localhost" and not target.release.force_auth_localhost_works:
        return "callers from localhost always authenticate in this release", None
    if name in ("disable_metrics", "metrics_port") and not target.runs_worker:
        return "a legacy server without a worker had no metrics; in v2 the name belongs to the server's", None
    return None


def _renamed_option(name: str, given: Mapping[str, Any], target: _Target) -> str | None:
    """The name under which v2 knows an option, where that is another one."""
    if name == "port":
        return "tls_port" if given.get("ssl_certfile") and target.role != "worker" else None
    return {"disable_metrics": "disable_worker_metrics", "metrics_port": "worker_metrics_port"}.get(name)


def _reason_of_name(renamed: str, name: str) -> str:
    why = "with a certificate the old name now means the port without TLS"
    return f"{renamed} in v2: {why if name == 'port' else 'the old name now means the metrics of the server'}"


def _emit(old: str, name: str, item: str, value: Any, argument: bool, target: _Target, result: Translation) -> None:
    """The option into arguments or environment: secrets and what an argument cannot carry by environment."""
    option = LEGACY_OPTIONS[old]
    if option.kind == "flag":
        _emit_flag(option, name, value, argument, result)
    elif option.kind == "list":
        _emit_list(name, item, value, target, result)
    elif argument and old not in _SECRETS and not _UNSAFE_ARGUMENT.search(value):
        result.arguments += [_flag_name(name), value]
    else:
        variable = option.environment if name == old else "GPUSTACK_" + name.upper()
        result.environment[str(variable)] = value
        if argument:
            why = "a secret" if old in _SECRETS else "an argument would be split or expanded"
            result.leftovers.append(_leftover(item, value, "moved", f"to the variable {variable}: {why}"))


def _emit_flag(option: Option, name: str, value: Any, argument: bool, result: Translation) -> None:
    if argument:
        result.arguments.append(_flag_name(name))
    else:
        result.environment["GPUSTACK_" + name.upper()] = "true" if value else "false"


def _emit_list(name: str, item: str, values: Sequence[str], target: _Target, result: Translation) -> None:
    """A list has no variable of its own, but settings read JSON from <prefix><NAME>."""
    if not any(_UNSAFE_ARGUMENT.search(value) for value in values):
        for value in values:
            result.arguments += [_flag_name(name), value]
        return
    variable = target.release.settings_prefix + name.upper()
    result.environment[variable] = json.dumps(list(values), separators=(",", ":"))
    result.config_edits[name] = None  # the file would override the variable; without the key in it this says nothing
    reason = f"to the variable {variable}: an argument would be split or expanded"
    result.leftovers.append(_leftover(item, list(values), "moved", reason))


# --- what v2 must be told -------------------------------------------------------------------------


def _add_embedded_worker(target: _Target, result: Translation) -> None:
    if target.role != "both" or not target.release.has_enable_worker:
        return
    result.arguments.append("--enable-worker")
    result.leftovers.append(
        _leftover("--enable-worker", True, "added", "the legacy server had an embedded worker, which v2 must be told")
    )


def _add_reserved(
    options: Mapping[str, Any], file: _config_file.ConfigFile, target: _Target, result: Translation
) -> None:
    """What the legacy worker reserved, said explicitly: v2's default is nothing."""
    said, reason = options.get("system_reserved"), None
    if said is None and "system_reserved" in file.names:
        said = file.values.get("system_reserved")
        reason = "as the configuration file says, with the legacy defaults for what that leaves out"
        if said is None:
            raise OptionsError(
                "system_reserved in the configuration file holds no numbers; write it there as {ram: 2, vram: 1}"
            )
    elif said is None:
        reason = "the legacy default; v2 reserves nothing unless told"
        if not target.runs_worker:
            return
    reserved = _effective_reserved(said, target.legacy)
    # A fraction is refused from 2.2.0 (gpustack/schemas/config.py), and cut off before (gpustack/config/config.py).
    whole = {key: math.ceil(value) for key, value in reserved.items()}
    text = json.dumps(whole, separators=(",", ":"))
    if whole != reserved:
        result.leftovers.append(_leftover("--system-reserved", text, "kept", "v2 takes whole GiB alone; rounded up"))
    result.arguments += ["--system-reserved", text]
    if reason:
        result.leftovers.append(_leftover("--system-reserved", text, "added", reason))


def _effective_reserved(said: Any, legacy: str) -> dict[str, Any]:
    """Old names count too, and the release's defaults for what is absent or zero (gpustack/worker/worker.py)."""
    if said is not None and not isinstance(said, dict):
        raise OptionsError("--system-reserved holds no JSON object; correct it in the legacy container")
    values, defaults = said or {}, _releases.legacy_reserved(legacy)
    reserved = {
        name: values.get(name) or values.get(_LEGACY_RESERVED_OLD_NAMES[name], default)
        for name, default in (defaults.unsaid if said is None else defaults.left_out).items()
    }
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in reserved.values()):
        raise OptionsError("--system-reserved holds values that are no numbers; correct it in the legacy container")
    return reserved


# --- the configuration file -----------------------------------------------------------------------


def _translate_config(
    path: str,
    config: _config_file.ConfigFile | None,
    copy: str,
    given: Mapping[str, Any],
    target: _Target,
    result: Translation,
) -> None:
    """The file goes over as it is where v2 reads it as 0.7 did, else as a copy with other keys."""
    if config is None:
        result.leftovers.append(_leftover("--config-file", path, "kept", "its contents were not checked"))
    elif config.problem:
        _problem(
            result,
            "config_file_form",
            f"the configuration file {path} cannot be split at its keys: {config.problem}",
            "write every key at the beginning of a line of its own, and long texts as a block (|)",
        )
    else:
        for name in config.names:
            _translate_key(name, path, config.values.get(name), given, target, result)
        result.config_edits = {name: new for name, new in result.config_edits.items() if name in config.names}
    if result.config_edits:
        reason = f"to the copy {copy} with the keys that v2 reads; the file itself stays as it is, and has no effect"
        result.leftovers.append(_leftover("--config-file", path, "moved", reason))


def _translate_key(
    name: str, path: str, value: Any, given: Mapping[str, Any], target: _Target, result: Translation
) -> None:
    item = f"{name} in {path}"
    if name not in LEGACY_OPTIONS:
        _check_unknown_key(name, path, target, result)
        return
    if name == "system_reserved" or name in result.config_edits:
        return
    dropped = _why_dropped(name, False if _is_off(value) else value, target)
    if dropped:
        result.leftovers.append(_leftover(item, value, "dropped", *dropped))
        if not _is_ignored_key(name, target):
            result.config_edits[name] = None
        return
    renamed = _renamed_option(name, given, target)
    if renamed:
        result.leftovers.append(_leftover(item, value, "renamed", _reason_of_name(renamed, name)))
        result.config_edits[name] = renamed
    if LEGACY_OPTIONS[name].kind != "integer" or str(value).isdigit():
        result.config[renamed or name] = value


def _check_unknown_key(name: str, path: str, target: _Target, result: Translation) -> None:
    if name in SETTINGS_ONLY or not target.release.yaml_extra_fatal:
        return
    _problem(
        result,
        "config_file_keys",
        f"the configuration file {path} has the key {name}, which neither GPUStack 0.7 nor this collection knows, and"
        f" at which GPUStack {target.release.version} may end",
        "remove it from the file; 0.7 does not start with it either",
    )


def _is_off(value: Any) -> bool:
    return value is False or str(value).lower() in ("0", "f", "n")


def _is_ignored_key(name: str, target: _Target) -> bool:
    """Whether v2 passes over a key that means nothing to it."""
    if name in REMOVED_KEYS:
        return not target.release.yaml_extra_fatal
    return name in ("host", "force_auth_localhost")


def _problem(result: Translation, code: str, cause: str, way_out: str) -> None:
    result.problems.append({"code": code, "cause": cause, "way_out": way_out})
