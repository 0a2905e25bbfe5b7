# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Each target is one small script, which can be run by itself as well.
.PHONY: help tools lint sanity build units molecule e2e faults test demo clean

help:
	@echo "make tools     the virtual environments that everything below uses"
	@echo "make lint      ruff, mypy, vermin, ansible-lint, yamllint, antsibull-docs, antsibull-changelog"
	@echo "make sanity    ansible-test sanity under the oldest and the newest supported ansible-core"
	@echo "make build     the artefact, galaxy-importer's opinion of it, and its content once installed"
	@echo "make units     unit tests on Python 3.8, 3.11 and 3.13"
	@echo "make molecule  Molecule scenarios on a real fleet"
	@echo "make e2e       refusals, failures and interruptions on a real fleet"
	@echo "make faults    a fault at every step of the journal, in every way, on a real fleet: takes hours"
	@echo "make test      all of these, as CI runs them: of e2e and faults a part that changes with the commit"
	@echo "make demo      a real legacy fleet, upgraded before your eyes"
	@echo "make clean     what the targets above left in this folder"

tools:
	@tests/gates/bootstrap.sh
	@tests/gates/tools.sh

lint sanity build units molecule e2e faults: tools
	@tests/gates/$@.sh

test: tools
	@.venv/bin/python tests/gates/test.py

demo:
	@tests/gates/bootstrap.sh
	@tests/gates/tools.sh controller
	@tests/demo/run

clean:
	@tests/gates/clean.sh
