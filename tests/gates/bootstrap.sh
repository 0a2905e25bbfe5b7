#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Installs the Debian packages that the gates, the lab and the demo need and this machine lacks. The one place that names them
# (only the Docker engine is the lab's own matter, see tests/lab/engine.py). Says what it installs; says nothing when all is there.
set -euo pipefail

missing=()

need_command() {  # command, package
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

need_command git git
need_command make make
need_command ssh openssh-client
need_command debootstrap debootstrap
# ansible-test leaves out shell scripts where it is missing.
need_command shellcheck shellcheck
# Unit tests start servers of their own. Debian keeps the server's programs off PATH.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need_command initdb postgresql
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if python=$(find_python 3.11); then
    # Debian keeps what `python -m venv` needs in a package of its own.
    "$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3.11-venv)
else
    missing+=(python3.11 python3.11-venv)
fi

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    fail "this machine lacks ${missing[*]} and has no apt-get; install them by its own means and run again"
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "this machine lacks ${missing[*]}; run again as root, or install sudo"
    as_root=(sudo)
fi
# What is installed for tests alone must not make a database cluster and serve it.
if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    say "writing /etc/postgresql-common/createcluster.conf, so that PostgreSQL is installed without a cluster"
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
say "installing Debian packages: ${missing[*]}"
"${as_root[@]}" apt-get -q update </dev/null
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends "${missing[@]}" </dev/null
