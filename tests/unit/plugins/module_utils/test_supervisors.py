# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else starts or replaces a container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _supervisors
from ansible_collections.fleetops.gpustack.plugins.module_utils._supervisors import UnitCommand, supervisors
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.engine_records import container

WATCHTOWER = "containrrr/watchtower:1.7.1"
LABEL = "com.centurylinklabs.watchtower"


COMPOSE = {
    "com.docker.compose.project": "ai",
    "com.docker.compose.service": "gpustack",
    "com.docker.compose.project.working_dir": "/srv/ai",
    "com.docker.compose.project.config_files": "/srv/compose.yaml",
}


def kinds(found: list[dict[str, Any]]) -> list[str]:
    """The kinds of supervisors."""
    return [each["kind"] for each in found]


def keeper(kind: str, name: str, file: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "name": name, "file": file, "problem": None}


def of_unit(root: Path, text: str, file: str = "ai.service", **others: Any) -> list[dict[str, Any]]:
    """Who keeps a container on a host with this unit."""
    unit = root / "etc/systemd/system" / file
    unit.parent.mkdir(parents=True)
    unit.write_text(f"[Service]\n{text}\n")
    return supervisors(container(**others), [], _supervisors.unit_commands(str(root)))


def test_a_container_by_itself_has_none() -> None:
    assert supervisors(container(), [container()], []) == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (COMPOSE, keeper("compose", "ai/gpustack", "/srv/compose.yaml")),
        (
            {**COMPOSE, "com.docker.compose.project.config_files": "a.yaml,/b.yaml"},
            keeper("compose", "ai/gpustack", "/srv/ai/a.yaml,/b.yaml"),
        ),
        ({"com.docker.compose.project": "ai"}, keeper("compose", "ai/")),
        ({"com.docker.swarm.service.name": "ai_gpustack"}, keeper("swarm", "ai_gpustack")),
        ({"io.kubernetes.pod.name": "gpustack-0"}, keeper("kubernetes", "gpustack-0")),
    ],
)
def test_orchestrators_are_known_by_their_labels(labels: dict[str, str], expected: dict[str, Any]) -> None:
    assert supervisors(container(labels=labels), [], []) == [expected]


@pytest.mark.parametrize(
    ("line", "keeps"),
    [
        ("ExecStart=/usr/bin/docker start -a gpustack", True),
        ("ExecStart=/usr/bin/docker run --rm --name gpustack gpustack/gpustack", True),
        ("ExecStart=/usr/bin/docker run --name=gpustack gpustack/gpustack", True),
        ("ExecStart=/bin/sh -c 'docker restart gpustack'", True),
        ("ExecStartPre=-/usr/bin/docker create --name gpustack gpustack/gpustack", True),
        ("ExecStart=/usr/bin/docker run \\\n  --name gpustack \\\n  gpustack/gpustack", True),
        ("ExecStart=/usr/bin/docker start -a other", False),
        ("ExecStart=/usr/bin/docker run --name other gpustack/gpustack", False),
        ("ExecStop=/usr/bin/docker stop gpustack", False),
        ("ExecStart=/usr/bin/dockerd -H fd://", False),
        ("# ExecStart=/usr/bin/docker start gpustack", False),
        ("ExecStart=/usr/bin/docker run --name %i gpustack/gpustack", True),
        ("ExecStart=/usr/bin/docker run --name ${NAME} gpustack/gpustack", True),
        ("ExecStart=/usr/bin/docker run --name gpu%istack gpustack/gpustack", False),
        ("ExecStart=/usr/bin/docker run --name ${NAME} redis", False),
    ],
)
def test_a_unit_around_docker(tmp_path: Path, line: str, keeps: bool) -> None:
    found = of_unit(tmp_path, line)
    file = str(tmp_path / "etc/systemd/system/ai.service")
    assert found == ([keeper("systemd", "ai.service", file)] if keeps else [])


