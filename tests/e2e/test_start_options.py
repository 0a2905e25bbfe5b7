# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The translation against the real `gpustack start` of 0.7.1 and of each v2 release that the lab has, without a fleet.

Whatever the legacy program starts with, the v2 program starts with the translation of, and what goes over means the
same to both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _discovery,
    _legacy_settings,
    _options,
    _releases,
)
from tests.e2e.conftest import TARGETS
from tests.options import record
from tests.options.programs import Program

LEGACY = record.LEGACY
RECORDED = json.loads(record.RECORDED.read_text(encoding="utf-8"))
#: --disable-rpc-servers looks at the variable of --disable-metrics, which no translation can tell from a wish.
FLAG_KINDS = ("OptionalBoolAction", "_StoreTrueAction")
COPY = "/copy.yaml"


@pytest.fixture(scope="module")
def legacy() -> Iterator[Program]:
    """The legacy program."""
    with Program(LEGACY) as program:
        yield program


@pytest.fixture(scope="module", params=TARGETS)
def v2(request: pytest.FixtureRequest) -> Iterator[tuple[str, Program]]:
    """A release, and its program."""
    with Program(request.param) as program:
        yield request.param, program


def kind(action: str, of: str | None) -> str:
    """The kind of an option as the recorded tables call it."""
    if action in FLAG_KINDS:
        return "flag"
    if action == "_AppendAction":
        return "list"
    return {"int": "integer", "loads": "json"}.get(str(of), "text")


def options_of(program: Program) -> dict[str, tuple[str, str | None]]:
    """Kind and letter of every option of a program."""
    found = {}
    for names, action, of in program.ask(ask="options")["options"]:
        letter = next((name for name in names if not name.startswith("--")), None)
        found[next(name for name in names if name.startswith("--"))] = (kind(action, of), letter)
    del found["--help"]
    return found


def test_the_legacy_options_are_those_that_are_recorded(legacy: Program) -> None:
    assert options_of(legacy) == {row[0]: (row[1], row[2]) for row in RECORDED[f"legacy {LEGACY}"]}


def test_v2s_options_are_those_that_are_recorded(v2: tuple[str, Program]) -> None:
    release, program = v2
    recorded: dict[str, str] = {}
    for each in _releases.RELEASES:
        recorded.update({row[0]: row[1] for row in RECORDED["v2"][each]})
        if each == release:
            break
    assert {name: kind for name, (kind, _letter) in options_of(program).items()} == recorded


def test_the_keys_of_the_file_are_those_that_the_translation_knows(legacy: Program, v2: tuple[str, Program]) -> None:
    release, program = v2
    before, now = legacy.ask(ask="options"), program.ask(ask="options")
    assert set(before["keys"]) - set(now["keys"]) == set(_options.REMOVED_KEYS)
    assert set(before["keys"]) - set(_options.LEGACY_OPTIONS) == set(_options.SETTINGS_ONLY)
    assert (now["unknown_keys"] == "forbid") is _releases.RELEASES[release].yaml_extra_fatal


# --- what a person may have written

PORTS = st.integers(1, 65535)
WORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x85"), min_size=1, max_size=12
)
TEXTS = {
    "server_url": st.sampled_from(["http://server", "https://server.example.com:8443/x/"]),
    "ollama_library_base_url": st.just("https://registry.example.com/"),
    "database_url": st.sampled_from(["sqlite:////var/lib/gpustack/database.db", "postgresql://u:p4ss@db:5433/x"]),
    "oidc_issuer": st.just("http://127.0.0.1:9"),
    **dict.fromkeys(
        ("service_port_range", "rpc_server_port_range", "ray_worker_port_range"),
        PORTS.map(lambda port: f"{port}-{port + 9}"),
    ),
}
RESERVED = st.dictionaries(
    st.sampled_from(["ram", "vram", "memory", "gpu_memory"]), st.integers(0, 64) | st.sampled_from([0.5, 1.5])
)
NAMES = sorted(set(_options.LEGACY_OPTIONS) - {"config_file", "data_dir", "cache_dir", "log_dir", "bin_dir"})


def value_of(name: str) -> st.SearchStrategy[Any]:
    """Values of an option that make sense to it, in the types of a configuration file."""
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "flag": st.booleans(),
        "integer": PORTS,
        "json": RESERVED,
        "list": st.lists(WORDS, min_size=1, max_size=2),
        "text": TEXTS.get(name, WORDS),
    }
    return by_kind[_options.LEGACY_OPTIONS[name].kind]


