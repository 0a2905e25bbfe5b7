#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The first process of the v2 image. It keeps the container's arguments in a file and hands over to the supervisor.
# From 2.1.1 on the published image expands the arguments without quotes on their way to `gpustack start`: words are
# split, globs are expanded in /. The unquoted expansion below is that fault, on purpose.

set -e

setting() {
    /usr/bin/python3 -I -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
        /usr/local/lib/gpustack-lab/release.json "$1"
}

args_file=$(setting args_file)
mkdir -p "$(dirname "$args_file")"
if [ "$#" -gt 0 ]; then
    echo "[INFO] Saving docker run args to $args_file"
    printf '%s\n' "$@" > "$args_file"
else
    echo "[INFO] No docker run args passed."
    : > "$args_file"
fi

if [ "$(setting checks_nofile)" = True ] && [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt 65535 ]; then
    ulimit -n 65535 2>/dev/null \
        || echo "[WARN] Failed to set nofile ulimit to 65535. Current value: $(ulimit -n)."
fi

if [ "$(setting splits_words)" = True ]; then
    # shellcheck disable=SC2068
    exec tini -- /usr/bin/python3 -I /usr/local/lib/gpustack-lab/supervisor.py $@
fi
exec tini -- /usr/bin/python3 -I /usr/local/lib/gpustack-lab/supervisor.py "$@"
