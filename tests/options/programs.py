# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real `gpustack start` of a release, asked in a container without a network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab import docker, releases

SCRIPT = Path(__file__).with_name("answer.py")


class Program:
    """A container that answers what the program of a release makes of arguments, environment and file."""

    def __init__(self, release: str) -> None:
        self.image = releases.ensure(release)[0]
        self.name = f"gpustack-lab-options-{release}"
        docker.run("rm", "--force", self.name, check=False)
        command = ["run", "--rm", "--interactive", "--network", "none", "--name", self.name, "--entrypoint", "python3"]
        command += ["--volume", f"{SCRIPT}:/answer.py:ro", self.image, "-u", "/answer.py"]
        self.process = subprocess.Popen(
            [docker.client(), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        docker.run("rm", "--force", self.name, check=False)
        self.process.communicate()

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to one request."""
        if self.process.stdin is None or self.process.stdout is None:
            raise AssertionError("the container was started without pipes")
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the program of {self.image} ended at {request}")
        found: dict[str, Any] = json.loads(line)
        return found

    def settings(
        self, argv: Sequence[str], environment: Mapping[str, str] | None = None, file: str | None = None
    ) -> dict[str, Any]:
        """`settings`, or `error`; the file's path stands in the arguments as {file}."""
        return self.ask(ask="settings", argv=list(argv), environment=dict(environment or {}), file=file)
