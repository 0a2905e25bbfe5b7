# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.demo`: a real legacy fleet, upgraded by `playbooks/upgrade.yml`, and the proof on one screen."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from tests.demo import journal, screen
from tests.e2e import playbook
from tests.lab import lifecycle
from tests.lab.api import ApiError, Client
from tests.lab.errors import LabError
from tests.lab.fleet import Fleet
from tests.lab.layout import Options
from tests.lab.progress import say

NAME = "demo"


def main() -> int:
    started = time.monotonic()
    try:
        fleet = _legacy_fleet()
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    say(f"the legacy fleet is up and serves at {fleet.data['server_url']}; now the one command:")
    report = fleet.folder / "report.json"
    argv = playbook.plain_command(fleet, playbook.PLAYBOOKS / "upgrade.yml", report=report)
    print(f"\n$ ansible-playbook -i {fleet.inventory} playbooks/upgrade.yml\n", flush=True)
    with journal.shown(fleet):
        upgrade = subprocess.run(argv, env=_environment(), cwd=playbook.CHECKOUT, check=False)
    if upgrade.returncode != 0:
        print(
            "demo: the upgrade failed; its reason stands above, the fleet was left for you to look at", file=sys.stderr
        )
        return 1
    accepted = _accepted(fleet)
    print("\n".join(screen.lines(json.loads(report.read_text()), fleet.data, accepted)))
    print(
        f"\nThe whole demo took {time.monotonic() - started:.0f} s."
        f" `.venv/bin/python -m tests.lab down --name {NAME}` removes the fleet."
    )
    return 0 if all(accepted.values()) else 1


def _legacy_fleet() -> Fleet:
    """A fleet in its freshly filled legacy state, whatever an earlier demo left."""
    fresh = NAME not in Fleet.names()
    fleet = lifecycle.up(Options(NAME))
    return fleet if fresh else lifecycle.reset(fleet.data["name"])


def _environment() -> dict[str, str]:
    """A controller whose output is for a person: results as YAML, nothing about what was skipped."""
    colour = {} if sys.stdout.isatty() else {"ANSIBLE_NOCOLOR": "1"}
    kept = {key: value for key, value in playbook.environment().items() if key != "ANSIBLE_NOCOLOR"}
    return {**kept, **colour, "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}


def _accepted(fleet: Fleet) -> dict[str, bool]:
    """Whether the new server lets in whom the old one let in."""
    url = fleet.data["server_url"]
    return {
        "the administrator's old password": _works(lambda: fleet.admin().items("/v2/users")),
        "every user's old password": all(
            _works(lambda user=user: Client(url).login(user["username"], user["password"]))
            for user in fleet.data["users"]
        ),
        "an old API key": _works(lambda: Client(url).with_api_key(fleet.data["api_key"]).call("GET", "/v1/models")),
    }


def _works(call) -> bool:
    try:
        call()
    except ApiError as error:
        say(str(error))
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
