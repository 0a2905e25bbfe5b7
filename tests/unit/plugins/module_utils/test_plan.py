# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan decides, and each refusal that needs evidence alone: one broken thing, one refusal, one way out."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _config_file
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan import make_plan
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import plan_evidence

Fleet = Dict[str, Dict[str, Any]]


def legacy(fleet: Fleet, host: str) -> dict[str, Any]:
    return fleet[host]["installations"][0]


def codes(fleet: Fleet, **settings: Any) -> set:
    plan = make_plan(fleet, plan_evidence.settings(**settings))
    return {(refusal["host"], refusal["code"]) for refusal in plan["refusals"]}


def test_a_healthy_fleet_is_switched_whole() -> None:
    plan = make_plan(plan_evidence.fleet(), plan_evidence.settings())
    assert plan["refusals"] == []
    assert plan["server"] == "s"
    assert {host: decision["action"] for host, decision in plan["hosts"].items()} == {
        "s": "switch",
        "w1": "switch",
        "w2": "switch",
    }
    assert plan["hosts"]["w2"]["worker"]["id"] == 2
    assert [worker["name"] for worker in plan["workers"]] == ["worker-1", "worker-2"]


def upgrade(node: dict[str, Any], outcome: str) -> None:
    node["installations"][0].update(generation="v2", release="2.2.3", attempt="20261124T000000Z")
    node["journal"].update(outcome=outcome, attempt="20261124T000000Z", legacy_name="gpustack")


def test_an_upgraded_fleet_needs_nothing() -> None:
    fleet = plan_evidence.fleet()
    upgrade(fleet["s"], "finalized")
    upgrade(fleet["w1"], "upgraded")
    upgrade(fleet["w2"], "upgraded")
    plan = make_plan(fleet, plan_evidence.settings())
    assert plan["refusals"] == []
    assert {decision["action"] for decision in plan["hosts"].values()} == {"none"}


def test_a_server_with_roll_out_variables_is_finalized_and_said_to_be_without_failover() -> None:
    fleet = plan_evidence.fleet()
    upgrade(fleet["s"], "upgraded")
    plan = make_plan(fleet, plan_evidence.settings())
    assert plan["hosts"]["s"]["action"] == "finalize"
    assert [warning["code"] for warning in plan["warnings"]] == ["failover_off"]


def test_an_upgraded_server_without_a_record_of_its_workers_warns() -> None:
    fleet = plan_evidence.fleet()
    upgrade(fleet["s"], "finalized")
    legacy(fleet, "s")["database"] = None
    plan = make_plan(fleet, plan_evidence.settings())
    assert [warning["code"] for warning in plan["warnings"]] == ["no_worker_record"]


def test_an_interrupted_host_is_continued_under_its_legacy_name() -> None:
    fleet = plan_evidence.fleet()
    fleet["s"]["journal"].update(outcome="unfinished", legacy_name="gpustack", attempt="20261124T000000Z")
    legacy(fleet, "s").update(name="gpustack-legacy-20261124T000000Z", retired=True, running=False)
    decision = make_plan(fleet, plan_evidence.settings())["hosts"]["s"]
    assert (decision["action"], decision["container_name"]) == ("resume", "gpustack")


def second_container(fleet: Fleet) -> None:
    fleet["w1"]["installations"].append(dict(legacy(fleet, "w1"), id="2", name="gpustack-old"))


def nfs(fleet: Fleet, host: str) -> None:
    legacy(fleet, host)["data"]["filesystem"].update(
        mount_point="/data", type="nfs4", network=True, export="nas:/gpustack"
    )


def same_export(fleet: Fleet) -> None:
    nfs(fleet, "w1")
    nfs(fleet, "w2")


def probe(kind: str, worker: Any = None) -> dict[str, Any]:
    return {"host": "192.0.2.1", "port": 80, "kind": kind, "worker": worker, "ok": False, "error": "connection refused"}


def finding(code: str) -> dict[str, Any]:
    return {"code": code, "table": "models", "count": 2, "rows": ["a", "b"]}


def unit(makes: bool = True, removes: bool = True) -> dict[str, Any]:
    return {"name": "ai.service", "enabled": True, "active": True, "makes": makes, "removes": removes}


