#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What can be said about the code by reading it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_environment .venv
cd "$CHECKOUT"

# The way in by which playbooks of a clone find it as a collection; the tools look from there.
COLLECTIONS="$CHECKOUT/playbooks/collections"

ruff_check() { ruff check --output-format concise --cache-dir .cache/ruff; }

ruff_format() { ruff format --check --cache-dir .cache/ruff; }

types() {
    mypy --package ansible_collections.fleetops.gpustack.plugins --package tests.lab --package tests.e2e \
        --package tests.faults --package tests.options --package tests.proofs
}

# ruff knows the syntax of Python 3.8, vermin its standard library.
oldest_target() { vermin --quiet --no-tips --violations --target=3.8- plugins/modules plugins/module_utils; }

ansible_lint() { ANSIBLE_COLLECTIONS_PATH="$COLLECTIONS" ansible-lint --nocolor; }

yaml() { git ls-files --cached --others --exclude-standard -z '*.yml' '*.yaml' | xargs -0 yamllint --strict; }

documentation() { antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck .; }

changelog() { antsibull-changelog lint; }

run_parallel ruff_check ruff_format types oldest_target ansible_lint yaml documentation changelog
