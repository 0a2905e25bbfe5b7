# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for a host with Ascend NPUs, because there is no such hardware.

Device nodes that lead nowhere, and the runtime as another name of runc. Neither a legacy worker nor v2's lists NPUs
there.
"""

from __future__ import annotations

import json

from tests.lab.fleet import Reach

IMAGE = "gpustack/gpustack:v0.7.1-npu"
NODES = ("davinci0", "davinci1", "davinci_manager", "devmm_svm", "hisi_hdc")
#: What the documented legacy container has of them.
FLAGS = tuple(f"--device=/dev/{name}" for name in NODES)
_SETTINGS = "/etc/docker/daemon.json"
_NODES_AT_BOOT = "/etc/tmpfiles.d/ascend-standin.conf"


def equip(host: Reach) -> None:
    """Give a host two NPUs beside what it has, and the image for them. Its engine is restarted."""
    # By tmpfiles.d, so that they are there again after a reboot, as a driver's are.
    entries = "".join(f"c /dev/{name} 0666 root root - 1:3\n" for name in NODES)
    host.run(f"sudo tee {_NODES_AT_BOOT} >/dev/null", stdin=entries)
    host.exec_root("systemd-tmpfiles", "--create", _NODES_AT_BOOT)
    settings = json.loads(host.exec_root("cat", _SETTINGS))
    settings.setdefault("runtimes", {})["ascend"] = {"path": "runc"}
    host.run(f"sudo tee {_SETTINGS} >/dev/null", stdin=json.dumps(settings, indent=2) + "\n")
    host.exec_root("systemctl", "restart", "docker")
    host.exec_root("docker", "tag", "gpustack/gpustack:v0.7.1-cpu", IMAGE)
