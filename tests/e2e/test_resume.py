# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One upgrade that everything happens to, continued by the same command each time until the fleet is verified.

The tests follow each other: each begins where the one before has left the fleet.
"""

from __future__ import annotations

from tests.e2e import interrupted, outside, playbook
from tests.lab.fleet import Fleet

FAULT = "FLEETOPS_GPUSTACK_FAULT"


def test_a_second_run_says_who_works_and_a_reboot_in_the_middle_serves_nothing_wrong(fleet: Fleet) -> None:
    server = fleet.host("server")
    with interrupted.upgrade(fleet, "rebooted", gpustack_module_environment={FAULT: "migrate:before:pause"}) as first:
        interrupted.wait_for_step(server, "migrate", "started", run=first)
        pid = interrupted.wait_until_paused(server)
        lock, journal = interrupted.lock_of(server), outside.journal(server)
        containers = {name: each["Id"] for name, each in outside.containers(server).items()}

        second = playbook.run(fleet, "upgrade.yml")
        assert second.code != 0
        assert second.said(f"run {lock['run']} (pid {pid}) has been at work on this host since {lock['since']}")
        assert outside.journal(server) == journal
        assert {name: each["Id"] for name, each in outside.containers(server).items()} == containers

        # It stands still until the host is down: what it would have done meanwhile is a matter of luck.
        server.reboot()
        cut_off = first.finish()
    assert cut_off.code != 0
    assert cut_off.said("No worker was touched"), cut_off.output[-3000:]
    assert not outside.is_running(server), "nothing may revive a container that was not accepted"
    retired = f"gpustack-legacy-{outside.attempt(server)}"
    assert not outside.containers(server)[retired]["State"]["Running"]


def test_an_engine_that_restarts_in_the_middle_is_survived(fleet: Fleet) -> None:
    server = fleet.host("server")
    attempt = outside.attempt(server)
    begun = interrupted.steps(server, "migrate", "started")
    with interrupted.upgrade(fleet, "engine-restarted") as run:
        interrupted.wait_for_step(server, "migrate", "started", begun + 1, run)
        server.exec_root("systemctl", "restart", "docker")
        ended = run.finish()
    assert ended.code != 0
    assert outside.attempt(server) == attempt
    assert ended.said("Everything is back"), ended.output[-3000:]
    assert outside.is_legacy(server)
    assert outside.is_running(server)
    # The legacy server writes again; its files were held against the manifest before it started.
    journal = outside.journal(server)
    proofs = [entry["detail"] for entry in journal if (entry["step"], entry["state"]) == ("undo_prove", "done")]
    assert proofs[-1] == {"proven": True}


def test_a_connection_that_breaks_does_not_stop_the_switch(fleet: Fleet) -> None:
    server = fleet.host("server")
    begun = interrupted.steps(server, "migrate", "started")
    with interrupted.upgrade(fleet, "ssh-gone") as run:
        interrupted.wait_for_step(server, "migrate", "started", begun + 1, run)
        server.exec_root("pkill", "--signal", "KILL", "--full", "sshd: operator")
        cut_off = run.finish()
    assert cut_off.code != 0
    assert cut_off.said("No worker was touched"), cut_off.output[-3000:]
    interrupted.wait_for_step(server, "done", "done")
    assert outside.image_of(server) == "gpustack/gpustack:v2.2.3"
    assert all(outside.is_legacy(fleet.host(name)) for name in ("worker1", "worker2"))


def test_the_next_run_takes_the_workers_and_one_dies(fleet: Fleet) -> None:
    fault = f"{{{{ {{'{FAULT}': 'ready:before:kill'}} if inventory_hostname == 'worker2' else {{}} }}}}"
    died = playbook.run(fleet, "upgrade.yml", gpustack_module_environment=fault)
    assert died.code != 0
    assert died.recap("failed") == {"server": 0, "worker1": 0, "worker2": 1}
    assert outside.image_of(fleet.host("worker1")).endswith("v2.2.3")


def test_finished_hosts_are_not_switched_again(fleet: Fleet) -> None:
    hosts = {name: fleet.host(name) for name in fleet.hosts}
    begun = {name: interrupted.steps(host, "begin", "started") for name, host in hosts.items()}
    done = playbook.run(fleet, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(fleet, "2.2.3")
    again = {name: interrupted.steps(host, "begin", "started") - begun[name] for name, host in hosts.items()}
    assert (again["server"], again["worker1"]) == (0, 0)
    assert done.recap("changed")["worker1"] == 0
    users = {user["username"] for user in fleet.admin().items("/v2/users")}
    assert users >= {user["username"] for user in fleet.data["users"]} | {fleet.data["late_user"]["username"]}