@st.composite
def arguments(draw: st.DrawFn) -> list[str]:
    """Arguments as people write them: in full or short, joined or not."""
    written: list[str] = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=5)):
        option = _options.LEGACY_OPTIONS[name]
        word = draw(st.sampled_from(_spellings(option)))
        if option.kind == "flag":
            written.append(word)
            continue
        value = draw(value_of(name))
        for each in value if option.kind == "list" else [value]:
            text = json.dumps(each) if option.kind == "json" else str(each)
            joined = text.startswith("-") or draw(st.booleans())
            written += [f"{word}={text}" if word.startswith("--") else word + text] if joined else [word, text]
    return written


def _spellings(option: _options.Option) -> list[str]:
    others = [each.name for each in _options.LEGACY_OPTIONS.values() if each is not option]
    beginnings = (option.name[:length] for length in range(2, len(option.name)))
    short = next((word for word in beginnings if not any(each.startswith(word) for each in others)), option.name)
    return [f"--{option.name}", f"--{short}", *([f"-{option.letter}"] if option.letter else [])]


@st.composite
def variables(draw: st.DrawFn) -> dict[str, str]:
    """Variables of options, and those of the settings class beside them."""
    found = {}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        option, old = _options.LEGACY_OPTIONS[name], draw(st.booleans())
        variable = f"GPU_STACK_{name.upper()}" if old else option.environment or f"GPUSTACK_{name.upper()}"
        value = draw(value_of(name))
        found[variable] = str(value).lower() if option.kind == "flag" else _as_text(option, value)
    return found


def _as_text(option: _options.Option, value: Any) -> str:
    return json.dumps(value) if option.kind in ("json", "list") else str(value)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """What a configuration file says."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    return {name: draw(value_of(name)) for name in names}


ROLES = st.sampled_from([[], ["--disable-worker"], ["--server-url", "http://server", "--token", "t0ken"]])
TLS = st.sampled_from([[], [], ["--ssl-keyfile", "/k", "--ssl-certfile", "/c"]])
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

#: What goes over in another way, or not at all; what becomes of it is said elsewhere.
NOT_COMPARED = {*_options.REMOVED_KEYS, "host", "worker_name", "system_reserved", "disable_worker"}

#: From then on the option is taken and not read (gpustack/cmd/start.py); the downloader uses Xet by itself.
XET_NOT_READ_SINCE = "2.1.0"


def v2_name(name: str, role: str, tls: bool) -> str | None:
    """The setting of v2 that has to have the value of a legacy one; None where there is none."""
    if name in ("disable_metrics", "metrics_port"):
        return (
            None if role == "server" else {"disable_metrics": "disable_worker_metrics"}.get(name, "worker_metrics_port")
        )
    return "tls_port" if name == "port" and tls and role != "worker" else name


def read_by_legacy(environment: dict[str, str]) -> set[str]:
    """The options whose variables 0.7 reads."""
    old = {name[len("GPU_STACK_") :].lower() for name in environment if name.startswith("GPU_STACK_")}
    return old | {name for name, option in _options.LEGACY_OPTIONS.items() if option.environment in environment}


@given(argv=arguments(), role=ROLES, tls=TLS, environment=variables(), file=files())
@FEW
def test_v2_starts_with_what_0_7_starts_with_and_reads_it_alike(
    legacy: Program,
    v2: tuple[str, Program],
    argv: list[str],
    role: list[str],
    tls: list[str],
    environment: dict[str, str],
    file: dict[str, Any],
) -> None:
    release, program = v2
    text = yaml.safe_dump(file, allow_unicode=True)
    argv = [*argv, *role, *tls]
    before = legacy.settings([*argv, "--config-file", "{file}"], environment, text)
    assume("settings" in before)
    config = _config_file.read(text)
    assume(config.problem is None)
    event("the legacy program starts")
    found = _legacy_settings.settings(argv, environment, legacy=True)
    found.add(config.values, _legacy_settings.CONFIG)
    is_a = _discovery.role_of(found)
    translated = _options.translate([*argv, "--config-file", "/c.yaml"], environment, release, is_a, config, COPY)
    assert translated.problems == []
    words = ["{file}" if word in ("/c.yaml", COPY) else word for word in translated.arguments]
    copy = _config_file.translated(text, translated.config_edits, "/c.yaml") if translated.config_edits else text
    after = program.settings(words, translated.environment, copy)

    assert "settings" in after, (after, translated)
    for name in sorted({*_options.parse(argv), *file, *read_by_legacy(environment)} - NOT_COMPARED):
        old, new = before["settings"][name], v2_name(name, is_a, bool(before["settings"]["ssl_certfile"]))
        if new is None or (name == "database_url" and str(old).startswith("sqlite")):
            continue
        if name == "force_auth_localhost" and not _releases.RELEASES[release].force_auth_localhost_works:
            continue
        if name == "enable_hf_xet" and _releases.at_least(release, XET_NOT_READ_SINCE):
            continue
        assert (after["settings"][new] or None) == (old or None), (name, translated)
