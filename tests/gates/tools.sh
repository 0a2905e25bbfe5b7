#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes the virtual environments of the gates, or those that are named, each from its requirements; those that are up to
# date are left alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$CHECKOUT"

make_environment() {  # folder, Python version, requirements
    local python fingerprint
    if ! python=$(find_python "$2"); then
        [ "$1" != .venv ] || fail "no Python $2 on PATH or among pyenv's versions"
        lacking "no Python $2 on PATH or among pyenv's versions: nothing can be tested with it"
        return 0
    fi
    fingerprint=$(cat "tests/requirements/unit.txt" "tests/requirements/$3.txt" <("$python" --version) | sha256sum)
    if [ -x "$1/bin/python" ] && [ "$(cat "$1/fingerprint" 2>/dev/null)" = "$fingerprint" ]; then
        return 0
    fi
    say "$1: Python $2 with tests/requirements/$3.txt"
    rm -rf "$1"
    "$python" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --no-input --requirement "tests/requirements/$3.txt"
    printf '%s\n' "$fingerprint" >"$1/fingerprint"
}

controller() { make_environment .venv 3.11 controller; }
newest_controller() { make_environment .venv313 3.13 newest-controller; }
oldest_target() { make_environment .venv38 3.8 unit; }

wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(controller newest_controller oldest_target)
say "looking at the virtual environments; one that is missing or old takes a minute or two"
run_parallel "${wanted[@]}"
