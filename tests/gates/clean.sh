#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Removes what the gates left in this folder. The lab is torn down by itself: python -m tests.lab down --all
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$CHECKOUT"
rm -rf .venv .venv38 .venv313 .cache .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache build tests/output
