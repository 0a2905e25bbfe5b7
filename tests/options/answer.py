# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside an image of GPUStack, with its own Python and package: one request a line in, one answer a line out.

{"ask": "options"} -> the parser's options and the keys of the configuration; {"ask": "settings", "argv", "environment",
"file"} -> what the program makes of them, or the error at which it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from typing import Any, NoReturn

from gpustack.cmd import start  # type: ignore[import-not-found]
from gpustack.config.config import Config  # type: ignore[import-not-found]

#: What the container's own environment brings, without what a request is about.
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("GPUSTACK_", "GPU_STACK_", "HF_"))}


class Parser(argparse.ArgumentParser):
    """Raises instead of ending the process, as sub-parsers of argparse do after their parent."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def parser() -> argparse.ArgumentParser:
    """The parser of `gpustack start`, whose defaults are read from the environment when it is made."""
    commands = Parser().add_subparsers()
    start.setup_start_cmd(commands)
    found: argparse.ArgumentParser = commands.choices["start"]
    return found


def options() -> dict[str, Any]:
    """Names, class and type of every option; the keys and what becomes of unknown ones."""
    actions = parser()._actions
    return {
        "options": [
            [sorted(each.option_strings), type(each).__name__, getattr(each.type, "__name__", None)] for each in actions
        ],
        "keys": sorted(Config.model_fields),
        "unknown_keys": Config.model_config.get("extra"),
    }


def settings(argv: list[str], environment: dict[str, str], file: str | None) -> dict[str, Any]:
    """The settings that the program would run with; the configuration file's path stands in argv as {file}."""
    os.environ.clear()
    os.environ.update(BARE, **environment)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.yaml")
        with open(path, "w", encoding="utf-8", newline="") as text:
            text.write(file or "")
        arguments = [path if word == "{file}" else word for word in argv]
        parsed = parser().parse_args(arguments)
        values: dict[str, Any] = start.load_config_from_yaml(path) if parsed.config_file else {}
        start.set_common_options(parsed, values)
        start.set_server_options(parsed, values)
        start.set_worker_options(parsed, values)
        # Its own directories and secrets are made when the settings are; nothing of the container's is to be used.
        values["data_dir"] = os.path.join(folder, "data")
        for name in ("cache_dir", "log_dir", "bin_dir"):
            values.pop(name, None)
        made = Config(**values).model_dump(mode="json")
    return {"settings": made}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    if request["ask"] == "options":
        return options()
    try:
        return settings(request["argv"], request["environment"], request["file"])
    except (Exception, SystemExit) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer until the input ends; what the program itself prints is kept away from the answers."""
    for line in sys.stdin:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found = answer(json.loads(line))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
