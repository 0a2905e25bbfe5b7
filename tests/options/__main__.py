# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.options record|since|table`: records every release's options, or writes docs/options.md.

`since` records from which legacy release on there is each option."""

from __future__ import annotations

import argparse

from ansible_collections.fleetops.gpustack.plugins.module_utils import _releases
from tests.options import record, table


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.options", description=__doc__)
    parser.add_argument("command", choices=("record", "since", "table"))
    command = parser.parse_args().command
    if command == "record":
        record.write(record.recorded(list(_releases.RELEASES)))
    elif command == "since":
        record.write_since(record.since(_releases.LEGACY_SUPPORTED))
    else:
        table.DOCUMENT.write_text(table.text(), encoding="utf-8")


if __name__ == "__main__":
    main()