def keep(fleet: Fleet, host: str, kind: str, **more: Any) -> None:
    keeper = {"kind": kind, "name": "ai", "file": "/srv/ai", "problem": None, **more}
    legacy(fleet, host)["supervisors"].append(keeper)


def in_layer(fleet: Fleet, host: str, auto_remove: bool = False, cache: Any = ()) -> None:
    legacy(fleet, host)["data_dir"].update(type="layer")
    legacy(fleet, host)["data"]["cache"] = list(cache)
    legacy(fleet, host)["auto_remove"] = auto_remove


def without_container(fleet: Fleet, kind: str = "systemd", problem: Any = None) -> None:
    """w1 as upstream's script installs it, or as a process of its own."""
    name = "gpustack.service" if kind == "systemd" else "process 4711"
    legacy(fleet, "w1").update(kind=kind, id=f"systemd:{name}", name=name, image=None, image_id="", supervisors=[])
    keep(fleet, "w1", "systemd", name=name, problem=problem, unit=unit(makes=False, removes=False))


def no_engine_yet(fleet: Fleet) -> None:
    without_container(fleet)
    fleet["w1"]["engine"].update(
        reachable=False, error="/var/run/docker.sock does not exist", runtimes=[], root_dir=None
    )


def anonymous_of_unit(fleet: Fleet) -> None:
    keep(fleet, "w1", "systemd", unit=unit())
    legacy(fleet, "w1")["data_dir"].update(type="anonymous", volume="f" * 64)


