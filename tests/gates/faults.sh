#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Faults at every step, on a real fleet: all of them, or what CI has time for (ci).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_environment .venv
cd "$CHECKOUT"

if [ $# -eq 0 ]; then
    set -- all
fi
exec python -m tests.faults "$@" </dev/null
