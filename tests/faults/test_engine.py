# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines, images and containers that do something else than they are asked for."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Keep
from tests.faults.subject import Subject

POSTGRES = "5432"


def shell(server: Subject, command: str) -> None:
    server.reach.exec_root("sh", "-c", command)


def test_engine_restarted_during_the_migration(server: Subject, keep: Keep) -> None:
    answer = server.call_meanwhile("upgraded", "migrate:before", lambda: shell(server, "systemctl restart docker"))
    assert "Everything is back" in answer.message
    keep("engine restarted during the migration", answer, server.assert_state("legacy"))


@pytest.mark.quick
def test_container_that_crashes_at_start(server: Subject, keep: Keep) -> None:
    shell(
        server,
        "docker create --name crashing gpustack/gpustack:v2.2.3 && "
        "docker commit --change 'ENTRYPOINT [\"/bin/false\"]' crashing gpustack/gpustack:crashing && "
        "docker rm crashing",
    )
    answer = server.call("upgraded", image="gpustack/gpustack:crashing", image_id=None)
    assert "Everything is back" in answer.message
    assert "exit code 1" in answer.message
    keep("container crashes at start", answer, server.assert_state("legacy"))


def test_readyz_that_never_comes(server: Subject, keep: Keep) -> None:
    rule = "INPUT -i lo -p tcp --dport 80 -j DROP"
    shell(server, f"iptables -I {rule}")
    try:
        answer = server.call("upgraded", ready_timeout=5)
    finally:
        shell(server, f"iptables -D {rule}")
    assert "Everything is back" in answer.message
    assert "Not ready within 5 seconds" in answer.message
    keep("`/readyz` never answers", answer, server.assert_state("legacy"))


@pytest.mark.quick
def test_image_deleted_between_prepare_and_create(server: Subject, keep: Keep) -> None:
    image = "gpustack/gpustack:v2.2.3"
    delete = f"docker tag {image} kept:1 && docker rmi {image}"
    try:
        answer = server.call_meanwhile("upgraded", "create:before", lambda: shell(server, delete))
    finally:
        shell(server, f"docker tag kept:1 {image} && docker rmi kept:1")
    assert "Everything is back" in answer.message
    keep("image deleted between prepare and create", answer, server.assert_state("legacy"))


@pytest.mark.quick
def test_port_taken_between_assess_and_start(server: Subject, keep: Keep) -> None:
    squat = f"systemd-run --unit=squatter --collect python3 -m http.server {POSTGRES}"
    try:
        answer = server.call_meanwhile("upgraded", "start:before", lambda: shell(server, squat))
    finally:
        shell(server, "systemctl stop squatter")
    assert "Everything is back" in answer.message
    keep("port 5432 taken between assess and start", answer, server.assert_state("legacy"))


def test_postgresql_that_refuses(server: Subject, keep: Keep) -> None:
    rule = f"INPUT -i lo -p tcp --dport {POSTGRES} -j REJECT --reject-with tcp-reset"
    try:
        answer = server.call_meanwhile("upgraded", "schema_head:before", lambda: shell(server, f"iptables -I {rule}"))
    finally:
        shell(server, f"iptables -D {rule}")
    assert "Everything is back" in answer.message
    keep("PostgreSQL refuses connections", answer, server.assert_state("legacy"))