# Each: what is broken, on which host it must be refused, under which code.
#: What is told of an external PostgreSQL that nothing speaks against.
EXTERNAL = {
    "server_version": "15.18",
    "version_number": 150018,
    "schema": "public",
    "provider": "c",
    "may_create": True,
    "owns": True,
}
REFUSALS: dict[str, Any] = {
    "no legacy installation": (lambda f: f["w1"].update(installations=[]), "w1", "no_legacy_installation"),
    "two candidates": (second_container, "w1", "several_candidates"),
    "unsupported release": (lambda f: legacy(f, "w1").update(release="0.8.0"), "w1", "legacy_release"),
    "v2 of somebody else": (lambda f: legacy(f, "s").update(generation="v2", release="2.2.3"), "s", "foreign_v2"),
    "another run": (lambda f: f["w1"]["lock"].update(held=True, pid=1, since="s", run="r"), "w1", "locked"),
    "not root": (lambda f: f["w1"]["host"].update(uid=1000), "w1", "not_root"),
    "engine down": (lambda f: f["w1"]["engine"].update(reachable=False, error="no socket"), "w1", "no_engine"),
    "engine of long ago": (lambda f: f["w1"]["engine"].update(version="1.11", api_version="1.23"), "w1", "engine_old"),
    "a process that nobody keeps": (
        lambda f: without_container(f, "process", {"cause": "it runs by itself", "way_out": "w"}),
        "w1",
        "supervised",
    ),
    "a unit that cannot be followed": (
        lambda f: without_container(f, "systemd", {"cause": "it runs as user x", "way_out": "w"}),
        "w1",
        "supervised",
    ),
    "a unit, and no engine": (no_engine_yet, "w1", "no_engine"),
    "rootless engine": (lambda f: f["w1"]["engine"].update(rootless=True), "w1", "engine_kind"),
    "remapped engine": (lambda f: f["w1"]["engine"].update(userns_remap=True), "w1", "engine_kind"),
    "podman": (lambda f: f["w1"]["engine"].update(podman=True), "w1", "engine_kind"),
    "swarm": (lambda f: keep(f, "s", "swarm"), "s", "supervised"),
    "kubernetes": (lambda f: keep(f, "w1", "kubernetes"), "w1", "supervised"),
    "unit that is not understood": (
        lambda f: keep(f, "w1", "systemd", problem={"cause": "it does more", "way_out": "w"}, unit=unit()),
        "w1",
        "supervised",
    ),
    "reviving Watchtower": (
        lambda f: keep(f, "w1", "watchtower", problem={"cause": "it revives", "way_out": "w"}),
        "w1",
        "supervised",
    ),
    "reserved token": (lambda f: legacy(f, "s")["token"].update(reserved_prefix=True), "s", "token_prefix"),
    "another token": (lambda f: legacy(f, "w2")["token"].update(digest="x"), "w2", "token_differs"),
    "no token": (lambda f: legacy(f, "w2")["token"].update(source="none", digest=None), "w2", "no_token"),
    "options": (lambda f: legacy(f, "w2").update(options_problem="--nonsense"), "w2", "options"),
    "worker on a bridge": (lambda f: legacy(f, "w2").update(network_mode="bridge"), "w2", "network"),
    "layer of a container that goes": (lambda f: in_layer(f, "w1", auto_remove=True), "w1", "data_in_layer"),
    "anonymous volume of a unit": (anonymous_of_unit, "w1", "anonymous_volume"),
    "caches in the layer": (lambda f: in_layer(f, "w1", cache=["huggingface"]), "w1", "loss"),
    "data directory unreadable": (lambda f: legacy(f, "w1").update(data=None), "w1", "data_dir_unreadable"),
    "data directory that cannot be written": (
        lambda f: legacy(f, "w1")["data"]["filesystem"].update(unwritable="/data: Read-only file system; mount it"),
        "w1",
        "unwritable",
    ),
    "backup directory that cannot be written": (
        lambda f: f["s"]["filesystems"]["backup"].update(unwritable="/var: not writable; chattr -i"),
        "s",
        "unwritable",
    ),
    "not traversable": (
        lambda f: legacy(f, "s")["data"].update(traversable_by_others=False, mode="0700"),
        "s",
        "permissions",
    ),
    "server on nfs": (lambda f: nfs(f, "s"), "s", "network_filesystem"),
    "one export for two": (same_export, "w2", "shared_export"),
    "external database": (
        lambda f: (
            legacy(f, "s")["server"]["database"].update(kind="external", url_masked="mysql://x")
            or legacy(f, "s")["database"].update(readable=False, error="x")
        ),
        "s",
        "external_database",
    ),
    "external database of an older release": (
        lambda f: (
            legacy(f, "s")["server"]["database"].update(kind="external", url_masked="postgresql://x", fingerprint="f")
            or legacy(f, "s")["database"].update(schema_head="c45e397531d1", release="0.6.2", external=EXTERNAL)
        ),
        "s",
        "external_head",
    ),
    "no database": (lambda f: legacy(f, "s").update(database=None), "s", "no_database"),
    "hot journal": (lambda f: legacy(f, "s")["database"].update(hot_journal=True), "s", "hot_journal"),
    "unreadable database": (
        lambda f: legacy(f, "s")["database"].update(readable=False, error="not a database"),
        "s",
        "database_unreadable",
    ),
    "corrupt database": (
        lambda f: legacy(f, "s")["database"].update(integrity="row 1 missing"),
        "s",
        "database_corrupt",
    ),
    "unknown schema": (
        lambda f: legacy(f, "s")["database"].update(release=None, schema_head="abc"),
        "s",
        "schema_head",
    ),
    "orphans": (
        lambda f: legacy(f, "s")["database"].update(findings=[finding("orphan_rows")]),
        "s",
        "database_orphan_rows",
    ),
    "name 'default'": (
        lambda f: legacy(f, "s")["database"].update(findings=[finding("username_default")]),
        "s",
        "database_username_default",
    ),
    "port taken": (lambda f: f["s"]["ports"].append(5432), "s", "port_taken"),
    "server not reachable": (
        lambda f: f["w1"]["reachability"].append(probe("worker_to_server")),
        "w1",
        "server_unreachable",
    ),
    "worker not reachable": (
        lambda f: f["s"]["reachability"].append(probe("server_to_worker", "worker-1")),
        "s",
        "worker_unreachable",
    ),
    "clock": (lambda f: f["w1"]["host"].update(clock_offset=45.0), "w1", "clock"),
    "architecture": (lambda f: f["w1"]["host"].update(architecture="riscv64"), "w1", "architecture"),
    "a loss": (lambda f: legacy(f, "s")["database"].update(findings=[finding("ollama_models")]), "s", "loss"),
    "worker in no host": (
        lambda f: legacy(f, "s")["database"]["workers"].append(plan_evidence.worker_row(3)),
        "fleet",
        "worker_not_in_run",
    ),
    "worker unknown to the server": (lambda f: legacy(f, "s")["database"]["workers"].pop(), "w2", "worker_unknown"),
}


