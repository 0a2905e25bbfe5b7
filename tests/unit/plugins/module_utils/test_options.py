# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Legacy arguments and environment, translated. What each release accepts was read from its own program."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _config_file, _masking, _options, _releases

DATA = json.loads((Path(__file__).parent / "data" / "start_options.json").read_text(encoding="utf-8"))
VERSIONS = list(_releases.RELEASES)
ROLES = ["server", "worker", "both"]
LEGACY = {row[0]: {"kind": row[1], "letter": row[2], "environment": row[3]} for row in DATA["legacy 0.7.1"]}

# Read by the program although the option says nothing of it: --disable-rpc-servers looks at the metrics' variable.
UPSTREAM_SLIP = "--disable-rpc-servers"


def accepted(version):
    """Options of a v2 release by name: kind and variable."""
    options = {}
    for release in VERSIONS[: VERSIONS.index(version) + 1]:
        options.update({row[0]: {"kind": row[1], "environment": row[2]} for row in DATA["v2"][release]})
    return options


COPY = "/var/lib/gpustack/gpustack-v2.yaml"


def translate(argv, version="2.2.3", role="worker", environment=None, file=None):
    """The translation; with a file, as if --config-file named one with this text."""
    if file is None:
        return _options.translate(argv, environment or {}, version, role)
    argv = [*argv, "--config-file", "/etc/c.yaml"]
    return _options.translate(argv, environment or {}, version, role, _config_file.read(file), COPY)


def leftover(result, item):
    found = [each for each in result.leftovers if each["item"] == item]
    assert len(found) == 1, (item, result.leftovers)
    return found[0]


# --- the legacy program's own options


def test_the_table_is_the_legacy_programs():
    ours = {
        "--" + option.name: {
            "kind": option.kind,
            "letter": "-" + option.letter if option.letter else None,
            "environment": option.environment,
        }
        for option in _options.LEGACY_OPTIONS.values()
    }
    theirs = dict(LEGACY)
    theirs[UPSTREAM_SLIP] = dict(theirs[UPSTREAM_SLIP], environment=None)
    assert ours == theirs


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {}),
        (["--port", "80"], {"port": "80"}),
        (["--port=80"], {"port": "80"}),
        (["--port", "80", "--port", "81"], {"port": "81"}),
        (["-s", "http://a", "-tabc"], {"server_url": "http://a", "token": "abc"}),
        (["-t=abc"], {"token": "abc"}),
        (["-dtabc"], {"debug": True, "token": "abc"}),
        (["--server", "http://a"], {"server_url": "http://a"}),
        (["--disable-w", "-d"], {"disable_worker": True, "debug": True}),
        (["--allow-origins", "a", "--allow-origins=b"], {"allow_origins": ["a", "b"]}),
        (["--ray-args=--num-cpus=2"], {"ray_args": ["--num-cpus=2"]}),
        (["--system-reserved", '{"ram": 4}'], {"system_reserved": {"ram": 4}}),
        (["--ray-port", "1"], {"ray_port": "1"}),
    ],
)
def test_arguments_are_read_as_the_legacy_program_does(argv, expected):
    assert _options.parse(argv) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ["--nonsense"],
        ["--port"],
        ["--port", "eighty"],
        ["--system-reserved", "ram=2"],
        ["stray"],
        ["--disable", "x"],
        ["--disable-worker=yes"],
        ["--help"],
        ["-h"],
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_way_out(argv):
    with pytest.raises(_options.OptionsError, match="recreate the legacy container"):
        _options.parse(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["--tokn", "s3cr3t-value"],
        ["--tokn=s3cr3t-value"],
        ["--to=x s3cr3t-value"],
        ["--debug=s3cr3t-value"],
        ["--port", "s3cr3t-value"],
        ["--system-reserved", "'s3cr3t-value'"],
    ],
)
def test_a_refusal_shows_no_value(argv):
    with pytest.raises(_options.OptionsError) as caught:
        _options.parse(argv)
    assert "s3cr3t-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (["tini", "--", "gpustack", "start"], ["--port", "80"], ["--port", "80"]),
        (
            ["tini", "--", "/usr/bin/bash", "-c", 'source /etc/profile && exec gpustack start "$@"', "--"],
            ["-d"],
            ["-d"],
        ),
        (["tini", "--", "/usr/local/bin/gpustack", "start"], None, []),
        (None, ["gpustack", "start", "-d"], ["-d"]),
        (["bash", "-c", "gpustack start $@", "x"], ["-d"], ["-d"]),
    ],
)
def test_the_arguments_in_a_containers_command(entrypoint, command, expected):
    assert _options.start_arguments(entrypoint, command) == expected


