#!/bin/sh
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What an upgrade could touch on a host, one line each: checksum, size, mode, owner and time of files, and Docker's objects.
# $1: "serving" leaves out what the running legacy release itself writes; "stopped" leaves out nothing.
set -eu

case "$1" in
    serving) own='-name database.db-wal -o -name database.db-shm -o -path */gpustack/log' ;;
    stopped) own='-name *.no-such-file' ;;
esac

# Unquoted on purpose: the words of $own are arguments of find.
set -f
# shellcheck disable=SC2086
find /data /etc /opt /usr/local /var/lib/fleetops-gpustack /var/backups /var/lib/docker/volumes \( $own \) -prune -o -type f -print 2>/dev/null |
    sort | while read -r file; do
        stat --format '%n %s %a %u:%g %Y' "$file"
        sha256sum "$file"
    done
docker image ls --all --no-trunc --quiet | sort
docker volume ls --quiet | sort
docker ps --all --no-trunc --quiet | sort | xargs docker inspect