TAKEN_OVER: dict[str, Any] = {
    "auto remove": (lambda f: legacy(f, "w1").update(auto_remove=True), "auto_remove"),
    "systemd unit": (lambda f: keep(f, "w1", "systemd", unit=unit()), "systemd_unit"),
    "compose": (lambda f: keep(f, "w1", "compose"), "compose"),
    "container layer": (lambda f: in_layer(f, "w1"), "data_in_layer"),
}


@pytest.mark.parametrize("name", TAKEN_OVER)
def test_what_is_taken_over_is_said_with_what_is_left_to_do(name: str) -> None:
    evidence = plan_evidence.fleet()
    change, code = TAKEN_OVER[name]
    change(evidence)
    plan = make_plan(evidence, plan_evidence.settings(run_id="20261124T031500Z"))
    assert plan["refusals"] == []
    assert [each["code"] for each in plan["warnings"] if each["host"] == "w1"] == [code]


def test_an_interrupted_takeover_goes_on_with_the_container_that_serves() -> None:
    evidence = plan_evidence.fleet()
    evidence["w1"]["journal"].update(outcome="unfinished", attempt="20261124T031500Z", legacy_name="gpustack")
    copy = {**legacy(evidence, "w1"), "id": "copy", "name": "gpustack-legacy-20261124T031500Z", "retired": True}
    evidence["w1"]["installations"].append(copy)
    decision = make_plan(evidence, plan_evidence.settings())["hosts"]["w1"]
    assert (decision["action"], decision["installation"]) == ("resume", legacy(evidence, "w1")["id"])


def test_an_anonymous_volume_is_an_ordinary_one() -> None:
    evidence = plan_evidence.fleet()
    legacy(evidence, "s")["data_dir"].update(type="anonymous", volume="f" * 64)
    assert make_plan(evidence, plan_evidence.settings())["refusals"] == []


def test_watchtower_is_kept_off_by_a_label_that_the_plan_shows() -> None:
    evidence = plan_evidence.fleet()
    keep(evidence, "w1", "watchtower")
    plan = make_plan(evidence, plan_evidence.settings())
    assert plan["refusals"] == []
    added = [each["item"] for each in plan["hosts"]["w1"]["leftovers"] if each["action"] == "added"]
    assert "label com.centurylinklabs.watchtower.enable" in added


def test_data_in_a_layer_is_planned_into_a_volume_of_the_attempt() -> None:
    evidence = plan_evidence.fleet()
    in_layer(evidence, "s")
    legacy(evidence, "s")["data_dir"]["read_path"] = "/o/a/merged/var/lib/gpustack"
    plan = make_plan(evidence, plan_evidence.settings(run_id="20261124T031500Z"))
    assert plan["hosts"]["s"]["data_dir"] == "/var/lib/docker/volumes/gpustack-data-20261124T031500Z/_data"
    assert plan["hosts"]["s"]["data_dir_now"] == "/o/a/merged/var/lib/gpustack"


# Each: a refusal of REFUSALS, and the variable of the host that is its way out.
WAYS_OUT: dict[str, dict[str, Any]] = {
    "no token": {"token": True},
    "another token": {"token": True},
    "server not reachable": {"server_url": True},
    "worker on a bridge": {"network": "host"},
}


@pytest.mark.parametrize("name", WAYS_OUT)
def test_the_way_out_is_one(name: str) -> None:
    break_it, host, code = REFUSALS[name]
    fleet = plan_evidence.fleet()
    break_it(fleet)
    choices = {each: {"gpu_vendor": "cpu"} for each in ("w1", "w2")}
    choices[host].update(WAYS_OUT[name])
    plan = make_plan(fleet, plan_evidence.settings(choices=choices))
    assert code not in {refusal["code"] for refusal in plan["refusals"]}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_before_any_change(name: str) -> None:
    break_it, host, code = REFUSALS[name]
    fleet = plan_evidence.fleet()
    break_it(fleet)
    plan = make_plan(fleet, plan_evidence.settings())
    assert (host, code) in {(refusal["host"], refusal["code"]) for refusal in plan["refusals"]}
    assert all(refusal["cause"] and refusal["way_out"] for refusal in plan["refusals"])


