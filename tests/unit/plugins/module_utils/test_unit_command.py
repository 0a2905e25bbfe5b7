# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command lines and environments as systemd reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _unit_command
from ansible_collections.fleetops.gpustack.plugins.module_utils._unit_command import CommandError

UNIT = "gpustack.service"
#: What a person gives to the installer: it puts no quotes around an argument without a blank.
PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\'\"$%"), min_size=1)
WITH_BLANKS = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\$%"), min_size=1)
ANY = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF))


def arguments(line: str, **environment: str) -> list[str]:
    found = _unit_command.command(line, UNIT, environment)
    return _unit_command.start_arguments(found.words)


def as_the_installer_does(words: list[str]) -> str:
    """install.sh@v0.7.1, setup_systemd: what has a blank in single quotes, with single quotes taken out of them."""
    return " ".join("'{}'".format(word.replace("'", "'\\''")) if " " in word else word for word in words)


def as_systemd_wants_it(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'


@given(st.lists(PLAIN | WITH_BLANKS.map(lambda text: f"a {text}")))
def test_what_the_installer_writes_comes_back(words: list[str]) -> None:
    assert arguments(f"/root/.local/bin/gpustack start  {as_the_installer_does(words)}") == words


@given(st.lists(ANY))
def test_whatever_is_quoted_by_systemds_rules_comes_back(words: list[str]) -> None:
    assert arguments(f"/opt/ai/bin/gpustack start {' '.join(map(as_systemd_wants_it, words))}") == words


def test_variables_and_specifiers_are_put_in() -> None:
    line = '-/usr/bin/gpustack start --server-url ${URL}/x $MORE $NONE --data-dir "/data/%N" --worker-name $$5%%'
    found = arguments(line, URL="http://server", MORE="--debug  --port 81")
    expected = ["--server-url", "http://server/x", "--debug", "--port", "81"]
    assert found == [*expected, "--data-dir", "/data/gpustack", "--worker-name", "$5%"]


def test_what_systemd_itself_shows_is_the_line_before_variables() -> None:
    assert _unit_command.command("/usr/bin/gpustack start $A %n", UNIT, {"A": "x"}).read == (
        "/usr/bin/gpustack",
        "start",
        "$A",
        UNIT,
    )


def test_a_colon_switches_variables_off() -> None:
    assert arguments(":/usr/bin/gpustack start ${A} $B", A="x", B="y") == ["${A}", "$B"]


@pytest.mark.parametrize(
    "line",
    [
        "/bin/sh -c 'gpustack start'",
        "/usr/bin/env A=1 gpustack start",
        "/usr/bin/python3 -m gpustack start",
        "/usr/bin/gpustack version",
        "@/usr/bin/gpustack start",
        "/usr/bin/gpustack start 'unfinished",
    ],
)
def test_nothing_else_is_followed(line: str) -> None:
    with pytest.raises(CommandError):
        arguments(line)


def test_an_empty_setting_takes_back_those_before_it() -> None:
    settings = [("ExecStart", "a"), ("User", "x"), ("ExecStart", ""), ("ExecStart", "b")]
    assert _unit_command.effective(settings, "ExecStart") == ["b"]


def test_environment_lines() -> None:
    assert _unit_command.variables(['"A=x y" B=1', "B=2 C=%N"], UNIT) == {"A": "x y", "B": "2", "C": "gpustack"}
    with pytest.raises(CommandError, match="specifier"):
        _unit_command.variables(["A=%H"], UNIT)


#: Held against systemd 252: `systemd-run --wait --pipe -p EnvironmentFile=FILE env`.
FILE = """\
# a comment with A="1
; another
PLAIN=value
 INDENTED = spaced out \t
DOUBLE="a b # no comment"
SINGLE='it is "so"'
ESCAPED="a \\"quoted\\" \\$word \\n"
JOINED=one' two '"three"
CONTINUED=first \\
second
MULTI="line one
NOT=a variable
line three"
1BAD=x
EMPTY=
LAST=end"""


def test_an_environment_file() -> None:
    assert _unit_command.environment_file(FILE) == {
        "PLAIN": "value",
        "INDENTED": "spaced out",
        "DOUBLE": "a b # no comment",
        "SINGLE": 'it is "so"',
        "ESCAPED": 'a "quoted" $word \\n',
        "JOINED": "one' two '\"three\"",
        "CONTINUED": "first second",
        "MULTI": "line one\nNOT=a variable\nline three",
        "EMPTY": "",
        "LAST": "end",
    }
