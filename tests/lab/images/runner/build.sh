#!/bin/sh
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A stand-in for the images in which v2 runs inference engines.
set -eu
{ echo '#!/usr/bin/env python3'; cat "$(dirname "$0")/vllm"; } >/usr/local/bin/vllm
chmod 0755 /usr/local/bin/vllm