def test_a_worker_that_was_gone_before_is_told_and_not_waited_for() -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "s")["database"]["workers"].append(dict(plan_evidence.worker_row(3), state="unreachable"))
    plan = make_plan(fleet, plan_evidence.settings())
    assert plan["refusals"] == []
    assert [worker["name"] for worker in plan["workers"]] == ["worker-1", "worker-2"]
    (warning,) = [each for each in plan["warnings"] if each["code"] == "worker_left_out"]
    assert "worker-3 (192.0.2.13, unreachable)" in warning["cause"]
    ignored = make_plan(fleet, plan_evidence.settings(ignore_workers=("worker-3",)))
    assert "worker_left_out" not in {each["code"] for each in ignored["warnings"]}


def test_a_worker_that_was_not_ready_is_expected_where_its_host_is_upgraded() -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "s")["database"]["workers"][1]["state"] = "not_ready"
    plan = make_plan(fleet, plan_evidence.settings())
    assert [worker["name"] for worker in plan["workers"]] == ["worker-1", "worker-2"]
    assert plan["hosts"]["w2"]["worker"]["name"] == "worker-2"


def test_release_2_0_0_takes_neither_its_own_data_dir_nor_ollama_rows() -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "s")["data_dir"]["container_path"] = "/data/gpustack"
    legacy(fleet, "s")["database"]["findings"] = [finding("ollama_models")]
    found = codes(fleet, release="2.0.0", accept_losses=("ollama",))
    assert {("s", "data_dir_release"), ("s", "ollama_release")} <= found
    assert codes(fleet, accept_losses=("ollama",)) == set()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"servers": ("s", "w1")}, "several_servers"),
        ({"servers": ()}, "no_server"),
        ({"release": "9.9.9"}, "unknown_release"),
        ({"inventory_only_extra": ("gpustack_batches",)}, "batch_variable"),
    ],
)
def test_refused_for_the_fleet(change: dict[str, Any], code: str) -> None:
    assert ("fleet", code) in codes(plan_evidence.fleet(), **change)


def test_a_host_that_was_not_assessed_is_named_with_its_reason() -> None:
    fleet = plan_evidence.fleet()
    del fleet["w2"]
    plan = make_plan(
        fleet, plan_evidence.settings(unassessed={"w2": "ansible-core requires a minimum of Python version 3.8"})
    )
    refusal = next(each for each in plan["refusals"] if each["code"] == "not_assessed")
    assert refusal["host"] == "w2"
    assert "ansible_python_interpreter" in refusal["way_out"]


def test_permissions_are_mended_on_request() -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "s")["data"]["traversable_by_others"] = False
    assert codes(fleet, fix_permissions=True) == set()


def test_workers_that_are_ignored_by_name_do_not_block() -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "s")["database"]["workers"].append(plan_evidence.worker_row(3))
    assert codes(fleet, ignore_workers=("worker-3",)) == set()


def test_a_worker_that_is_not_ready_need_not_be_in_the_run() -> None:
    fleet = plan_evidence.fleet()
    gone = plan_evidence.worker_row(3)
    gone["state"] = "unreachable"
    legacy(fleet, "s")["database"]["workers"].append(gone)
    assert codes(fleet) == set()


def test_what_the_legacy_container_listens_on_is_free_once_it_has_stopped() -> None:
    fleet = plan_evidence.fleet()
    assert 80 in fleet["s"]["ports"]
    assert codes(fleet) == set()
    legacy(fleet, "s")["running"] = False
    assert codes(fleet) == {("s", "port_taken")}


def test_a_proxy_without_exceptions_warns() -> None:
    fleet = plan_evidence.fleet()
    fleet["w1"]["host"]["proxy"]["http_proxy"] = True
    plan = make_plan(fleet, plan_evidence.settings())
    assert ("w1", "proxy") in {(warning["host"], warning["code"]) for warning in plan["warnings"]}
    assert plan["refusals"] == []


def warning_codes(plan: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in plan["warnings"]}


def test_backups_that_stay_on_the_hosts_warn_as_long_as_there_is_something_to_switch() -> None:
    fleet = plan_evidence.fleet()
    on_hosts = plan_evidence.settings(backup_fetch_dir="")
    assert "backup_on_host_only" in warning_codes(make_plan(fleet, on_hosts))
    assert "backup_on_host_only" not in warning_codes(make_plan(fleet, plan_evidence.settings()))
    for name, outcome in (("s", "finalized"), ("w1", "upgraded"), ("w2", "upgraded")):
        upgrade(fleet[name], outcome)
    assert make_plan(fleet, on_hosts)["warnings"] == []


