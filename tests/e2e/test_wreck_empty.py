# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The healthy and empty server of a migration by hand, which has overwritten token and first password besides."""

from __future__ import annotations

import pytest

from tests.e2e import by_hand, outside, playbook
from tests.lab.api import wait_until
from tests.lab.fleet import Fleet

TOKEN = f"{outside.DATA_DIR}/token"


@pytest.fixture(scope="module")
def legacy_token(fleet: Fleet) -> str:
    """The token that the workers present."""
    return fleet.host("server").exec_root("cat", TOKEN).strip()


@pytest.fixture(scope="module")
def empty(fleet: Fleet, legacy_token: str) -> Fleet:
    """2.0.3 with the variable of 2.0.0, with an embedded worker, on a directory whose token file somebody removed."""
    server = fleet.host("server")
    by_hand.retire(server)
    server.exec_root("rm", TOKEN)
    # Only a server with a worker makes a cluster, and so a token (2.0.3, gpustack/server/server.py).
    by_hand.run_v2(server, "2.0.3", "GPUSTACK_MIGRATION_DATA_DIR=/var/lib/gpustack", "--enable-worker")
    wait_until("v2 to serve", lambda: outside.serves(fleet), by_hand.SECONDS, "see `docker logs gpustack`")
    wait_until(
        "a token of v2's own",
        lambda: server.exec_root("sh", "-c", f"cat {TOKEN} 2>/dev/null; true").startswith("gpustack_"),
        by_hand.SECONDS,
        "see `docker logs gpustack`",
    )
    return fleet


def test_it_is_explained_with_the_way_to_the_token(empty: Fleet) -> None:
    refused = playbook.run(empty, "assess.yml")
    assert refused.code != 0
    assert refused.said("wreck_empty_server")
    assert refused.said("took over nothing of database.db, however healthy it looks")
    assert refused.said("wreck_token_unknown")
    assert refused.said("worker1, worker2 still present the old one, all the same")
    assert refused.said("initial_admin_password")


def test_consent_alone_does_not_bring_the_token_back(empty: Fleet) -> None:
    refused = playbook.run(empty, "upgrade.yml", gpustack_mend_wrecks=True)
    assert refused.code != 0
    assert refused.said("set gpustack_token for this host, in a vault")
    assert "TASK [fleetops.gpustack.gpustack : Prepare" not in refused.output


def test_with_the_token_the_fleet_is_upgraded_with_all_rows(empty: Fleet, legacy_token: str) -> None:
    server = empty.host("server")
    vault = empty.folder / "vault.yml"
    vault.write_text(f"gpustack_token: {legacy_token}\n")
    done = playbook.run(empty, "upgrade.yml", "--extra-vars", f"@{vault}", gpustack_mend_wrecks=True)
    assert done.code == 0, done.output[-4000:]
    outside.assert_upgraded(empty, "2.2.3")
    assert done.report["results"]["server"]["switched"]["parity"]["equal"]
    assert server.exec_root("cat", TOKEN).strip() == legacy_token
    aside = f"{outside.DATA_DIR}/.gpustack-v2-{outside.attempt(server)}"
    kept = set(server.exec_root("ls", "-A", aside).splitlines())
    assert kept >= {"postgresql", "token", "initial_admin_password", "worker_name"}
    assert server.exec_root("cat", f"{aside}/token").startswith("gpustack_")
