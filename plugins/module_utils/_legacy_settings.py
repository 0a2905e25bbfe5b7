# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings that a GPUStack container runs with, each with the place it came from. Pure.

Precedence is the program's own: argument, its variable, configuration file, then the variables of the settings class
(gpustack/cmd/start.py and config/config.py@0.7.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.fleetops.gpustack.plugins.module_utils import _options

ARGUMENT = "argument"
ENVIRONMENT = "environment"
CONFIG = "config"
# Weaker than the file; seen from outside it is the environment.
_WEAK_ENVIRONMENT = "settings environment"
_V2_PREFIX = "GPUSTACK_"
# The settings class of 0.x reads this prefix; options that are arguments too read GPUSTACK_.
_LEGACY_PREFIX = "GPU_STACK_"
_TRUE = ("1", "true", "t", "yes", "y", "on")


@dataclass
class Settings:
    """Values by name with underscores. They hold secrets: never print them."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    #: Why the arguments cannot be understood.
    problem: str | None = None

    def get(self, name: str, default: Any = None) -> Any:
        """A value, or the default where it is not set or empty."""
        value = self.values.get(name)
        return default if value is None or value == "" else value

    def is_on(self, name: str) -> bool:
        """Whether a switch is on."""
        value = self.get(name)
        return value is True or str(value).lower() in _TRUE

    def number(self, name: str, default: int) -> int:
        """A whole number; the default where the text is none (the program would not start with it)."""
        text = str(self.get(name, default))
        return int(text) if text.isdigit() else default

    def source(self, name: str) -> str | None:
        """Where a value came from."""
        found = self.sources.get(name) if self.get(name) is not None else None
        return ENVIRONMENT if found == _WEAK_ENVIRONMENT else found

    def add(self, values: Mapping[str, Any], source: str) -> None:
        """Values of a place that is asked later than those before."""
        for name, value in values.items():
            if value is not None and self.sources.get(name) in (None, _WEAK_ENVIRONMENT):
                self.values[name] = value
                self.sources[name] = source


def settings(arguments: Sequence[str], environment: Mapping[str, str], legacy: bool) -> Settings:
    """The settings of arguments and environment."""
    found = Settings()
    try:
        given = _options.parse(arguments) if legacy else _options.values_of(arguments, {})
    except _options.OptionsError as error:
        found.problem = str(error)
        given = _options.values_of(spelled_out(arguments), {})
    found.add(given, ARGUMENT)
    found.add(prefixed(environment, _V2_PREFIX), ENVIRONMENT)
    if legacy:
        found.add(prefixed(environment, _LEGACY_PREFIX), _WEAK_ENVIRONMENT)
    return found


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Arguments with one-letter options by their long names, for a parser that knows no letters."""
    names = {f"-{option.letter}": f"--{option.name}" for option in _options.LEGACY_OPTIONS.values() if option.letter}
    return [names.get(argument, argument) for argument in arguments]


def prefixed(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The settings that variables of a prefix make."""
    found = {
        name[len(prefix) :].lower(): value for name, value in environment.items() if name.upper().startswith(prefix)
    }
    if prefix == _LEGACY_PREFIX:
        found.pop("config_file", None)  # an option, but no setting
    return found