@pytest.mark.parametrize(
    ("entrypoint", "command"), [(["bash", "-c", "gpustack start --port 80"], []), (["sleep"], ["1"]), (None, None)]
)
def test_an_unknown_command_is_refused(entrypoint, command):
    with pytest.raises(_options.OptionsError, match="recreate the legacy container"):
        _options.start_arguments(entrypoint, command)


# --- the translation


def sample(option):
    """An argument list that sets an option of the legacy program."""
    values = {"flag": [], "integer": ["4711"], "json": ['{"ram": 4, "vram": 2}'], "list": ["value"], "text": ["value"]}
    special = {
        "--server-url": ["http://server"],
        "--database-url": ["postgresql://root:pw12345@db/gpustack"],
        "--service-port-range": ["40000-40063"],
    }
    return [option, *special.get(option, values[LEGACY[option]["kind"]])]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("role", ROLES)
def test_every_legacy_option_goes_over_or_is_named(version, role):
    """No release is given an argument that it does not accept, and nothing disappears unsaid."""
    known = accepted(version)
    for option in LEGACY:
        result = translate(sample(option), version, role)
        for argument in result.arguments:
            if argument.startswith("--"):
                assert argument in known, (option, argument)
        carried = option in result.arguments or LEGACY[option]["environment"] in result.environment
        named = [each for each in result.leftovers if each["item"] == option]
        assert carried or named, option


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("role", ROLES)
def test_every_legacy_variable_goes_over_or_is_named(version, role):
    known = {option["environment"] for option in accepted(version).values()}
    for option, about in LEGACY.items():
        if not about["environment"] or option == UPSTREAM_SLIP:
            continue
        value = "true" if about["kind"] == "flag" else sample(option)[-1]
        result = translate([], version, role, {about["environment"]: value})
        assert set(result.environment) <= known, option
        # What a worker reserves is an argument in every case.
        named = [each for each in result.leftovers if each["item"] == about["environment"]]
        assert result.environment or named or option == "--system-reserved", option


@pytest.mark.parametrize("version", VERSIONS)
def test_switches_stay_switches_and_values_stay_values(version):
    known = accepted(version)
    argv = [word for option in LEGACY if option not in ("--help",) for word in sample(option)]
    arguments = translate(argv, version, "both").arguments
    for index, argument in enumerate(arguments):
        if argument.startswith("--"):
            following = arguments[index + 1 : index + 2]
            takes_value = bool(following) and not following[0].startswith("--")
            assert takes_value == (known[argument]["kind"] != "flag"), argument


SECRET_OPTIONS = {
    "--token": "GPUSTACK_TOKEN",
    "--huggingface-token": "HF_TOKEN",
    "--bootstrap-password": "GPUSTACK_BOOTSTRAP_PASSWORD",
    "--oidc-client-secret": "GPUSTACK_OIDC_CLIENT_SECRET",
    "--saml-sp-private-key": "GPUSTACK_SAML_SP_PRIVATE_KEY",
}


@pytest.mark.parametrize(("option", "variable"), sorted(SECRET_OPTIONS.items()))
@pytest.mark.parametrize("version", VERSIONS)
def test_secrets_go_by_environment(option, variable, version):
    result = translate([option, "s3cr3t-value"], version)
    assert result.environment == {variable: "s3cr3t-value"}
    assert accepted(version)[option]["environment"] == variable
    assert "s3cr3t-value" not in json.dumps([result.arguments, result.leftovers])
    assert leftover(result, option)["value"] == _masking.MASK


