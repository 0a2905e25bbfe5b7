# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that end, controllers that come twice, hosts that go away."""

from __future__ import annotations

from tests.faults import controller
from tests.faults.conftest import Keep
from tests.faults.controller import Answer
from tests.faults.subject import Subject
from tests.faults.trials import AGAIN


def test_ssh_cut_during_the_migration(server: Subject, keep: Keep) -> None:
    # The part of the ssh server that speaks for the user; the detached work is none of it.
    cut = ("pkill", "-KILL", "-u", "operator", "-x", "sshd")
    answer = server.call_meanwhile("upgraded", "migrate:before", lambda: server.reach.exec_root(*cut))
    assert answer.failed
    controller.wait_until_free(server.reach)
    assert not server.reach_state("upgraded").changed
    keep("ssh cut during the migration", answer, server.assert_state("upgraded"), AGAIN)


def test_two_runs_at_once(server: Subject, keep: Keep) -> None:
    second: list[Answer] = []
    first = server.call_meanwhile(
        "upgraded", "snapshot:before", lambda: second.append(server.call("upgraded", stop_timeout=1))
    )
    assert "Another run works on this host" in second[0].message
    assert not second[0].changed
    assert not first.failed, first.message
    keep("two runs at once", second[0], server.assert_state("upgraded"))


def test_host_rebooted_during_the_migration(server: Subject, keep: Keep) -> None:
    answer = server.call_meanwhile("upgraded", "migrate:before", server.reach.reboot)
    assert answer.failed
    server.reach_state("upgraded")
    keep("host rebooted during the migration", answer, server.assert_state("upgraded"), AGAIN)
