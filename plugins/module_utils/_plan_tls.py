# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's certificate and key: v2's container has to find them where the legacy one did. Pure."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.fleetops.gpustack.plugins.module_utils import _container_spec, _discovery, _options
from ansible_collections.fleetops.gpustack.plugins.module_utils._plan_model import HostView, Problem

FILES = ("ssl_keyfile", "ssl_certfile")


def refusals(view: HostView, built: _container_spec.Built) -> Iterator[Problem]:
    """Files that somebody laid into the legacy container itself, and that would not be in the new one."""
    installation = view.installation
    if not view.will_switch or not view.is_server or installation is None or not built.spec:
        return
    values = {**built.config, **_options.values_of(built.spec["command"], built.spec["environment"])}
    paths = [str(values[name]) for name in FILES if values.get(name)]
    lost = [path for path in paths if not _goes_over(path, view, installation)]
    if lost:
        yield view.problem(
            "tls_files",
            "v2's container would lack files of the server's TLS that are in no mount of container {}: {}".format(
                installation["name"], ", ".join(lost)
            ),
            "copy them out (docker cp) into a directory of the host, and mount that under the same path with"
            " gpustack_extra_volumes",
        )


def _goes_over(path: str, view: HostView, installation: Mapping[str, Any]) -> bool:
    """Whether a path is in a mount that goes over, in one that the operator adds, or in the data directory."""
    added = [_container_spec.parse_volume(each) for each in view.settings.choice(view.name, "extra_volumes", ())]
    targets = [*(mount["destination"] for mount in installation["mounts"]), *(each["target"] for each in added)]
    targets.append(installation["data_dir"]["container_path"])
    return _discovery.mount_below(path, [{"destination": str(target)} for target in targets]) is not None