def test_an_external_database_goes_by_environment_and_sqlite_is_migrated():
    url = "postgresql://root:pw12345@db/gpustack"
    assert translate(["--database-url", url], role="server").environment == {"GPUSTACK_DATABASE_URL": url}
    result = translate(["--database-url", "sqlite:////data/database.db"], role="server")
    assert (result.arguments, result.environment) == ([], {})
    assert leftover(result, "--database-url")["loss"] is None


@pytest.mark.parametrize(
    "option", ["--enable-ray", "--ray-args", "--ray-port", "--rpc-server-args", "--disable-rpc-servers"]
)
def test_what_v2_has_no_more_is_a_loss_to_accept(option):
    result = translate(sample(option))
    assert leftover(result, option)["action"] == "dropped"
    assert leftover(result, option)["loss"] == _options.DROPPED_OPTIONS


def test_a_switched_off_variable_of_a_removed_option_is_no_loss():
    assert leftover(translate([], environment={"GPUSTACK_ENABLE_RAY": "false"}), "GPUSTACK_ENABLE_RAY")["loss"] is None


def test_the_ollama_library_is_a_loss_of_its_own():
    assert (
        leftover(translate(["--ollama-library-base-url", "http://o"]), "--ollama-library-base-url")["loss"]
        == _options.OLLAMA
    )


@pytest.mark.parametrize(("host", "loss"), [("0.0.0.0", None), ("127.0.0.1", _options.DROPPED_OPTIONS)])
def test_a_binding_to_one_address_is_a_loss(host, loss):
    assert leftover(translate(["--host", host], role="server"), "--host")["loss"] == loss


@pytest.mark.parametrize("role", ["worker", "both"])
def test_the_metrics_of_a_worker_got_a_name_of_their_own(role):
    arguments = translate(["--metrics-port", "20151", "--disable-metrics"], role=role).arguments
    assert arguments[:3] == ["--worker-metrics-port", "20151", "--disable-worker-metrics"]
    environment = translate(
        [], role=role, environment={"GPUSTACK_METRICS_PORT": "20151", "GPUSTACK_DISABLE_METRICS": "1"}
    ).environment
    assert environment == {"GPUSTACK_WORKER_METRICS_PORT": "20151", "GPUSTACK_DISABLE_WORKER_METRICS": "true"}


def test_a_legacy_server_without_worker_had_no_metrics():
    result = translate(["--metrics-port", "20151"], role="server")
    assert result.arguments == []
    assert leftover(result, "--metrics-port")["loss"] is None


def test_with_a_certificate_the_port_is_the_tls_port():
    argv = ["--port", "8443", "--ssl-keyfile", "/k", "--ssl-certfile", "/c"]
    assert translate(argv, role="server").arguments == [
        "--tls-port",
        "8443",
        "--ssl-keyfile",
        "/k",
        "--ssl-certfile",
        "/c",
    ]
    environment = {"GPUSTACK_PORT": "8443"}
    assert translate(argv[2:], role="server", environment=environment).environment == {"GPUSTACK_TLS_PORT": "8443"}
    assert translate(["--port", "8080"], role="server").arguments == ["--port", "8080"]


def test_identity_files_carry_the_workers_name():
    result = translate(["--worker-name", "gpu-1"], environment={"GPUSTACK_WORKER_NAME": "other"})
    assert "gpu-1" not in json.dumps([result.arguments, result.environment])
    assert leftover(result, "--worker-name")["loss"] is None


@pytest.mark.parametrize("role", ["worker", "both"])
@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], '{"ram":2,"vram":1}'),
        (["--system-reserved", "{}"], '{"ram":2,"vram":1}'),
        (["--system-reserved", '{"ram": 8}'], '{"ram":8,"vram":1}'),
        (["--system-reserved", '{"ram": 0, "vram": 0}'], '{"ram":2,"vram":1}'),
        (["--system-reserved", '{"ram": 0.5, "vram": 2.0}'], '{"ram":1,"vram":2}'),
        (["--system-reserved", '{"memory": 3, "gpu_memory": 0}'], '{"ram":3,"vram":0}'),
    ],
)
def test_what_the_legacy_worker_reserved_is_said(role, argv, expected):
    arguments = translate(argv, role=role).arguments
    assert arguments[arguments.index("--system-reserved") + 1] == expected


