# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What the gates share. To be sourced.
# shellcheck shell=bash

CHECKOUT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"

say() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*"
}

fail() {
    say "$*" >&2
    exit 1
}

# Something that a gate checks is not possible on this machine: loud everywhere, an error in CI.
lacking() {
    if [ "${CI:-}" = true ]; then
        fail "$* (an error, because CI=true)"
    fi
    say "NOT CHECKED: $*" >&2
}

is_python() {  # executable, version
    # Asked by running it: a shim on PATH may stand for a version that is not selected.
    "$1" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' "$2" >/dev/null 2>&1
}

find_python() {  # version; prints the executable
    local candidate pyenv_root
    pyenv_root="${PYENV_ROOT:-$(pyenv root 2>/dev/null || true)}"
    while IFS= read -r candidate; do
        if is_python "$candidate" "$1"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done < <(
        type -ap "python$1" python3 || true
        [ -z "$pyenv_root" ] || ls -d "$pyenv_root/versions/$1".*/bin/python 2>/dev/null || true
    )
    return 1
}

# Puts the commands of a virtual environment first on PATH.
use_environment() {  # folder
    [ -x "$CHECKOUT/$1/bin/python" ] || fail "$1 is missing: run 'make tools' first"
    export PATH="$CHECKOUT/$1/bin:$PATH"
}

# A temporary folder, gone when the gate ends.
temporary_folder() {
    mktemp -d "${TMPDIR:-/tmp}/gpustack-gate.XXXXXX"
}

# Copies what git tracks or would track into a folder, links as links.
copy_tree() {  # destination
    mkdir -p "$1"
    (
        cd "$CHECKOUT" || return
        git ls-files --cached --others --exclude-standard -z \
            | while IFS= read -r -d '' file; do
                if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi
            done \
            | tar --create --null --no-recursion --files-from=- --file=-
    ) | tar --extract --directory "$1" --file=-
}

# Runs named jobs beside each other; shows the output of each that failed, and fails when any did.
run_parallel() {  # function names
    local folder name failed=()
    local -A pids=()
    folder=$(temporary_folder)
    for name in "$@"; do
        "$name" >"$folder/$name" 2>&1 </dev/null &
        pids[$name]=$!
    done
    for name in "$@"; do
        wait "${pids[$name]}" || failed+=("$name")
        sed "s/^/[$name] /" "$folder/$name"
    done
    rm -rf "$folder"
    [ ${#failed[@]} -eq 0 ] || fail "failed: ${failed[*]}"
}