def test_a_fleet_that_was_cleaned_up_needs_nothing() -> None:
    fleet = plan_evidence.fleet()
    for name in fleet:
        upgrade(fleet[name], "cleaned")
    plan = make_plan(fleet, plan_evidence.settings())
    assert plan["refusals"] == []
    assert {decision["action"] for decision in plan["hosts"].values()} == {"none"}


def test_accepted_losses_are_listed_and_do_not_block() -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "s")["database"]["findings"] = [finding("ollama_models")]
    plan = make_plan(fleet, plan_evidence.settings(accept_losses=("ollama",)))
    assert plan["refusals"] == []
    assert plan["losses"] == [{"host": "s", "class": "ollama", "items": ["a", "b"], "accepted": True}]


# --- the configuration file


def with_file(fleet: Fleet, text: str) -> Fleet:
    legacy(fleet, "s")["args"] += ["--config-file", "/etc/c.yaml"]
    legacy(fleet, "s")["config_file"] = _config_file.evidence("/etc/c.yaml", text)
    return fleet


def test_keys_that_v2_gives_up_are_losses_to_accept() -> None:
    fleet = with_file(plan_evidence.fleet(), "enable_ray: true\ntoken: s3cr3t-value\n")
    assert codes(fleet, release="2.0.3") == {("s", "loss")}
    plan = make_plan(fleet, plan_evidence.settings(release="2.0.3", accept_losses=("dropped_options",)))
    assert plan["refusals"] == []
    assert [loss["items"] for loss in plan["losses"]] == [["enable_ray in /etc/c.yaml"]]
    assert "s3cr3t-value" not in str(plan)


def test_a_file_that_cannot_be_split_at_its_keys_is_refused_by_host() -> None:
    assert codes(with_file(plan_evidence.fleet(), "{port: 80}\n")) == {("s", "config_file_form")}


def test_a_port_that_the_file_says_is_looked_at() -> None:
    fleet = with_file(plan_evidence.fleet(), "port: 9090\n")
    fleet["s"]["ports"] = [9090]
    legacy(fleet, "s")["running"] = False
    assert codes(fleet) == {("s", "port_taken")}


def test_the_port_of_the_legacy_workers_own_metrics_is_free_once_it_has_stopped() -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "w1")["args"] += ["--metrics-port", "10188"]
    fleet["w1"]["ports"] += [10188]
    assert codes(fleet) == {("w1", "port_taken")}
    legacy(fleet, "w1")["worker"]["metrics_port"] = 10188
    assert codes(fleet) == set()


def test_a_unit_is_switched_to_a_container_of_its_own_name() -> None:
    evidence = plan_evidence.fleet()
    without_container(evidence)
    legacy(evidence, "w1")["data"]["files"]["uninstall.sh"] = {}
    models = [
        {"id": 1, "name": "a", "source": "local_path", "reference": "/srv/models/a"},
        {"id": 2, "name": "b", "source": "huggingface", "reference": "b"},
    ]
    legacy(evidence, "s")["database"]["models"] = models
    plan = make_plan(evidence, plan_evidence.settings())
    assert plan["refusals"] == []
    decision = plan["hosts"]["w1"]
    assert (decision["action"], decision["installation"]) == ("switch", "systemd:gpustack.service")
    assert (decision["container_name"], decision["model_paths"]) == ("gpustack", ["/srv/models/a"])
    assert plan["hosts"]["s"]["model_paths"] == [], "a container has its own mounts"
    assert decision["prepare"]["legacy_image"] is False
    codes = [each["code"] for each in plan["warnings"] if each["host"] == "w1"]
    assert {"systemd_unit", "uninstall_script"} <= set(codes)


def test_units_of_one_name_on_several_machines_are_no_containers_of_one() -> None:
    evidence = plan_evidence.fleet()
    without_container(evidence)
    unit_of_w1 = legacy(evidence, "w1")
    legacy(evidence, "w2").update({key: unit_of_w1[key] for key in ("kind", "id", "name", "image", "image_id")})
    assert make_plan(evidence, plan_evidence.settings())["refusals"] == []


