#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Unit tests: what runs on targets on the oldest Python of a target, everything on both controllers' Python.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$CHECKOUT"

TARGET_PARTS=(tests/unit/plugins/module_utils tests/unit/plugins/modules)

units_on() {  # environment, Python version, tests
    if [ ! -x "$1/bin/python" ]; then
        lacking "units on Python $2: there is no $1"
        return 0
    fi
    # Byte code and caches of three interpreters in the same folders would only get in each other's way.
    PYTHONDONTWRITEBYTECODE=1 "$1/bin/python" -m pytest --quiet -rs -p no:cacheprovider "${@:3}"
}

python38() { units_on .venv38 3.8 "${TARGET_PARTS[@]}"; }
python311() { units_on .venv 3.11 tests/unit; }
python313() { units_on .venv313 3.13 tests/unit; }

run_parallel python38 python311 python313
