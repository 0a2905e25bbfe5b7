#!/bin/sh
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Turn the base image into Debian's container registry.
set -eu
export DEBIAN_FRONTEND=noninteractive
context=$(dirname "$0")

apt-get -q update
apt-get -q install --yes --no-install-recommends docker-registry
apt-get clean
rm -rf /var/lib/apt/lists/*
cp "$context/config.yml" /etc/docker/registry/config.yml
