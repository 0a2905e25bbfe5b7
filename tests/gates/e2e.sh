#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# End-to-end tests on a real fleet: refusals, failed gates, interruptions, the ways of use.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_environment .venv
cd "$CHECKOUT"

# CI takes what was proven, and says what it leaves out.
if [ "${1:-}" = ci ]; then
    shift
    mapfile -t files < <(python -m tests.e2e.in_ci)
    [ ${#files[@]} -gt 0 ] || fail "no end-to-end test was chosen"
else
    files=(tests/e2e)
fi
exec python -m pytest --durations 0 --durations-min 20 "${files[@]}" "$@" </dev/null