@pytest.mark.parametrize(("specifier", "name"), [("%N", "gpustack"), ("%p", "gpustack"), ("%n", "gpustack.service")])
def test_a_unit_that_names_the_container_after_itself(tmp_path: Path, specifier: str, name: str) -> None:
    found = of_unit(tmp_path, f"ExecStart=/usr/bin/docker run --name {specifier} x", "gpustack.service", name=name)
    assert kinds(found) == ["systemd"]


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("ExecStart=/usr/bin/docker compose -f /srv/ai/compose.yaml up", True),
        ("ExecStart=/usr/bin/docker-compose up -d\nWorkingDirectory=/srv/ai", True),
        ("ExecStart=/usr/bin/docker compose -p ai up -d", True),
        ("ExecStart=/usr/bin/docker compose up -d\nWorkingDirectory=/srv/other", False),
        ("ExecStart=/usr/bin/docker compose -p ai pull", False),
    ],
)
def test_a_unit_that_brings_up_the_compose_project(tmp_path: Path, text: str, keeps: bool) -> None:
    assert kinds(of_unit(tmp_path, text, labels=COMPOSE)) == (["compose", "systemd"] if keeps else ["compose"])


def test_a_drop_in_belongs_to_its_unit(tmp_path: Path) -> None:
    drop_in = tmp_path / "etc/systemd/system/ai.service.d/10-docker.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nExecStart=/usr/bin/docker start -a gpustack\n")
    assert _supervisors.unit_commands(str(tmp_path)) == [
        UnitCommand("ai.service", str(drop_in), ("/usr/bin/docker", "start", "-a", "gpustack"))
    ]


@pytest.mark.parametrize(
    ("watchtower", "labels", "watched"),
    [
        ({}, {}, True),
        ({}, {LABEL + ".enable": "false"}, False),
        ({"command": ["--label-enable"]}, {}, False),
        ({"command": ["--label-enable"]}, {LABEL + ".enable": "true"}, True),
        ({"env": ["WATCHTOWER_LABEL_ENABLE=true"]}, {}, False),
        ({"env": ["WATCHTOWER_LABEL_ENABLE=false"]}, {}, True),
        ({"command": ["-i", "300", "gpustack"]}, {}, True),
        ({"command": ["--interval", "300", "other"]}, {}, False),
        ({"command": ["--monitor-only"]}, {}, False),
        ({"env": ["WATCHTOWER_MONITOR_ONLY=true"]}, {}, False),
        ({}, {LABEL + ".monitor-only": "true"}, False),
        ({"command": ["--scope", "ai"]}, {}, False),
        ({"command": ["--scope=ai"]}, {LABEL + ".scope": "ai"}, True),
        ({"command": ["--disable-containers", "gpustack,other"]}, {}, False),
        ({"running": False}, {}, False),
    ],
)
def test_watchtower_by_its_rules(watchtower: dict[str, Any], labels: dict[str, str], watched: bool) -> None:
    tower = container(name="tower", image=WATCHTOWER, entry_point=["/watchtower"], **watchtower)
    found = supervisors(container(labels=labels), [tower], [])
    assert kinds(found) == (["watchtower"] if watched else [])


@pytest.mark.parametrize(
    ("options", "revives"),
    [
        ([], False),
        (["--include-stopped"], True),
        (["-S", "--revive-stopped"], True),
        (["--revive-stopped"], False),
        # Limited to names, it does not know the retired container's.
        (["--include-stopped", "--revive-stopped", "gpustack"], False),
    ],
)
def test_a_watchtower_that_looks_at_stopped_containers_is_a_problem(options: list[str], revives: bool) -> None:
    tower = container(name="tower", image=WATCHTOWER, entry_point=["/watchtower"], command=options)
    (found,) = supervisors(container(), [tower], [])
    assert (found["problem"] is not None) is revives


def test_everybody_who_keeps_a_container_is_named() -> None:
    tower = container(name="tower", image=WATCHTOWER, entry_point=["/watchtower"])
    assert kinds(supervisors(container(labels=COMPOSE), [tower], [])) == ["compose", "watchtower"]
