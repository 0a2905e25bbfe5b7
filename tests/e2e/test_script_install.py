# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet that was installed without containers goes over, and comes back under its own units.

Server and worker1 were installed by upstream's script, worker2 by pip. The tests follow each other.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.e2e import outside, playbook, script_install
from tests.lab import lifecycle
from tests.lab.api import wait_until
from tests.lab.fleet import Fleet

FAULT = "FLEETOPS_GPUSTACK_FAULT"
#: worker2's unit has another name than the others; this is what the checks of this folder look for.
NAMED: dict[str, Any] = {"gpustack_container_name": "gpustack"}
ACCEPTED: dict[str, Any] = {"gpustack_accept_rollback_losses": True}
DATABASE = ("database.db", "database.db-wal", "database.db-journal")


@pytest.fixture(scope="module")
def installed(fleet: Fleet) -> dict[str, dict[str, str]]:
    """The checksums of what was installed on each host, once the fleet serves without containers."""
    script_install.convert(fleet)
    return {name: script_install.files_of(fleet.host(name), name) for name in fleet.hosts}


def saved_database(fleet: Fleet) -> dict[str, str]:
    """What the newest backup says of the legacy database, by path."""
    server = fleet.host("server")
    manifest = json.loads(server.exec_root("cat", f"/var/backups/gpustack/{outside.attempt(server)}/manifest.json"))
    saved = {each["name"]: each["sha256"] for each in manifest["files"] if each["name"] in DATABASE}
    return {f"{script_install.SCRIPT_DATA}/{name}": digest for name, digest in saved.items() if digest}


def assert_units_are_off(fleet: Fleet, installed: dict[str, dict[str, str]]) -> None:
    """Every unit is disabled and stopped, nothing of the legacy installation runs, and its files are what they were."""
    assert script_install.states(fleet) == dict.fromkeys(fleet.hosts, ("disabled", "inactive"))
    for name in fleet.hosts:
        host = fleet.host(name)
        assert script_install.files_of(host, name) == installed[name]
        assert host.exec_root("pgrep", "--full", f"^({script_install.PIPX}|{script_install.PIP})/", check=False) == ""


def test_assess_says_what_will_happen(fleet: Fleet, installed: dict[str, Any]) -> None:
    run = playbook.run(fleet, "assess.yml")
    assert run.code == 0, run.output[-4000:]
    for said in (
        f"GPUStack is run by systemd unit {script_install.SCRIPT_UNIT} (/etc/systemd/system/",
        f"GPUStack is run by systemd unit {script_install.PIP_UNIT} (/etc/systemd/system/",
        f"{script_install.SCRIPT_DATA}/uninstall.sh of upstream's installer deletes the whole data directory",
        "worker1: worker 0.7.1, container gpustack: will be upgraded",
        "worker2: worker 0.7.1, container ai-worker: will be upgraded",
    ):
        assert run.said(said), said
    script_install.assert_legacy_serves(fleet)


def test_a_process_that_no_unit_keeps_is_refused(fleet: Fleet, installed: dict[str, Any]) -> None:
    worker, unit, since = fleet.host("worker2"), script_install.PIP_UNIT, time.time()
    worker.exec_root("systemctl", "disable", "--now", unit)
    command = f"{script_install.PIP}/bin/gpustack start --disable-worker --port 8099 --data-dir /srv/other"
    worker.exec_root("mkdir", "/srv/other")
    # Without the variables with which the lab built the host.
    worker.exec_root("sh", "-c", f"env -i PATH=/usr/bin:/bin nohup {command} >/dev/null 2>&1 & echo $! >/run/loose")
    pid = worker.exec_root("cat", "/run/loose").strip()
    # env becomes nohup, and that the program's interpreter.
    wait_until(
        "the program",
        lambda: "python" in worker.exec_root("readlink", f"/proc/{pid}/exe"),
        timeout=30,
        way_out="see whether it starts by hand",
    )
    loose = playbook.run(fleet, "assess.yml")
    worker.exec_root("sh", "-c", f"kill {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.2; done; rm -rf /srv/other")
    script_install.start_unit(worker, unit)
    lifecycle.wait_serving(fleet, since)
    assert loose.code != 0
    assert loose.said(f"GPUStack is run by process {pid} (gpustack start)"), loose.output[-3000:]
    assert loose.said("let a systemd unit of its own start it")


