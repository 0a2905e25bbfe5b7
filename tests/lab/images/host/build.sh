#!/bin/sh
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Turn the base image into a host of a fleet: systemd, sshd, a sudo user, python3 and a Docker engine of its own.
set -eu
export DEBIAN_FRONTEND=noninteractive
context=$(dirname "$0")

# Nothing may start while packages are installed: systemd will start it when the host boots.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d

# The engine comes from the next suite, as on the machine that runs the lab: same mirror, at a priority at which
# nothing else is taken from it.
sed -n 's/ bookworm / trixie /p' /etc/apt/sources.list > /etc/apt/sources.list.d/trixie.list
printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' > /etc/apt/preferences.d/trixie
apt-get -q update
apt-get -q install --yes --no-install-recommends \
    systemd systemd-sysv dbus openssh-server sudo python3 ca-certificates \
    iptables iproute2 procps kmod psmisc curl runc \
    docker.io/trixie docker-cli/trixie containerd/trixie
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d /etc/ssh/ssh_host_*

cp -a "$context/rootfs/." /
chown -R root:root /etc/docker /etc/ssh

# Debian has a group of that name already.
useradd --create-home --gid operator --shell /bin/bash operator
install -d -m 0700 -o operator -g operator /home/operator/.ssh
printf 'operator ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/operator
chmod 0440 /etc/sudoers.d/operator

# No console here, and nothing that would try to drive the machine's own hardware or clock.
systemctl mask getty@tty1.service console-getty.service systemd-udevd.service systemd-udev-trigger.service \
    systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer systemd-networkd.service
systemctl enable ssh.service docker.service
