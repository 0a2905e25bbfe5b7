# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine's verbs over the Docker SDK, as far as no engine is needed: streams that break off."""

from __future__ import annotations

from typing import Any, Iterator

import docker
import pytest
import urllib3

from ansible_collections.fleetops.gpustack.plugins.module_utils import _engine


class Api:
    """An engine whose streams all break off after one piece."""

    timeout = 60

    def broken(self, *_args: Any, **_kwargs: Any) -> Iterator[bytes]:
        yield b"first\n"
        raise urllib3.exceptions.ProtocolError("Connection broken")

    get_image = logs = broken

    def get_archive(self, *_args: Any) -> tuple[Iterator[bytes], dict[str, Any]]:
        return self.broken(), {}


@pytest.fixture
def engine() -> _engine.Engine:
    made = _engine.Engine.__new__(_engine.Engine)
    made._docker_error, made._missing = docker.errors.DockerException, docker.errors.NotFound
    made._stream_error = urllib3.exceptions.HTTPError
    made._api = Api()
    return made


@pytest.mark.parametrize(
    ("verb", "arguments", "what"),
    [
        ("save_image", ["legacy"], "save legacy"),
        ("read_archive", ["gpustack", "/data"], "read /data of container gpustack"),
        ("follow_logs", ["gpustack"], "read the log of container gpustack"),
    ],
)
def test_a_stream_that_breaks_off_is_the_engines_error(
    engine: _engine.Engine, verb: str, arguments: list[str], what: str
) -> None:
    pieces = getattr(engine, verb)(*arguments)
    assert next(pieces) in (b"first\n", "first")
    with pytest.raises(_engine.EngineError, match=f"broke off when it was to {what}: Connection broken"):
        next(pieces)
    assert engine._api.timeout == 60