def test_a_server_alone_reserves_nothing_unless_told():
    assert translate([], role="server").arguments == []
    assert translate([], environment={"GPUSTACK_SYSTEM_RESERVED": '{"ram": 9}'}).arguments == [
        "--system-reserved",
        '{"ram":9,"vram":1}',
    ]


@pytest.mark.parametrize("role", ROLES)
def test_reservations_in_the_configuration_file_are_said_whole(role):
    result = translate([], role=role, file="system_reserved: {memory: 4}\n")
    assert result.arguments[-4:] == ["--system-reserved", '{"ram":4,"vram":1}', "--config-file", "/etc/c.yaml"]
    assert result.config_edits == {}
    argument = translate(["--system-reserved", '{"ram": 9}'], role=role, file="system_reserved: {ram: 4}\n").arguments
    assert '{"ram":9,"vram":1}' in argument
    assert '{"ram":4,"vram":1}' not in argument


def test_reservations_that_cannot_be_read_are_refused():
    with pytest.raises(_options.OptionsError, match="write it there as"):
        translate([], file="system_reserved: {ram: lots}\n")


@pytest.mark.parametrize("text", ["[]", "3", '{"ram": Infinity}', '{"ram": "4"}', '{"ram": [4]}'])
def test_a_reservation_that_is_no_object_of_numbers_is_refused(text):
    with pytest.raises(_options.OptionsError, match="correct it"):
        translate(["--system-reserved", text])


@pytest.mark.parametrize(
    ("version", "expected"), [("2.0.0", []), ("2.0.1", ["--enable-worker"]), ("2.2.3", ["--enable-worker"])]
)
def test_an_embedded_worker_is_said_where_the_release_has_a_word_for_it(version, expected):
    arguments = translate([], version, "both").arguments
    assert [word for word in arguments if word == "--enable-worker"] == expected


def test_a_server_without_worker_stays_one():
    assert translate(["--disable-worker"], role="server").arguments == ["--disable-worker"]


@pytest.mark.parametrize("value", ["/models/my file", "/models/*", "a?b", "[x]", "-dash", "a\nb"])
def test_what_an_argument_cannot_carry_goes_by_environment(value):
    result = translate(["--model-catalog-file=" + value], role="server")
    assert (result.arguments, result.environment) == ([], {"GPUSTACK_MODEL_CATALOG_FILE": value})
    assert leftover(result, "--model-catalog-file")["action"] == "moved"


@pytest.mark.parametrize(
    ("version", "prefix"), [("2.0.0", "GPU_STACK_"), ("2.0.1", "GPUSTACK_"), ("2.2.3", "GPUSTACK_")]
)
def test_a_list_with_a_glob_goes_by_environment_as_json(version, prefix):
    result = translate(["--allow-origins", "*", "--allow-headers", "X-One"], version, "server")
    assert result.environment == {prefix + "ALLOW_ORIGINS": '["*"]'}
    assert result.arguments == ["--allow-headers", "X-One"]


@pytest.mark.parametrize(("version", "kept"), [("2.1.2", True), ("2.2.0", False)])
def test_localhost_authentication_is_dropped_where_it_does_nothing(version, kept):
    assert ("--force-auth-localhost" in translate(["--force-auth-localhost"], version, "server").arguments) is kept


# --- the environment


def test_other_variables_go_over_as_they_are():
    environment = {
        "TZ": "UTC",
        "HTTP_PROXY": "http://p",
        "HF_ENDPOINT": "http://m",
        "HF_HUB_ENABLE_HF_TRANSFER": "1",
        "GPUSTACK_DB_POOL_SIZE": "9",
    }
    assert translate([], role="server", environment=environment).environment == environment


