# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a server's database, whichever it is: the one error that callers have to know."""

from __future__ import annotations


class ServerDatabaseError(Exception):
    """The database cannot be read or changed; the message says where it was looked for, why, and what to do."""