@pytest.mark.proves("installations", "script", "2.2.3")
@pytest.mark.proves("installations", "pip", "2.2.3")
def test_the_fleet_goes_over(fleet: Fleet, installed: dict[str, Any]) -> None:
    run = playbook.run(fleet, "upgrade.yml", **NAMED)
    assert run.code == 0, run.output[-6000:]
    outside.assert_upgraded(fleet, "2.2.3")
    assert run.report["results"]["server"]["switched"]["parity"]["equal"] is True
    assert_units_are_off(fleet, installed)
    saved = saved_database(fleet)
    assert outside.sha256(fleet.host("server"), *saved) == saved
    mounts = {mount["Destination"] for mount in outside.gpustack(fleet.host("worker1"))["Mounts"]}
    assert {script_install.SCRIPT_DATA, script_install.CACHE} <= mounts
    environment = outside.environment_of(outside.gpustack(fleet.host("worker2")))
    assert environment["HF_ENDPOINT"] == "https://hf.example.com"


def test_a_second_run_changes_nothing(fleet: Fleet, installed: dict[str, Any]) -> None:
    again = playbook.run(fleet, "upgrade.yml", **NAMED)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}


def test_a_reboot_revives_nothing_legacy(fleet: Fleet, installed: dict[str, Any]) -> None:
    for name in ("server", "worker2"):
        fleet.host(name).reboot()
    assert_units_are_off(fleet, installed)
    assert all(outside.is_running(fleet.host(name)) for name in fleet.hosts)


def test_everything_comes_back_as_it_was(fleet: Fleet, installed: dict[str, Any]) -> None:
    since, saved = time.time(), saved_database(fleet)
    run = playbook.run(fleet, "rollback.yml", **ACCEPTED)
    assert run.code == 0, run.output[-6000:]
    proofs = [each["detail"] for each in outside.journal(fleet.host("server")) if each["step"] == "undo_prove"]
    assert proofs[-1] == {"proven": True}
    rows = [each["detail"] for each in outside.journal(fleet.host("server")) if each["step"] == "undo_rows"]
    assert rows[-1]["tables"]
    assert saved
    lifecycle.wait_serving(fleet, since)
    script_install.assert_legacy_serves(fleet)
    assert {name: script_install.files_of(fleet.host(name), name) for name in fleet.hosts} == installed
    again = playbook.run(fleet, "rollback.yml")
    assert set(again.recap("changed").values()) == {0}


def test_a_unit_of_another_user_and_a_missing_engine_are_refused(fleet: Fleet, installed: dict[str, Any]) -> None:
    worker, unit, since = fleet.host("worker2"), script_install.PIP_UNIT, time.time()
    drop_in = f"/etc/systemd/system/{unit}.d"
    worker.exec_root("mkdir", drop_in)
    script_install.write(worker, f"{drop_in}/user.conf", "[Service]\nUser=operator\n")
    script_install.start_unit(worker, unit)
    worker.exec_root("systemctl", "stop", "docker.service", "docker.socket")
    refused = playbook.run(fleet, "assess.yml")
    worker.exec_root("systemctl", "start", "docker.service")
    worker.exec_root("rm", "-r", drop_in)
    script_install.start_unit(worker, unit)
    lifecycle.wait_serving(fleet, since)
    assert refused.code != 0
    assert refused.said(f"{unit} (/etc/systemd/system/{unit}), and it runs as user operator"), refused.output[-3000:]
    assert refused.said("v2 runs in Docker alone: install Docker Engine on this host")
    assert refused.said("worker1: worker 0.7.1"), "the other hosts are assessed all the same"
    script_install.assert_legacy_serves(fleet)


def test_a_killed_switch_is_continued(fleet: Fleet, installed: dict[str, Any]) -> None:
    # Between the stop of the unit and its journal entry, where only the host knows how far it came.
    died = playbook.run(fleet, "upgrade.yml", **NAMED, gpustack_module_environment={FAULT: "stop:after:kill"})
    assert died.code != 0
    assert script_install.unit_state(fleet.host("server"), script_install.SCRIPT_UNIT) == ("disabled", "inactive")
    done = playbook.run(fleet, "upgrade.yml", **NAMED)
    assert done.code == 0, done.output[-6000:]
    outside.assert_upgraded(fleet, "2.2.3")
    assert_units_are_off(fleet, installed)


def test_a_cleanup_removes_nothing_of_the_installation(fleet: Fleet, installed: dict[str, Any]) -> None:
    run = playbook.run(fleet, "cleanup.yml")
    assert run.code == 0, run.output[-4000:]
    assert_units_are_off(fleet, installed)
    saved = saved_database(fleet)
    assert outside.sha256(fleet.host("server"), *saved) == saved
    again = playbook.run(fleet, "upgrade.yml", **NAMED)
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}
