# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments and environment of a legacy installation, translated to those of a v2 release. Pure."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass, field
from typing import Any, Mapping, NoReturn, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _masking, _releases

# Classes of loss that the operator accepts by name.
DROPPED_OPTIONS = "dropped_options"
OLLAMA = "ollama"

# What a legacy worker reserved when nothing was said (gpustack/config/config.py@0.7.1); v2 reserves nothing.
_LEGACY_RESERVED = {"ram": 2, "vram": 1}
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


@dataclass
class Translation:
    """What the v2 container gets, and what became of everything else."""

    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    leftovers: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Target:
    release: _releases.Release
    role: str

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


def config_keys(text: str) -> list[str]:
    """The top-level keys of a YAML configuration file, read without a YAML library."""
    return re.findall(r"^[\"']?([A-Za-z_][A-Za-z0-9_]*)[\"']?[ \t]*:(?=\s|$)", text, re.MULTILINE)


def translate(
    argv: Sequence[str],
    environment: Mapping[str, str],
    release: str | _releases.Release,
    role: str,
    config_file_keys: Sequence[str] | None = None,
) -> Translation:
    """
    The v2 arguments and environment for a legacy argument list and environment (without the image's own variables).

    `config_file_keys` are the top-level keys of the file that --config-file names, None when it was not read.
    """
    target = _Target(release if isinstance(release, _releases.Release) else _releases.find(release), role)
    arguments = parse(argv)
    result = Translation()
    variables = _take_environment(environment, arguments, target, result)
    given = dict(variables)
    given.update(arguments)
    for name, value in given.items():
        _translate_one(name, value, name in arguments, given, target, result)
    _add_embedded_worker(given, target, result)
    _add_reserved(given, config_file_keys, target, result)
    _check_config_file(given, config_file_keys, target, result)
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
    environment: Mapping[str, str], arguments: Mapping[str, Any], target: _Target, result: Translation
) -> dict[str, Any]:
    """Variables that stand for options, by option; every other variable goes into the result as it is."""
    by_variable = {option.environment: option for option in LEGACY_OPTIONS.values() if option.environment}
    found: dict[str, Any] = {}
    for name, value in environment.items():
        renamed = _rename(name, environment, target, result)
        if renamed is None:
            continue
        option = by_variable.get(renamed)
        if option is None or option.variable == "HF_HUB_ENABLE_HF_TRANSFER":
            result.environment[renamed] = value
        elif value == "":
            result.leftovers.append(
                _leftover(name, value, "dropped", "empty, which 0.7 takes for not set and v2 does not")
            )
        elif option.destination in arguments:
            result.leftovers.append(
                _leftover(name, value, "dropped", f"the argument {_flag_name(option.destination)} overrides it")
            )
        else:
            found[option.destination] = _variable_value(option, name, value)
    return found


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


def _rename(name: str, environment: Mapping[str, str], target: _Target, result: Translation) -> str | None:
    """The v2 name of a variable, None when it does not go over."""
    if name in ROLLOUT_VARIABLES:
        result.leftovers.append(_leftover(name, environment[name], "dropped", "only the roll-out sets it"))
        return None
    if not name.upper().startswith("GPU_STACK_"):
        return name
    setting = name[len("GPU_STACK_") :].upper()
    option = LEGACY_OPTIONS.get(setting.lower())
    renamed = option.environment if option and option.environment else target.release.settings_prefix + setting
    if renamed != name and renamed in environment:
        result.leftovers.append(_leftover(name, environment[name], "dropped", f"{renamed} overrides it"))
        return None
    if renamed != name:
        result.leftovers.append(_leftover(name, environment[name], "renamed", f"v2 reads it as {renamed}"))
    return renamed


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
            result.leftovers.append(_leftover(item, value, "renamed", "{} in v2: {}".format(*renamed)))
        _emit(name, renamed[0][2:].replace("-", "_") if renamed else name, item, value, argument, target, result)


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
        everywhere = value in ("0.0.0.0", "::", "")
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


