#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# End-to-end tests on real fleets: refusals, failed gates, interruptions, the ways of use.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_environment .venv
cd "$CHECKOUT"

# CI takes the files of this commit's turn.
if [ "${1:-}" = ci ]; then
    shift
    mapfile -t files < <(python -m tests.e2e.turn)
    [ ${#files[@]} -gt 0 ] || fail "no end-to-end test was chosen"
else
    files=(tests/e2e)
fi
# Two at once, each on a fleet of its own: a switch waits more than it computes.
exec python -m pytest --numprocesses 2 --dist loadfile --durations 0 --durations-min 20 "${files[@]}" "$@" </dev/null
