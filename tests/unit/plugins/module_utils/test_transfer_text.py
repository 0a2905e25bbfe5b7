# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person reads before a transfer."""

from __future__ import annotations

from typing import Any

from ansible_collections.fleetops.gpustack.plugins.module_utils import _transfer_text

SETTINGS = {
    "host": "server",
    "origin": "mac",
    "data_dir": "/var/lib/gpustack",
    "container_name": "gpustack",
    "cache": False,
}
TARGET: dict[str, Any] = {
    "backup": "/var/backups/gpustack/transfer-1",
    "finished": False,
    "missing": [{"kind": "data", "size": 3 * 1024 * 1024, "offset": 1024 * 1024}],
    "image": "gpustack/gpustack:v0.7.1-cpu",
    "image_present": False,
}


def source(**changes: Any) -> dict[str, Any]:
    return {
        "path": "/Library/Application Support/GPUStack",
        "system": "macos",
        "installation": "desktop installer",
        "files": [{"kind": "data", "name": "database.db"}, {"kind": "settings", "name": "ai.gpustack.plist"}],
        "cache_size": 0,
        "left_behind": [],
        "worker": None,
        "settings": {"kept": ["port"], "dropped": ["data_dir: a path of the old machine"], "port": 8080},
        "warnings": [],
        "database": {"release": "0.7.1", "counts": {"users": 2, "models": 0}, "workers": [], "old_paths": []},
        **changes,
    }


def text(target: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    return _transfer_text.lines(source(**changes), target or TARGET, SETTINGS)


def test_what_comes_is_said() -> None:
    assert text() == [
        "server: from mac, /Library/Application Support/GPUStack (macos, desktop installer): GPUStack 0.7.1, 2 users",
        "files, each proven by its hash: database.db",
        "backup /var/backups/gpustack/transfer-1: 1 files are still to come",
        "container gpustack of gpustack/gpustack:v0.7.1-cpu (will be pulled), data directory /var/lib/gpustack, host"
        " network, port 8080, without a worker",
        "settings kept: port",
        "settings left out: data_dir: a path of the old machine",
        "to be copied: 2.0 MiB",
        "leave the old server stopped: it is not touched, and its rows are those of this moment",
        "then: playbooks/upgrade.yml, as for any other server",
    ]


def test_the_embedded_worker_is_a_loss_with_its_gpus() -> None:
    (loss,) = [line for line in text(worker={"name": "mac", "gpus": ["Apple M2"]}) if line.startswith("loss:")]
    assert "worker mac" in loss
    assert "Apple M2" in loss


def test_what_stays_is_named() -> None:
    found = text(left_behind=["bin/", "log/"], cache_size=5 * 1024 * 1024, warnings=["mind this"])
    assert "stays behind: bin/, log/" in found
    assert "stays behind: 5 MiB of downloaded models (gpustack_transfer_cache brings them)" in found
    assert "warning: mind this" in found


def test_paths_are_named_up_to_a_number() -> None:
    paths = [{"table": "models", "row": f"m{number}", "path": f"C:\\{number}"} for number in range(12)]
    found = text(database={**source()["database"], "old_paths": paths})
    assert "will not be found on the new host: C:\\0 (models m0)" in found
    assert "will not be found on the new host: 2 more paths" in found
    assert len([line for line in found if line.startswith("will not")]) == 11


def test_workers_are_told_the_new_address() -> None:
    found = text(database={**source()["database"], "workers": [{"name": "gpu1"}]})
    assert "its workers (gpu1) call the old address" in found[-1]


def test_a_finished_backup_is_not_copied_again() -> None:
    found = text({**TARGET, "finished": True, "missing": [], "image_present": True})
    assert "backup /var/backups/gpustack/transfer-1: is there" in found
    assert not [line for line in found if line.startswith("to be copied") or "pulled" in line]
