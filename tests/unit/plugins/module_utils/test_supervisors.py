# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else starts or replaces a container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _supervisors
from ansible_collections.fleetops.gpustack.plugins.module_utils._supervisors import UnitCommand, supervisor
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.engine_records import container

WATCHTOWER = "containrrr/watchtower:1.7.1"
LABEL = "com.centurylinklabs.watchtower"


def kind(found: dict[str, Any] | None) -> str | None:
    """The kind of a supervisor."""
    return found["kind"] if found else None


def test_a_container_by_itself_has_none() -> None:
    assert supervisor(container(), [container()], []) is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            {
                "com.docker.compose.project": "ai",
                "com.docker.compose.service": "gpustack",
                "com.docker.compose.project.config_files": "/srv/compose.yaml",
            },
            {"kind": "compose", "name": "ai/gpustack", "file": "/srv/compose.yaml"},
        ),
        ({"com.docker.swarm.service.name": "ai_gpustack"}, {"kind": "swarm", "name": "ai_gpustack", "file": None}),
        ({"io.kubernetes.pod.name": "gpustack-0"}, {"kind": "kubernetes", "name": "gpustack-0", "file": None}),
    ],
)
def test_orchestrators_are_known_by_their_labels(labels: dict[str, str], expected: dict[str, Any]) -> None:
    assert supervisor(container(labels=labels), [], []) == expected


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
    ],
)
def test_a_unit_around_docker(tmp_path: Path, line: str, keeps: bool) -> None:
    unit = tmp_path / "etc/systemd/system/ai.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"[Service]\n{line}\n")
    found = supervisor(container(), [], _supervisors.unit_commands(str(tmp_path)))
    assert found == ({"kind": "systemd", "name": "ai.service", "file": str(unit)} if keeps else None)


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
    found = supervisor(container(labels=labels), [tower], [])
    assert kind(found) == ("watchtower" if watched else None)
