# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upgrades by hand that went wrong, told from evidence alone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _wrecks
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

DONE = ["postgresql", "run", "run/state_migration_done"]
TRIGGER = {"GPUSTACK_DATA_MIGRATION": "true"}


def legacy_server(*v2_files: str, **changes: Any) -> dict[str, Any]:
    """A stopped and renamed legacy server on a directory in which v2 left something."""
    found = plan_evidence.server()["installations"][0]
    found.update(name="gpustack-old", running=False, status="exited", **changes)
    found["token"] = {"source": "file", "digest": "d", "reserved_prefix": False}
    found["data"].update(v2_files=list(v2_files), v2_since=2000.0 if "postgresql" in v2_files else None)
    return found


def by_hand(role: str = "server", **changes: Any) -> dict[str, Any]:
    """A v2 container that somebody started on the same directory."""
    found = plan_evidence.installation(role)
    found.update(id="beef", name="gpustack", image=plan_evidence.IMAGE, generation="v2", release="2.2.3")
    found["server"] = {"port": 80, "api_port": None, "tls": False, "database": {"kind": "embedded"}}
    found.update(changes)
    return found


def kept_by(kind: str, name: str, file: str | None = None, problem: Any = None) -> dict[str, Any]:
    """Somebody who keeps a container, as a change of it."""
    return {"supervisors": [{"kind": kind, "name": name, "file": file, "problem": problem}]}


def recognised(*installations: dict[str, Any]) -> _wrecks.Wreck:
    wreck = _wrecks.recognise(installations)
    assert wreck is not None
    return wreck


def test_nothing_is_wrong_with_a_legacy_server_alone() -> None:
    assert _wrecks.recognise([legacy_server()]) is None


def test_what_a_v2_worker_leaves_in_a_servers_directory_does_no_harm() -> None:
    assert _wrecks.recognise([legacy_server("worker_token", "external_id")]) is None


@pytest.mark.parametrize("status", ["restarting", "exited"])
def test_a_migration_that_did_not_end(status: str) -> None:
    wreck = recognised(legacy_server("postgresql"), by_hand(environment=TRIGGER, status=status))
    assert wreck.code == "wreck_half_migrated"
    assert "system_loads_pkey" in wreck.cause
    assert f"gpustack (2.2.3, {status})" in wreck.cause
    assert wreck.legacy_name == "gpustack-old"
    assert wreck.files == ("postgresql",)


def test_a_migration_that_did_not_end_and_whose_container_is_gone() -> None:
    wreck = recognised(legacy_server("postgresql", "gpustack_migration_temp_database.db"))
    assert wreck.code == "wreck_half_migrated"
    assert "gone" in wreck.cause
    assert "gpustack_migration_temp_database.db" in wreck.mending()


def test_the_old_variable_on_a_new_release_makes_a_healthy_and_empty_server() -> None:
    wreck = recognised(
        legacy_server("postgresql"),
        by_hand(release="2.0.3", environment={"GPUSTACK_MIGRATION_DATA_DIR": "/var/lib/gpustack"}),
    )
    assert wreck.code == "wreck_empty_server"
    assert "given up" in wreck.mending()


def test_the_old_variable_is_the_right_one_for_the_first_release() -> None:
    v2 = by_hand(release="2.0.0", environment={"GPUSTACK_MIGRATION_DATA_DIR": "/var/lib/gpustack"})
    assert recognised(legacy_server("postgresql"), v2).code == "wreck_half_migrated"


@pytest.mark.parametrize("value", ["True", "1", "yes"])
def test_the_variable_counts_only_as_the_script_compares_it(value: str) -> None:
    v2 = by_hand(environment={"GPUSTACK_DATA_MIGRATION": value})
    assert recognised(legacy_server("postgresql"), v2).code == "wreck_empty_server"


def test_a_fresh_v2_that_is_gone_is_known_by_its_administrator() -> None:
    legacy = legacy_server("postgresql")
    legacy["data"]["files"] = {"initial_admin_password": {"modified": 2005.0}}
    wreck = recognised(legacy)
    assert wreck.code == "wreck_empty_server"
    assert wreck.overwritten == ("initial_admin_password",)
    legacy["data"]["files"]["initial_admin_password"]["modified"] = 1000.0
    assert recognised(legacy).overwritten == ()


@pytest.mark.parametrize(("role", "moved"), [("server", ("worker_name", "worker_uuid")), ("both", ())])
def test_a_workers_identity_on_a_server_without_one_is_v2s(role: str, moved: tuple) -> None:
    legacy = legacy_server("postgresql", role=role)
    legacy["data"]["files"] = {name: {"modified": 2005.0} for name in ("worker_name", "worker_uuid")}
    assert recognised(legacy, by_hand()).overwritten == moved