def test_an_engine_that_was_never_there_is_asked_for() -> None:
    evidence = plan_evidence.fleet()
    no_engine_yet(evidence)
    plan = make_plan(evidence, plan_evidence.settings())
    (found,) = [each for each in plan["refusals"] if each["code"] == "no_engine"]
    assert "install Docker Engine" in found["way_out"]
    assert {each["host"] for each in plan["refusals"]} == {"w1"}


def test_an_interrupted_unit_is_continued_beside_the_container_that_was_made() -> None:
    evidence = plan_evidence.fleet()
    without_container(evidence)
    legacy(evidence, "w1").update(running=False)
    evidence["w1"]["journal"].update(
        outcome="unfinished",
        attempt="20261124T031500Z",
        legacy_name="gpustack.service",
        container_name="gpustack",
    )
    made = {**legacy(evidence, "w2"), "id": "v2", "generation": "v2", "release": "2.2.3", "attempt": "20261124T031500Z"}
    evidence["w1"]["installations"].append(made)
    plan = make_plan(evidence, plan_evidence.settings())
    decision = plan["hosts"]["w1"]
    assert (decision["action"], decision["installation"]) == ("resume", "systemd:gpustack.service")
    assert decision["container_name"] == "gpustack"
    assert plan["refusals"] == []


# Sources before 0.7


def old_server(fleet: dict[str, Any], release: str = "0.5.1", head: str = "e6bf9e067296") -> None:
    legacy(fleet, "s").update(release=release)
    legacy(fleet, "s")["database"].update(release=release, schema_head=head)
    for worker in legacy(fleet, "s")["database"]["workers"]:
        worker["uuid"] = ""


def test_an_old_database_is_tried_before_anything_stops() -> None:
    fleet = plan_evidence.fleet()
    old_server(fleet)
    plan = make_plan(fleet, plan_evidence.settings())
    assert plan["refusals"] == []
    assert plan["hosts"]["s"]["prepare"]["schema"]
    assert plan["hosts"]["s"]["prepare"]["version"]
    assert not plan["hosts"]["w1"]["prepare"]["schema"]
    assert any("trial of the database's schema" in line for line in plan["text"])
    today = make_plan(plan_evidence.fleet(), plan_evidence.settings())
    assert not today["hosts"]["s"]["prepare"]["schema"]


def test_rows_that_gpustack_deletes_on_the_way_are_said_and_stop_nothing() -> None:
    fleet = plan_evidence.fleet()
    old_server(fleet)
    finding = {"code": "orphan_api_keys_deleted", "table": "api_keys", "count": 2, "rows": ["laptop", "old"]}
    legacy(fleet, "s")["database"]["findings"] = [finding]
    plan = make_plan(fleet, plan_evidence.settings())
    assert plan["refusals"] == []
    (warning,) = [each for each in plan["warnings"] if each["code"] == "rows_deleted"]
    assert "2 rows of api_keys" in warning["cause"]
    assert "laptop, old" in warning["cause"]


@pytest.mark.parametrize(("release", "lost"), [("0.5.1", True), ("0.6.2", False), ("0.7.1", False)])
def test_downloads_of_0_5_and_older_are_a_loss_that_has_to_be_accepted(release: str, lost: bool) -> None:
    fleet = plan_evidence.fleet()
    legacy(fleet, "w1").update(release=release)
    legacy(fleet, "w1")["data"]["old_hub_cache"] = ["cache/huggingface/models--a--b"]
    plan = make_plan(fleet, plan_evidence.settings())
    found = [loss for loss in plan["losses"] if loss["class"] == "caches"]
    assert bool(found) is lost
    assert ("loss" in {refusal["code"] for refusal in plan["refusals"]}) is lost


def test_an_upgraded_worker_that_had_no_uuid_is_held_to_the_one_that_it_has() -> None:
    fleet = plan_evidence.fleet()
    old_server(fleet)
    worker = legacy(fleet, "w1")
    worker.update(generation="v2", release="2.2.3", attempt="20261124T031500Z")
    worker["worker"]["uuid"] = "written-by-its-switch"
    plan = make_plan(fleet, plan_evidence.settings())
    uuids = {each["name"]: each["uuid"] for each in plan["workers"]}
    assert uuids.pop(worker["worker"]["name"]) == "written-by-its-switch"
    assert set(uuids.values()) == {""}
