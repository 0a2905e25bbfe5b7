#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# ansible-test sanity, without ignore files: everything under the oldest and the newest supported ansible-core, and what
# runs on targets compiled and imported by the oldest Python of a target.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$CHECKOUT"

WORK=$(temporary_folder)
trap 'rm -rf "$WORK"' EXIT

# ansible-test keeps virtual environments below its HOME and passes nothing on but HOME and PATH.
# One of its own, in this checkout, in which the user's pip finds its configuration.
prepare_home() {  # folder, environment
    local version item
    version=$("$CHECKOUT/$2/bin/python" -c '
import sys
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="%d.%d" % sys.version_info[:2]))["pip"])')
    mkdir -p "$1/.ansible/test/cache"
    for item in .config .cache .pip; do
        if [ -e "$HOME/$item" ] && [ ! -e "$1/$item" ]; then ln -s "$HOME/$item" "$1/$item"; fi
    done
    cp tests/gates/get_pip.py "$1/.ansible/test/cache/get_pip_${version//./_}.py"
}

sanity_under() {  # job, environment of the core, Python version to test with, tests
    local python home="$CHECKOUT/.cache/ansible-test-$1" tree="$WORK/$1/ansible_collections/fleetops/gpustack"
    if [ ! -x "$2/bin/python" ] || ! python=$(find_python "$3"); then
        lacking "ansible-test sanity, $1: there is no $2, or no Python $3"
        return 0
    fi
    prepare_home "$home" "$2"
    copy_tree "$tree"
    if find "$tree/tests/sanity" -name 'ignore*' 2>/dev/null | grep .; then
        fail "an ignore file hides what sanity would say; mend the cause instead"
    fi
    # ansible-test looks for the Python by its name.
    mkdir -p "$WORK/$1/bin"
    ln -s "$python" "$WORK/$1/bin/python$3"
    cd "$tree"
    HOME="$home" PATH="$CHECKOUT/$2/bin:$WORK/$1/bin:$PATH" LC_ALL=C.UTF-8 \
        ansible-test sanity --local --color no --python "$3" "${@:4}"
}

oldest_core() { sanity_under oldest-core .venv 3.11; }
newest_core() { sanity_under newest-core .venv313 3.13; }
oldest_target() { sanity_under oldest-target .venv 3.8 --test compile --test import; }

run_parallel oldest_core newest_core oldest_target