def test_a_container_that_never_came_to_its_database() -> None:
    assert recognised(legacy_server(), by_hand(status="restarting")).code == "wreck_not_started"


def test_a_directory_that_cannot_be_read_is_judged_by_nobody() -> None:
    assert _wrecks.recognise([{**legacy_server("postgresql"), "data": None}, by_hand()]) is None


def test_the_directorys_own_entries_are_named_alone() -> None:
    assert recognised(legacy_server(*DONE)).files == ("postgresql", "run")


def test_without_a_postgresql_nothing_tells_what_v2_wrote() -> None:
    legacy = legacy_server("gpustack_migration_temp_database.db")
    legacy["data"]["files"] = {"initial_admin_password": {"modified": 2005.0}}
    assert recognised(legacy).overwritten == ()


@pytest.mark.parametrize("name", ["run/state_migration_done", "bootstrap_version"])
def test_a_mark_that_v2_obeys_does_harm_alone(name: str) -> None:
    assert recognised(legacy_server(name)).files == tuple(each for each in [name] if "/" not in each)


def test_a_fresh_v2_that_is_gone_is_known_by_its_own_version() -> None:
    assert recognised(legacy_server("postgresql", "bootstrap_version")).code == "wreck_empty_server"


def test_copies_that_a_migration_left() -> None:
    wreck = recognised(legacy_server("gpustack_migration_temp_database.db-wal"))
    assert wreck.code == "wreck_leftovers"
    assert "given up" not in wreck.mending()


def test_a_finished_migration_is_not_given_up_while_it_serves() -> None:
    wreck = recognised(legacy_server(*DONE), by_hand(environment=TRIGGER))
    assert wreck.code == "wreck_migrated"
    assert wreck.obstacle is not None
    assert "docker stop gpustack" in wreck.obstacle


def test_a_finished_migration_that_was_stopped_can_be_set_aside() -> None:
    wreck = recognised(legacy_server(*DONE), by_hand(environment=TRIGGER, running=False, status="exited"))
    assert wreck.code == "wreck_migrated"
    assert wreck.obstacle is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (kept_by("compose", "ai/gpustack", "/c.yml"), "docker compose rm --stop gpustack, without --volumes"),
        (kept_by("compose", "ai/gpustack", "/c.yml"), "/c.yml"),
        (kept_by("systemd", "ai.service"), "systemctl disable --now ai.service"),
        (kept_by("swarm", "ai"), "docker service rm ai"),
        (kept_by("kubernetes", "ai-0"), "pod ai-0"),
        (kept_by("watchtower", "tower", problem={"cause": "c", "way_out": "run it otherwise"}), "run it otherwise"),
        ({"auto_remove": True}, "--rm"),
    ],
)
def test_what_would_come_back_or_vanish_is_the_operators_to_stop(changes: dict[str, Any], word: str) -> None:
    wreck = recognised(legacy_server("postgresql"), by_hand(environment=TRIGGER, **changes))
    assert wreck.obstacle is not None
    assert word in wreck.obstacle
    assert wreck.obstacle.endswith("then run again")


@pytest.mark.parametrize("changes", [kept_by("watchtower", "tower"), {"auto_remove": True, "running": False}])
def test_what_stays_stopped_is_no_obstacle(changes: dict[str, Any]) -> None:
    assert recognised(legacy_server("postgresql"), by_hand(environment=TRIGGER, **changes)).obstacle is None


def test_a_v2_worker_on_a_servers_directory_may_be_in_service() -> None:
    wreck = recognised(legacy_server(), by_hand("worker", server=None))
    assert "leave this host out of the run" in str(wreck.obstacle)


def test_a_v2_server_with_an_external_database_may_be_in_service() -> None:
    """The plan takes it for no wreck at all; what reaches the target is judged there."""
    external = by_hand()
    external["server"]["database"]["kind"] = "external"
    wreck = _wrecks.judge(legacy_server(), [external])
    assert wreck is not None
    assert "leave this host out of the run" in str(wreck.obstacle)


def test_a_token_that_a_fresh_v2_overwrote() -> None:
    legacy = legacy_server("postgresql")
    legacy["token"]["reserved_prefix"] = True
    wreck = recognised(legacy, by_hand())
    assert wreck.token_lost
    assert "gpustack_token" in wreck.mending()
    legacy["data"]["v2_files"] = []
    assert recognised(legacy).code == "wreck_token"


def test_a_token_among_the_arguments_is_not_lost() -> None:
    legacy = legacy_server("postgresql")
    legacy["token"] = {"source": "argument", "digest": "d", "reserved_prefix": True}
    assert not recognised(legacy, by_hand()).token_lost