def _renamed_option(name: str, given: Mapping[str, Any], target: _Target) -> tuple[str, str] | None:
    if name == "disable_metrics":
        return "--disable-worker-metrics", "the old name now means the server's metrics"
    if name == "metrics_port":
        return "--worker-metrics-port", "the old name now means the server's metrics"
    if name == "port" and given.get("ssl_certfile") and target.role != "worker":
        return "--tls-port", "with a certificate the old name now means the port without TLS"
    return None


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
    reason = f"to the variable {variable}: an argument would be split or expanded"
    result.leftovers.append(_leftover(item, list(values), "moved", reason))


# --- what v2 must be told -------------------------------------------------------------------------


def _add_embedded_worker(given: Mapping[str, Any], target: _Target, result: Translation) -> None:
    if target.role != "both" or not target.release.has_enable_worker:
        return
    result.arguments.append("--enable-worker")
    result.leftovers.append(
        _leftover("--enable-worker", True, "added", "the legacy server had an embedded worker, which v2 must be told")
    )


def _add_reserved(given: Mapping[str, Any], keys: Sequence[str] | None, target: _Target, result: Translation) -> None:
    """What the legacy worker reserved, said explicitly: v2's default is nothing."""
    said = given.get("system_reserved")
    if said is None and (not target.runs_worker or "system_reserved" in (keys or ())):
        return
    text = json.dumps(_effective_reserved(said), separators=(",", ":"))
    result.arguments += ["--system-reserved", text]
    if said is None:
        result.leftovers.append(
            _leftover("--system-reserved", text, "added", "the legacy default; v2 reserves nothing unless told")
        )


def _effective_reserved(said: Any) -> dict[str, Any]:
    """0.7 takes the old names too, and its defaults for what is absent or zero (gpustack/worker/worker.py@0.7.1)."""
    if said is not None and not isinstance(said, dict):
        raise OptionsError("--system-reserved holds no JSON object; correct it in the legacy container")
    values = said or {}
    return {
        name: values.get(name) or values.get(_LEGACY_RESERVED_OLD_NAMES[name], default)
        for name, default in _LEGACY_RESERVED.items()
    }


# --- the configuration file -----------------------------------------------------------------------


def _check_config_file(
    given: Mapping[str, Any], keys: Sequence[str] | None, target: _Target, result: Translation
) -> None:
    """The file itself is carried over untouched; what v2 reads differently in it is reported."""
    path = given.get("config_file")
    if path is None:
        return
    if keys is None:
        result.leftovers.append(_leftover("--config-file", path, "kept", "its contents were not checked"))
        return
    removed = [key for key in keys if key in REMOVED_KEYS]
    if removed and target.release.yaml_extra_fatal:
        cause = "{}, at which GPUStack {} ends".format(", ".join(removed), target.release.version)
        _problem(
            result,
            path,
            "config_file_keys",
            cause,
            "remove them from the file, without which 0.7 runs with its defaults",
        )
    elif removed:
        loss = OLLAMA if removed == ["ollama_library_base_url"] else DROPPED_OPTIONS
        result.leftovers.append(_leftover(path, ", ".join(removed), "dropped", "v2 ignores these keys", loss))
    metrics = [key for key in keys if key in ("metrics_port", "disable_metrics")]
    if metrics and target.runs_worker:
        cause = "{}, which in v2 mean the server's metrics".format(", ".join(metrics))
        _problem(result, path, "config_file_metrics", cause, _TO_ARGUMENTS)
    if "port" in keys and "ssl_certfile" in keys and target.role != "worker":
        cause = "port beside ssl_certfile, which in v2 means the port without TLS"
        _problem(result, path, "config_file_port", cause, _TO_ARGUMENTS)


_TO_ARGUMENTS = "move them from the file to the legacy container's arguments, which are translated"


def _problem(result: Translation, path: str, code: str, cause: str, way_out: str) -> None:
    result.problems.append({"code": code, "cause": f"the configuration file {path} has {cause}", "way_out": way_out})