def test_variables_with_the_old_prefix_are_renamed():
    environment = {"GPU_STACK_DEBUG": "yes", "GPU_STACK_JWT_SECRET_KEY": "k3y-material", "GPU_STACK_TOKEN": "t0ken-one"}
    result = translate([], role="server", environment=environment)
    assert result.environment == {
        "GPUSTACK_DEBUG": "true",
        "GPUSTACK_JWT_SECRET_KEY": "k3y-material",
        "GPUSTACK_TOKEN": "t0ken-one",
    }
    assert "k3y-material" not in json.dumps(result.leftovers)


def test_the_first_release_still_reads_the_old_prefix():
    environment = {"GPU_STACK_JWT_SECRET_KEY": "k3y-material", "GPU_STACK_DEBUG": "true"}
    result = translate([], "2.0.0", "server", environment)
    assert result.environment == {"GPU_STACK_JWT_SECRET_KEY": "k3y-material", "GPUSTACK_DEBUG": "true"}


def test_the_stronger_of_two_says_what_goes_over():
    result = translate(
        ["--token", "from-argument"], environment={"GPUSTACK_TOKEN": "from-env", "GPU_STACK_TOKEN": "from-old"}
    )
    assert result.environment == {"GPUSTACK_TOKEN": "from-argument"}
    assert leftover(result, "GPUSTACK_TOKEN")["reason"].endswith("overrides it")
    assert leftover(result, "GPU_STACK_TOKEN")["reason"].endswith("overrides it")


def test_empty_variables_are_not_set_ones():
    result = translate([], role="server", environment={"GPUSTACK_DATABASE_URL": "", "GPUSTACK_SERVER_URL": ""})
    assert result.environment == {}


@pytest.mark.parametrize("name", ["GPUSTACK_DATA_MIGRATION", "GPUSTACK_MIGRATION_DATA_DIR"])
def test_triggers_left_from_an_attempt_by_hand_do_not_stay(name):
    result = translate([], role="server", environment={name: "true"})
    assert result.environment == {}
    assert leftover(result, name)["action"] == "dropped"


def test_a_broken_variable_is_refused():
    with pytest.raises(_options.OptionsError, match="GPUSTACK_SYSTEM_RESERVED"):
        translate([], environment={"GPUSTACK_SYSTEM_RESERVED": "{"})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "setting", ["ALLOW_ORIGINS", "ENABLE_HF_XET", "JWT_SECRET_KEY", "RESOURCES", "RPC_SERVER_ARGS"]
)
def test_variables_that_only_v2_reads_do_not_go_over(version, setting):
    name = "GPUSTACK_" + setting
    result = translate([], version, "server", {name: "s3cr3t-value", "GPUSTACK_DB_POOL_SIZE": "9"})
    assert result.environment == {"GPUSTACK_DB_POOL_SIZE": "9"}
    assert leftover(result, name)["loss"] is None


def test_the_settings_variable_that_0_7_reads_is_not_hidden_by_the_one_that_it_does_not():
    environment = {"GPU_STACK_JWT_SECRET_KEY": "k3y-material", "GPUSTACK_JWT_SECRET_KEY": "another"}
    assert translate([], role="server", environment=environment).environment == {
        "GPUSTACK_JWT_SECRET_KEY": "k3y-material"
    }


def test_removed_settings_with_the_old_prefix_are_losses_too():
    result = translate([], role="server", environment={"GPU_STACK_RPC_SERVER_ARGS": '["-x"]'})
    assert result.environment == {}
    assert leftover(result, "GPU_STACK_RPC_SERVER_ARGS")["loss"] == _options.DROPPED_OPTIONS


def test_the_configuration_file_is_stronger_than_the_old_prefix():
    result = translate([], role="server", environment={"GPU_STACK_PORT": "1"}, file="port: 2\n")
    assert result.environment == {}
    assert "the configuration file overrides it" in leftover(result, "GPU_STACK_PORT")["reason"]


def test_no_variable_of_the_old_prefix_names_a_configuration_file():
    assert translate([], role="server", environment={"GPU_STACK_CONFIG_FILE": "/c"}).environment == {}


# --- the configuration file