def test_a_v2_worker_on_a_legacy_workers_directory() -> None:
    legacy = plan_evidence.worker(1)["installations"][0]
    legacy.update(name="gpustack-old", running=False)
    legacy["data"]["v2_files"] = ["worker_token"]
    wreck = recognised(legacy, by_hand("worker", server=None))
    assert wreck.code == "wreck_worker"
    assert wreck.files == ("worker_token",)
    assert _wrecks.recognise([legacy]) is None
    kept = _wrecks.recognise([legacy, by_hand("worker", server=None, **kept_by("systemd", "ai.service"))])
    assert kept is not None
    assert "ai.service" in str(kept.obstacle)


def test_what_nobody_can_tell_is_no_wreck() -> None:
    elsewhere = by_hand()
    elsewhere["data_dir"] = dict(elsewhere["data_dir"], host_path="/data/other")
    assert _wrecks.recognise([legacy_server("postgresql"), elsewhere]) is None
    external = by_hand()
    external["server"]["database"]["kind"] = "external"
    assert _wrecks.recognise([legacy_server(), external]) is None
    assert _wrecks.recognise([legacy_server("postgresql"), legacy_server("postgresql")]) is None
    assert _wrecks.recognise([legacy_server("postgresql"), by_hand(attempt="20261124T031500Z")]) is None


def orphan(**changes: Any) -> dict[str, Any]:
    """A v2 server on legacy data whose legacy container is gone."""
    found = by_hand(**changes)
    found["data"].update(v2_files=["postgresql"], v2_since=2000.0)
    found["database"] = plan_evidence.server()["installations"][0]["database"]
    return found


def test_a_legacy_container_that_is_gone_is_described() -> None:
    wreck = recognised(orphan())
    assert wreck.code == "wreck_no_legacy"
    assert wreck.obstacle is not None
    assert "docker create" in wreck.obstacle
    assert "-v /data/gpustack:/var/lib/gpustack gpustack/gpustack:v0.7.1" in wreck.obstacle
    assert wreck.obstacle.endswith("Then run again with gpustack_mend_wrecks: true")


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "worker", "server": None},
        {"database": None},
        {"data": None},
        {"data": {"v2_files": DONE, "v2_since": 2000.0, "files": {}}},
        {"data": {"v2_files": [], "v2_since": None, "files": {}}},
        {
            "data_dir": {
                "type": "layer",
                "host_path": "/var/lib/docker/overlay2/x",
                "container_path": "/",
                "volume": None,
            }
        },
    ],
)
def test_a_v2_that_may_be_in_service_is_no_wreck_without_a_legacy_container(changes: dict[str, Any]) -> None:
    assert _wrecks.recognise([{**orphan(), **changes}]) is None


def test_two_v2_containers_without_a_legacy_one_are_nobodys_to_judge() -> None:
    assert _wrecks.recognise([orphan(), orphan()]) is None
    external = orphan()
    external["server"]["database"]["kind"] = "external"
    assert _wrecks.recognise([external]) is None


def test_a_container_that_is_gone_is_no_wreck_that_consent_could_mend() -> None:
    fleet = plan_evidence.fleet()
    fleet["s"]["installations"] = [orphan()]
    plan = make_plan(fleet, plan_evidence.settings(mend_wrecks=True))
    assert ("s", "wreck_no_legacy") in codes(plan)
    assert ("s", "wreck_no_legacy") not in {(each["host"], each["code"]) for each in plan["warnings"]}


# In the plan


def wrecked_fleet(**server: Any) -> dict[str, dict[str, Any]]:
    """A fleet whose server somebody tried to upgrade; it holds the ports that v2 wants."""
    fleet = plan_evidence.fleet()
    fleet["s"]["installations"] = [legacy_server("postgresql"), by_hand(environment=TRIGGER, **server)]
    fleet["s"]["ports"] = [22, 80, 5432, 30080, 10161]
    return fleet


