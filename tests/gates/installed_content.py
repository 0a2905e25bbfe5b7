# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists what an installed artefact brings, and fails when that is not what the checkout holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
NAMESPACE = "fleetops.gpustack"
SIDECARS = (".yml", ".yaml", ".py")


def names(folder: str) -> set[str]:
    """The names of the public files of a folder of the checkout, without suffix."""
    return {path.stem for path in (CHECKOUT / folder).iterdir() if path.suffix in SIDECARS and path.stem[0] not in "_."}


def expected() -> dict[str, set[str]]:
    """What a controller should find, by kind."""
    return {
        "module": names("plugins/modules"),
        "filter": names("plugins/filter"),
        "role": {path.name for path in (CHECKOUT / "roles").iterdir() if (path / "meta/argument_specs.yml").exists()},
    }


def documented(kind: str) -> set[str]:
    """What ansible-doc finds of a kind."""
    command = ["ansible-doc", "--json", "--list", "--type", kind, NAMESPACE]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name[len(NAMESPACE) + 1 :] for name in json.loads(output)}


def has_valid_syntax(playbook: str) -> bool:
    """Whether a playbook can be called by its full name and all that it names is found."""
    command = ["ansible-playbook", "--syntax-check", "--inventory", "localhost,", f"{NAMESPACE}.{playbook}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.stdout.write(done.stdout + done.stderr)
    return done.returncode == 0


def main() -> int:
    """Compare kind by kind, then call each playbook."""
    complaints = []
    for kind, wanted in expected().items():
        found = documented(kind)
        print(f"{kind}: {', '.join(sorted(found))}")
        if found != wanted:
            complaints.append(f"{kind}: the checkout has {sorted(wanted)}")
    playbooks = sorted(names("playbooks"))
    print(f"playbook: {', '.join(playbooks)}")
    complaints += [
        f"playbook {name}: cannot be called as {NAMESPACE}.{name}" for name in playbooks if not has_valid_syntax(name)
    ]
    for complaint in complaints:
        print(f"installed_content: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
