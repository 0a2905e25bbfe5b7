#!/usr/bin/env bash
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Builds the artefact, asks galaxy-importer about it, installs it and lists what it brings.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_environment .venv
cd "$CHECKOUT"

WORK=$(temporary_folder)
trap 'rm -rf "$WORK"' EXIT

# Neither the user's configuration nor another copy of the collection may answer in place of the artefact.
: >"$WORK/ansible.cfg"
export ANSIBLE_CONFIG="$WORK/ansible.cfg" ANSIBLE_HOME="$WORK/home" ANSIBLE_COLLECTIONS_PATH="$WORK/installed" ANSIBLE_NOCOLOR=1

# Built from a copy: what lies about in a working tree is no part of a release.
copy_tree "$WORK/tree"
ansible-galaxy collection build "$WORK/tree" --output-path "$WORK" >"$WORK/build.log" || { cat "$WORK/build.log"; fail "the collection does not build"; }
artefact=$(ls "$WORK"/fleetops-gpustack-*.tar.gz)
say "built $(basename "$artefact"), $(stat --format %s "$artefact") bytes"

if tar --list --file "$artefact" | grep -E '^(playbooks/collections|\.venv|\.lab|\.cache|\.git/)'; then
    fail "these belong to a checkout and not to the artefact"
fi

cat >"$WORK/importer.cfg" <<'CFG'
[galaxy-importer]
CHECK_CHANGELOG = True
CHECK_REQUIRED_TAGS = False
RUN_ANSIBLE_DOC = True
RUN_ANSIBLE_LINT = False
RUN_ANSIBLE_TEST = False
RUN_FLAKE8 = False
OUTPUT_RESULT_FILE = True
CFG
(cd "$WORK" && GALAXY_IMPORTER_CONFIG="$WORK/importer.cfg" python -m galaxy_importer.main "$artefact") >"$WORK/importer.log" 2>&1 \
    || { cat "$WORK/importer.log"; fail "galaxy-importer refuses the artefact"; }
if grep -E '^(WARNING|ERROR)' "$WORK/importer.log"; then
    fail "galaxy-importer has complaints"
fi
say "galaxy-importer has no complaint"

ansible-galaxy collection install "$artefact" --offline --collections-path "$WORK/installed" >"$WORK/install.log" 2>&1 \
    || { cat "$WORK/install.log"; fail "the artefact cannot be installed"; }
python tests/gates/installed_content.py "$WORK/installed"
