# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Legacy containers that go away: removed by somebody while v2 serves, or by the engine because they are `--rm`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import outside
from tests.faults import ledger
from tests.faults.conftest import Keep
from tests.faults.subject import Subject
from tests.faults.trials import AGAIN, BACK
from tests.lab import legacy

#: What `docker inspect` shows of a container's birth and not of its definition.
BORN = ("Id", "Created", "HostnamePath", "HostsPath", "LogPath", "ResolvConfPath", "GraphDriver", "Config")


def definition(server: Subject) -> dict[str, object]:
    """What the operator defined, with the environment and labels, but for the hostname that an id becomes."""
    container = outside.gpustack(server.reach)
    own = {key: container["Config"][key] for key in ("Image", "Cmd", "Entrypoint", "Env", "Labels")}
    others = {key: value for key, value in container.items() if key not in (*BORN, "State", "NetworkSettings")}
    return {**others, **own, "Env": sorted(own["Env"])}


@pytest.mark.quick
def test_retired_container_that_somebody_pruned(server: Subject, keep: Keep) -> None:
    before = definition(server)
    answer = server.call("upgraded", "start:after:kill")
    server.reach.exec_root("docker", "container", "prune", "--force")
    back = server.call("legacy", start=False)
    assert not back.failed, back.message
    server.assert_files()
    assert definition(server) == before
    keep("retired container pruned in the middle of the switch", answer, f"{ledger.LEGACY}, but for ids", BACK)


@pytest.fixture
def throwaway(server: Subject) -> Iterator[Subject]:
    """A server whose container was started with `--rm`."""
    server.reach.exec_root("docker", "rename", "gpustack", "usual")
    command = legacy.run_command(server.fleet.options, server.reach.host, ["--disable-worker"])
    server.reach.exec_root(*("--rm" if word.startswith("--restart=") else word for word in command))
    server.note_definition()
    yield server
    server.go_back()
    server.reach.exec_root("docker", "rm", "--force", "gpustack")
    server.reach.exec_root("docker", "rename", "usual", "gpustack")


def test_container_that_its_stop_removes(throwaway: Subject, keep: Keep) -> None:
    answer = throwaway.call("upgraded", "stop:after:kill")
    throwaway.note_files()
    throwaway.reach_state("upgraded")
    came_to = throwaway.assert_state("upgraded")
    throwaway.go_back()
    throwaway.assert_files()
    throwaway.go_back(start=True)
    assert outside.is_running(throwaway.reach)
    assert outside.gpustack(throwaway.reach)["HostConfig"]["AutoRemove"]
    keep("container is `--rm`, and the run dies right after its stop", answer, came_to, AGAIN)
