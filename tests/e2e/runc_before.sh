#!/bin/sh
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Lies before runc in a lab host. v2's worker protects its containers from the OOM killer, which a machine without
# CAP_SYS_RESOURCE forbids.
previous=
for argument; do
    [ "$previous" != --bundle ] || sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$argument/config.json"
    previous=$argument
done
exec "$0.real" "$@"