def test_a_file_that_v2_reads_alike_goes_over_as_it_is():
    result = translate([], "2.0.3", "server", file="debug: true\nhost: 0.0.0.0\nforce_auth_localhost: true\nport: 81\n")
    assert result.arguments == ["--config-file", "/etc/c.yaml"]
    assert (result.config_edits, result.problems) == ({}, [])
    assert result.config == {"debug": True, "force_auth_localhost": True, "port": "81"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", _options.REMOVED_KEYS)
def test_keys_that_v2_does_not_know_are_left_out_where_they_are_fatal(version, key):
    result = translate([], version, "server", file=f"{key}: something\ntoken: t0ken-value\n")
    fatal = version < "2.2"
    assert result.config_edits == ({key: None} if fatal else {})
    assert result.arguments == ["--config-file", COPY if fatal else "/etc/c.yaml"]
    found = leftover(result, f"{key} in /etc/c.yaml")
    assert found["loss"] == (_options.OLLAMA if key == "ollama_library_base_url" else _options.DROPPED_OPTIONS)
    assert "t0ken-value" not in json.dumps(result.leftovers)
    assert [each["action"] for each in result.leftovers if each["item"] == "--config-file"] == ["moved"] * fatal


@pytest.mark.parametrize("value", ["false", "no", "off", "0", "False"])
def test_a_switched_off_key_is_no_loss(value):
    result = translate([], "2.0.3", "server", file=f"enable_ray: {value}\n")
    assert result.config_edits == {"enable_ray": None}
    assert leftover(result, "enable_ray in /etc/c.yaml")["loss"] is None


@pytest.mark.parametrize(
    ("role", "text", "edits"),
    [
        ("worker", "metrics_port: 1\n", {"metrics_port": "worker_metrics_port"}),
        ("both", "disable_metrics: true\n", {"disable_metrics": "disable_worker_metrics"}),
        ("server", "metrics_port: 1\ndisable_metrics: true\n", {"metrics_port": None, "disable_metrics": None}),
        ("server", "port: 8443\nssl_certfile: /c\nssl_keyfile: /k\n", {"port": "tls_port"}),
        ("worker", "port: 8443\nssl_certfile: /c\n", {}),
        ("server", "database_url: sqlite:////d/database.db\n", {"database_url": None}),
        ("server", "database_url: postgresql://h/d\n", {}),
        ("worker", "worker_name: w\n", {"worker_name": None}),
        ("worker", "worker_name: w\nenable_ray: true\n", {"worker_name": None}),
    ],
)
def test_keys_become_what_the_options_become(role, text, edits):
    result = translate([], "2.2.3", role, file=text)
    assert result.config_edits == edits
    assert result.arguments[-1] == (COPY if edits else "/etc/c.yaml")


def test_arguments_and_file_are_seen_together():
    result = translate(["--port", "8443"], role="server", file="ssl_certfile: /c\nssl_keyfile: /k\n")
    assert result.arguments[:2] == ["--tls-port", "8443"]
    result = translate(["--ssl-certfile", "/c", "--ssl-keyfile", "/k"], role="server", file="port: 8443\n")
    assert result.config_edits == {"port": "tls_port"}
    assert result.config == {"tls_port": "8443"}


def test_a_list_that_goes_by_a_weak_variable_hides_the_files():
    result = translate(["--allow-origins", "*"], role="server", file="allow_origins: [a]\nallow_headers: [b]\n")
    assert result.environment == {"GPUSTACK_ALLOW_ORIGINS": '["*"]'}
    assert result.config_edits == {"allow_origins": None}
    assert translate(["--allow-origins", "*"], role="server", file="port: 1\n").config_edits == {}


def test_an_empty_variable_hides_the_files_key():
    result = translate([], role="server", environment={"GPUSTACK_HOST": ""}, file="host: 10.0.0.1\n")
    assert result.config_edits == {"host": None}


def test_a_file_that_an_environment_names():
    config = _config_file.read("enable_ray: true\n")
    result = _options.translate([], {"GPUSTACK_CONFIG_FILE": "/etc/c.yaml"}, "2.0.3", "server", config, COPY)
    assert (result.arguments, result.environment) == ([], {"GPUSTACK_CONFIG_FILE": COPY})


@pytest.mark.parametrize(("version", "refused"), [("2.0.3", True), ("2.1.2", True), ("2.2.0", False)])
def test_a_key_that_nobody_knows_is_refused_where_it_is_fatal(version, refused):
    result = translate([], version, "server", file="prot: 80\n")
    assert [problem["code"] for problem in result.problems] == ["config_file_keys"] * refused
    assert translate([], version, "server", file="jwt_secret_key: k\nresources: {}\n").problems == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_cannot_be_split_at_its_keys_is_refused(version):
    (problem,) = translate([], version, "server", file="{enable_ray: true}\n").problems
    assert problem["code"] == "config_file_form"
    assert "/etc/c.yaml" in problem["cause"]
    assert "line" in problem["way_out"]


def test_a_file_that_was_not_read_is_named():
    assert "not checked" in leftover(translate(["--config-file", "/c"]), "--config-file")["reason"]


def test_a_value_that_is_no_number_is_no_port():
    assert translate([], role="server", file="port: eighty\n").config == {}


# --- settings and extra arguments


def test_settings_of_a_v2_command():
    arguments = ["--port", "8080", "--tls-port=8443", "--disable-metrics", "--api-port", "1", "--debug"]
    assert _options.values_of(arguments, {"GPUSTACK_API_PORT": "2", "GPUSTACK_ENABLE_CORS": "false", "TZ": "UTC"}) == {
        "port": "8080",
        "tls_port": "8443",
        "disable_metrics": True,
        "api_port": "1",
        "debug": True,
        "enable_cors": False,
    }


@pytest.mark.parametrize(
    "arguments", [["--allow-origins", "*"], ["--x", "a b"], ["--x", ""], ["--token", "abc"], ["--token=abc"]]
)
def test_extra_arguments_that_would_not_arrive_or_would_show(arguments):
    with pytest.raises(_options.OptionsError, match="gpustack_extra_env"):
        _options.check_extra_arguments(arguments)


def test_extra_arguments_that_are_fine():
    _options.check_extra_arguments(["--api-port", "31000", "--gateway-mode=disabled", "--debug"])


# --- properties

WORDS = st.text(min_size=1, max_size=20)
TEXT_OPTIONS = [name for name, about in LEGACY.items() if about["kind"] == "text"]


@given(
    options=st.lists(st.tuples(st.sampled_from(TEXT_OPTIONS), WORDS), max_size=6),
    version=st.sampled_from(VERSIONS),
    role=st.sampled_from(ROLES),
)
@settings(max_examples=150)
def test_every_argument_survives_the_images_shell(options, version, role):
    """Unquoted, the image's shell splits at blanks and expands * ? [; its file of arguments drops empty lines."""
    result = translate(["{}={}".format(*pair) for pair in options], version, role)
    for argument in result.arguments:
        assert argument
        assert not re.search(r"[\s*?\[]", argument)


@given(
    options=st.lists(
        st.tuples(st.sampled_from(sorted(SECRET_OPTIONS)), st.text(alphabet="xyz0123456789", min_size=12, max_size=20)),
        max_size=4,
    )
)
@settings(max_examples=50)
def test_no_secret_is_in_arguments_or_leftovers(options):
    result = translate(["{}={}".format(*pair) for pair in options])
    shown = json.dumps([result.arguments, result.leftovers, result.problems])
    assert not [value for _option, value in options if value in shown]


@given(argv=st.lists(WORDS, max_size=5))
@settings(max_examples=150)
def test_any_argument_list_is_understood_or_refused(argv):
    with contextlib.suppress(_options.OptionsError):
        _options.parse(argv)


def recorded_parser(version):
    """A parser with the options that a v2 release has by the recorded table; the real ones are asked end to end."""
    parser = argparse.ArgumentParser(exit_on_error=False) if sys.version_info >= (3, 9) else argparse.ArgumentParser()
    kinds = {"flag": {"action": "store_true"}, "list": {"action": "append"}, "integer": {"type": int}}
    for name, about in accepted(version).items():
        parser.add_argument(name, **kinds.get(about["kind"], {"type": json.loads} if about["kind"] == "json" else {}))
    return parser


@st.composite
def legacy_arguments(draw):
    """Any argument list that 0.7 takes, by the recorded table."""
    argv = []
    for name in draw(st.lists(st.sampled_from(sorted(LEGACY)), max_size=8)):
        kind, letter = LEGACY[name]["kind"], LEGACY[name]["letter"]
        values = {
            "integer": st.integers(0, 70000).map(str),
            "json": st.dictionaries(st.sampled_from(["ram", "vram", "memory"]), st.integers(0, 9)).map(json.dumps),
        }
        if kind == "flag":
            argv.append(draw(st.sampled_from([each for each in (name, letter) if each])))
        else:
            value = draw(values.get(kind, WORDS))
            argv += [f"{name}={value}"] if value.startswith("-") or draw(st.booleans()) else [name, value]
    return argv


@given(argv=legacy_arguments(), version=st.sampled_from(VERSIONS), role=st.sampled_from(ROLES))
@settings(max_examples=200, deadline=None)
def test_any_legacy_argument_list_becomes_one_that_v2_has_the_options_for(argv, version, role):
    result = translate(argv, version, role)
    found, unknown = recorded_parser(version).parse_known_args(result.arguments)
    assert unknown == []
    variables = {about["environment"] for about in accepted(version).values()}
    prefix = _releases.RELEASES[version].settings_prefix
    lists = {
        prefix + name[2:].replace("-", "_").upper()
        for name, about in accepted(version).items()
        if about["kind"] == "list"
    }
    assert set(result.environment) <= variables | lists
    assert vars(found)["ray_port_range"] is None  # what --ray-port would be taken for


# Releases before 0.7

SINCE = json.loads((Path(__file__).parent / "data" / "legacy_since.json").read_text(encoding="utf-8"))


def test_every_option_is_known_from_the_release_on_that_brought_it():
    for name, release in SINCE.items():
        destination = name[2:].replace("-", "_")
        assert _options.is_read_by(destination, release), name
        older = [
            each for each in _releases.LEGACY_SUPPORTED if _releases.version_key(each) < _releases.version_key(release)
        ]
        assert not older or not _options.is_read_by(destination, older[-1]), name
    assert set(SINCE) == {"--" + name for name in (option.name for option in _options.LEGACY_OPTIONS.values())}


def test_a_variable_that_the_old_release_did_not_read_does_not_begin_to_count():
    environment = {"GPUSTACK_SERVICE_PORT_RANGE": "40000-40100", "GPUSTACK_WORKER_PORT": "10200"}
    old = _options.translate([], environment, "2.2.3", "worker", legacy="0.5.1")
    assert "GPUSTACK_SERVICE_PORT_RANGE" not in old.environment
    assert old.environment["GPUSTACK_WORKER_PORT"] == "10200"
    (dropped,) = [each for each in old.leftovers if each["item"] == "GPUSTACK_SERVICE_PORT_RANGE"]
    assert dropped["reason"] == "0.5 does not read it, and v2 would"
    new = _options.translate([], environment, "2.2.3", "worker", legacy="0.6.2")
    assert new.environment["GPUSTACK_SERVICE_PORT_RANGE"] == "40000-40100"


@pytest.mark.parametrize(
    ("legacy", "arguments", "reserved"),
    [
        ("0.3.2", [], '{"ram":2,"vram":0}'),
        ("0.1.2", [], '{"ram":1,"vram":1}'),
        ("0.1.2", ["--system-reserved", '{"memory": 3}'], '{"ram":3,"vram":0}'),
        ("0.2.1", ["--system-reserved", '{"ram": 3}'], '{"ram":3,"vram":2}'),
        (None, [], '{"ram":2,"vram":1}'),
    ],
)
def test_an_old_worker_goes_on_reserving_what_its_release_reserved(legacy, arguments, reserved):
    found = _options.translate(arguments, {}, "2.2.3", "worker", legacy=legacy).arguments
    assert found[found.index("--system-reserved") + 1] == reserved


def test_the_one_option_that_only_0_1_0_had_is_refused():
    with pytest.raises(_options.OptionsError, match="--enable-metrics"):
        _options.translate(["--enable-metrics"], {}, "2.2.3", "worker", legacy="0.1.0")
