# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that v2 needs and cannot have, and those that it opens to the network."""

from __future__ import annotations

from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _plan_ports
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence


def problems(fleet: dict[str, dict[str, Any]], kind: str, code: str, **choices: Any) -> list[dict[str, str]]:
    """What a plan says under one code, when the server has these variables."""
    settings = plan_evidence.settings(choices={"s": choices, "w1": {"gpu_vendor": "cpu"}, "w2": {"gpu_vendor": "cpu"}})
    return [problem for problem in make_plan(fleet, settings)[kind] if problem["code"] == code]


def bridged() -> dict[str, dict[str, Any]]:
    """A fleet whose server publishes one port of a network of its own."""
    fleet = plan_evidence.fleet()
    fleet["s"]["installations"][0].update(
        network_mode="bridge", published_ports=[{"container": "80/tcp", "host_ip": "", "host_port": 80}]
    )
    return fleet


def test_a_taken_port_is_refused_with_its_service() -> None:
    fleet = plan_evidence.fleet()
    fleet["s"]["ports"].append(5432)
    (problem,) = problems(fleet, "refusals", "port_taken")
    assert problem["host"] == "s"
    assert "port 5432, which v2 needs for PostgreSQL" in problem["cause"]


def test_a_port_that_is_moved_away_from_a_taken_one_is_no_problem() -> None:
    fleet = plan_evidence.fleet()
    fleet["s"]["ports"].append(5432)
    assert problems(fleet, "refusals", "port_taken", extra_args=["--database-port", "15432"]) == []
    assert problems(fleet, "refusals", "port_taken", extra_env={"GPUSTACK_DATABASE_PORT": "15432"}) == []


def test_a_port_that_is_moved_to_a_taken_one_is_refused() -> None:
    fleet = plan_evidence.fleet()
    fleet["s"]["ports"].append(15432)
    assert len(problems(fleet, "refusals", "port_taken", extra_args=["--database-port", "15432"])) == 1


def test_the_legacy_containers_own_ports_are_free_once_it_has_stopped() -> None:
    fleet = plan_evidence.fleet()
    assert {80, 10150} <= {*fleet["s"]["ports"], *fleet["w1"]["ports"]}
    assert problems(fleet, "refusals", "port_taken") == []


def test_ports_of_the_host_do_not_matter_to_a_network_of_its_own() -> None:
    fleet = bridged()
    fleet["s"]["ports"].append(5432)
    assert problems(fleet, "refusals", "port_taken") == []
    assert problems(fleet, "warnings", "new_listeners") == []


def test_what_a_server_opens_to_the_network_is_told_with_a_line_for_the_firewall() -> None:
    (warning,) = problems(plan_evidence.fleet(), "warnings", "new_listeners")
    assert warning["host"] == "s"
    assert "5432 (PostgreSQL)" in warning["cause"]
    assert " 80 (" not in warning["cause"]
    assert 'nft add rule inet filter input iifname != "lo" tcp dport { 5432 } drop' in warning["way_out"]


def test_a_stopped_legacy_server_had_opened_its_port_before() -> None:
    fleet = plan_evidence.fleet()
    fleet["s"]["installations"][0]["running"] = False
    (warning,) = problems(fleet, "warnings", "new_listeners")
    assert " 80 (" not in warning["cause"]


def test_a_stopped_legacy_server_does_not_hold_its_port() -> None:
    fleet = plan_evidence.fleet()
    fleet["s"]["installations"][0]["running"] = False
    (problem,) = problems(fleet, "refusals", "port_taken")
    assert "port 80," in problem["cause"]


def test_the_line_for_the_firewall_follows_a_moved_database() -> None:
    (warning,) = problems(plan_evidence.fleet(), "warnings", "new_listeners", extra_args=["--database-port=15432"])
    assert "tcp dport { 15432 } drop" in warning["way_out"]


def test_an_external_database_leaves_other_ports_to_close() -> None:
    (warning,) = problems(
        plan_evidence.fleet(), "warnings", "new_listeners", extra_env={"GPUSTACK_DATABASE_URL": "postgresql://x"}
    )
    assert "PostgreSQL)" not in warning["cause"]
    assert "10161" in warning["way_out"]


def test_the_many_ports_of_a_server_are_told_by_service_with_the_database_first() -> None:
    (warning,) = problems(plan_evidence.fleet(), "warnings", "new_listeners")
    assert warning["cause"] == (
        "v2 opens ports on this host that the legacy container did not: 5432 (PostgreSQL); 10161 (server metrics);"
        " 13000 (Grafana); 19090 (Prometheus); 30079 (proxy); 30080 (API);"
        " 8888, 9876, 15000, 15010, 15012, 15020-15021, 15051, 15090, 18443 (gateway)"
    )


def test_ports_in_a_row_are_a_range() -> None:
    assert _plan_ports.ranges([3, 1, 2, 5]) == "1-3, 5"
