#!/usr/bin/python
# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_facts
short_description: Gather what tells the GPU vendor of a host
version_added: 0.1.0
author:
  - The fleetops.gpustack contributors (@fleetops)
description:
  - Gathers device nodes, PCI devices, what the vendors' tools answer, directories of vendor software and its versions,
    the container runtimes that Docker has, and how the GPUStack containers of the host were given their GPUs.
  - This is the part of M(fleetops.gpustack.node_info) from which the vendor is judged, for use without the rest. The
    judgement itself is made by the filter P(fleetops.gpustack.gpu_runtime#filter) on the controller.
  - Reads only. The vendors' tools are run with the arguments that GPUStack's own documentation verifies a driver with.
  - What cannot be read is part of the evidence and does not fail the module. Secrets are never returned.
requirements:
  - Python 3.8 or newer, with its standard library.
extends_documentation_fragment:
  - fleetops.gpustack.attributes
  - fleetops.gpustack.attributes.info_module
  - fleetops.gpustack.docker
  - fleetops.gpustack.gpu_evidence
attributes:
  facts:
    description: Returns an C(ansible_facts) dictionary.
    support: full
seealso:
  - module: fleetops.gpustack.node_info
  - plugin: fleetops.gpustack.gpu_runtime
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Gather the evidence
  fleetops.gpustack.gpu_facts:
  become: true

- name: Show which tools answer
  ansible.builtin.debug:
    msg: "{{ gpustack_gpu.gpu.tools | dict2items | selectattr('value.rc', 'eq', 0) | map(attribute='key') }}"
"""

RETURN = r"""
ansible_facts:
  description: The evidence.
  returned: always
  type: dict
  contains:
    gpustack_gpu:
      description: The evidence.
      type: dict
      contains:
        gpu:
          description: Accelerators, as in RV(fleetops.gpustack.node_info#module:gpu).
          type: dict
          sample:
            devices: [/dev/nvidia0, /dev/nvidiactl]
            modules: [nvidia]
            paths: [/opt/rocm]
            pci: [{address: "0000:01:00.0", vendor: "0x10de", device: "0x26b9", class: "0x030200"}]
            tools: {npu-smi: {path: /usr/local/sbin/npu-smi, rc: 0, error: null}}
            versions: {rocm_version: "7.0.1"}
            wsl: false
        engine:
          description: The Docker engine, as in RV(fleetops.gpustack.node_info#module:engine).
          type: dict
          sample: {runtimes: [nvidia, runc]}
        installations:
          description: The GPUStack containers of the host, with what of them tells a vendor.
          type: list
          elements: dict
          sample:
            - name: gpustack
              generation: legacy
              release: 0.7.1
              role: worker
              retired: false
              image: gpustack/gpustack:v0.7.1-npu
              runtime: ascend
              privileged: false
              devices: []
              device_requests: []
              environment: {ASCEND_VISIBLE_DEVICES: "0"}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fleetops.gpustack.plugins.module_utils._docker_reader import DEFAULT_DOCKER_HOST
from ansible_collections.fleetops.gpustack.plugins.module_utils._gpu_facts import evidence


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "gpu_sources": {"type": "dict", "default": {}},
            "docker_host": {"type": "str", "default": DEFAULT_DOCKER_HOST},
        },
        supports_check_mode=True,
    )
    found = evidence(module.params["docker_host"], module.params["gpu_sources"], module.run_command)
    module.exit_json(changed=False, ansible_facts={"gpustack_gpu": found})


if __name__ == "__main__":
    main()