def codes(plan: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((refusal["host"], refusal["code"]) for refusal in plan["refusals"])


def test_a_wreck_is_refused_with_what_mending_it_would_do() -> None:
    plan = make_plan(wrecked_fleet(), plan_evidence.settings())
    assert codes(plan) == [("s", "wreck_half_migrated")]
    way_out = plan["refusals"][0]["way_out"]
    assert "gpustack_mend_wrecks: true" in way_out
    assert "stops gpustack (2.2.3, running)" in way_out
    assert "postgresql" in way_out
    assert "given up" in way_out


def test_with_consent_the_legacy_container_is_switched() -> None:
    plan = make_plan(wrecked_fleet(), plan_evidence.settings(mend_wrecks=True))
    assert codes(plan) == []
    assert plan["hosts"]["s"]["action"] == "switch"
    assert plan["hosts"]["s"]["installation"] == "c0ffee"
    assert plan["hosts"]["s"]["container_name"] == "gpustack"
    assert ("s", "wreck_half_migrated") in {(each["host"], each["code"]) for each in plan["warnings"]}


def test_without_consent_nothing_is_announced() -> None:
    plan = make_plan(wrecked_fleet(), plan_evidence.settings())
    assert "wreck_half_migrated" not in {each["code"] for each in plan["warnings"]}


def test_consent_does_not_reach_what_must_be_stopped_by_hand() -> None:
    plan = make_plan(wrecked_fleet(auto_remove=True), plan_evidence.settings(mend_wrecks=True))
    assert codes(plan) == [("s", "wreck_half_migrated")]


def test_another_process_on_a_port_of_v2_is_still_found() -> None:
    fleet = wrecked_fleet(running=False, status="exited")
    assert ("s", "port_taken") in codes(make_plan(fleet, plan_evidence.settings(mend_wrecks=True)))


def without_token(*digests: str) -> dict[str, dict[str, Any]]:
    """The fleet with v2's token in the file, and these in the workers' own definitions."""
    fleet = wrecked_fleet()
    fleet["s"]["installations"][0]["token"] = {"source": "file", "digest": "v2's", "reserved_prefix": True}
    for host, digest in zip(("w1", "w2"), digests):
        fleet[host]["installations"][0]["token"]["digest"] = digest
    return fleet


def choices(**server: Any) -> dict[str, Any]:
    return {**plan_evidence.settings().choices, "s": server}


def test_a_lost_token_is_found_in_the_workers_own_definitions() -> None:
    plan = make_plan(without_token("old", "old"), plan_evidence.settings(mend_wrecks=True))
    assert codes(plan) == [("s", "wreck_token_unknown")]
    refusal = plan["refusals"][0]
    assert "w1, w2 still present the old one, all the same" in refusal["cause"]
    assert "set gpustack_token for this host, in a vault" in refusal["way_out"]
    assert "on w1" in refusal["way_out"]


def test_only_a_workers_own_legacy_token_is_evidence() -> None:
    """A worker's that begins like v2's is none, and the server's is the lost one."""
    fleet = without_token("old", "v2's")
    fleet["w2"]["installations"][0]["token"]["reserved_prefix"] = True
    plan = make_plan(fleet, plan_evidence.settings(mend_wrecks=True))
    lost = [each for each in plan["refusals"] if each["code"] == "wreck_token_unknown"]
    assert "w1 still present" in lost[0]["cause"]


def test_a_token_that_no_worker_can_confirm_is_taken() -> None:
    fleet = without_token()
    for host in ("w1", "w2"):
        fleet[host]["installations"][0]["token"] = {"source": "file", "digest": None, "reserved_prefix": False}
    given = plan_evidence.settings(mend_wrecks=True, choices=choices(token=True, token_digest="new"))
    assert codes(make_plan(fleet, given)) == []


def test_workers_that_differ_are_told() -> None:
    plan = make_plan(without_token("old", "other"), plan_evidence.settings(mend_wrecks=True))
    assert "2 different ones" in plan["refusals"][0]["cause"]


def test_the_token_that_is_given_must_be_the_workers() -> None:
    wrong = plan_evidence.settings(mend_wrecks=True, choices=choices(token=True, token_digest="wrong"))
    assert codes(make_plan(without_token("old", "old"), wrong)) == [("s", "wreck_token_wrong")]
    right = plan_evidence.settings(mend_wrecks=True, choices=choices(token=True, token_digest="old"))
    assert codes(make_plan(without_token("old", "old"), right)) == []


def test_a_mending_that_was_interrupted_keeps_the_name_that_was_chosen() -> None:
    fleet = wrecked_fleet()
    fleet["s"]["journal"].update(outcome="unfinished", legacy_name="gpustack-old", container_name="gpustack")
    plan = make_plan(fleet, plan_evidence.settings())
    assert codes(plan) == []
    assert (plan["hosts"]["s"]["action"], plan["hosts"]["s"]["container_name"]) == ("resume", "gpustack")


def test_a_token_that_an_interrupted_attempt_left_is_no_reason_against_going_on() -> None:
    fleet = without_token("old", "old")
    fleet["s"]["journal"].update(outcome="unfinished", legacy_name="gpustack-old", container_name="gpustack")
    assert codes(make_plan(fleet, plan_evidence.settings())) == []


def test_an_attempt_of_another_version_is_refused_by_the_plan() -> None:
    fleet = plan_evidence.fleet()
    fleet["w1"]["journal"].update(problem={"cause": "attempt x was begun elsewhere", "way_out": "go there"})
    assert ("w1", "journal") in codes(make_plan(fleet, plan_evidence.settings()))
