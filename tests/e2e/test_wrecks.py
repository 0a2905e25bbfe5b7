# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A half-failed migration by hand: explained, refused without consent, mended with it, killed while that is done."""

from __future__ import annotations

import pytest

from tests.e2e import by_hand, outside, playbook
from tests.lab.fleet import Fleet

DATABASE = tuple(f"{outside.DATA_DIR}/{name}" for name in ("database.db", "database.db-wal"))
DONE_FILE = f"{outside.DATA_DIR}/run/state_migration_done"


@pytest.fixture(scope="module")
def half_migrated(fleet: Fleet) -> Fleet:
    """A v2 container that was killed in the middle of its migration and has been dying of the rest ever since."""
    server = fleet.host("server")
    by_hand.retire(server)
    by_hand.run_v2(server, "2.2.3", "GPUSTACK_DATA_MIGRATION=true", "--disable-worker")
    by_hand.kill_at(server, "Table system_loads has migrated")
    assert not outside.sha256(server, DONE_FILE), "the migration was faster than the kill"
    server.exec_root("docker", "start", "gpustack")
    by_hand.wait_for_log(server, "system_loads_pkey")
    return fleet


def test_it_is_explained_and_refused(half_migrated: Fleet) -> None:
    server = half_migrated.host("server")
    before = by_hand.state_of(server), by_hand.v2_files(server), outside.sha256(server, *DATABASE)
    refused = playbook.run(half_migrated, "upgrade.yml")
    assert refused.code != 0
    assert refused.said("wreck_half_migrated")
    assert refused.said("system_loads_pkey")
    assert refused.said("set gpustack_mend_wrecks: true, which stops gpustack (2.2.3")
    assert "TASK [fleetops.gpustack.gpustack : Prepare" not in refused.output
    assert (by_hand.state_of(server), by_hand.v2_files(server), outside.sha256(server, *DATABASE)) == before


def test_a_mending_that_was_killed_is_continued_to_a_verified_fleet(half_migrated: Fleet) -> None:
    server = half_migrated.host("server")
    bytes_before = outside.sha256(server, *DATABASE)
    killed = playbook.run(
        half_migrated,
        "upgrade.yml",
        gpustack_mend_wrecks=True,
        gpustack_module_environment={"FLEETOPS_GPUSTACK_FAULT": "mend:after:kill"},
    )
    assert killed.code != 0
    assert outside.sha256(server, *DATABASE) == bytes_before

    # Consent was given when the attempt began; the journal remembers it.
    done = playbook.run(half_migrated, "upgrade.yml")
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(half_migrated, "2.2.3")
    assert done.report["results"]["server"]["switched"]["parity"]["equal"]

    attempt = outside.attempt(server)
    kept = outside.containers(server)
    assert set(kept) == {"gpustack", f"gpustack-wreck-{attempt}", f"{by_hand.OLD}-legacy-{attempt}"}
    wreck = kept[f"gpustack-wreck-{attempt}"]
    assert (wreck["State"]["Running"], wreck["HostConfig"]["RestartPolicy"]["Name"]) == (False, "no")
    set_aside = server.exec_root("ls", "-A", f"{outside.DATA_DIR}/.gpustack-v2-{attempt}").splitlines()
    assert "postgresql" in set_aside


def test_a_second_run_changes_nothing(half_migrated: Fleet) -> None:
    again = playbook.run(half_migrated, "upgrade.yml")
    assert again.code == 0, again.output[-4000:]
    assert set(again.recap("changed").values()) == {0}
