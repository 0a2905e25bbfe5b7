# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action under a real Ansible over its ssh connection: blocks, check mode, and nothing of it on the screen.

Only the ssh program is a stand-in, which runs the command here: what Ansible prints of an answer is its own doing.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _snapshot
from ansible_collections.fleetops.gpustack.plugins.plugin_utils._remote_file import BLOCK

CHECKOUT = Path(__file__).resolve().parents[4]
SECRET = b"planted-secret-of-the-host\n"
SSH = """#!/bin/sh
for last; do :; done
exec sh -c "$last"
"""


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup with a file of more than two blocks, in a directory whose name needs quoting."""
    data, path = tmp_path / "data", tmp_path / "back ups'" / "one"
    data.mkdir()
    (data / "database.db").write_bytes(random.Random(1).randbytes(2 * BLOCK + 7))
    (data / "jwt_secret_key").write_bytes(b"")
    (data / "token").write_bytes(SECRET)
    (data / "worker_uuid").write_bytes(b"x" * BLOCK)
    names = ("database.db", "jwt_secret_key", "token", "worker_uuid")
    _snapshot.begin(str(path))
    (path / "container.json").write_text(json.dumps({"Image": f"sha256:{'a' * 64}"}))
    files = _snapshot.copy_stopped(str(data), str(path / "data"), names)
    _snapshot.write_manifest(str(path), files, None, {"data_dir": str(data)})
    return path


def fetch(backup: Path, *arguments: str, **options: Any) -> tuple[dict[str, Any], str]:
    """The result, and everything that was printed."""
    collections = backup.parent.parent / "path"
    (collections / "ansible_collections" / "fleetops").mkdir(parents=True, exist_ok=True)
    link = collections / "ansible_collections" / "fleetops" / "gpustack"
    if not link.exists():
        link.symlink_to(CHECKOUT)
    parameters = {"path": str(backup), "dest": str(backup.parent.parent / "controller"), **options}
    ssh = collections / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    argv = [sys.executable, "-m", "ansible", "adhoc", "host", "-i", "host,", "-m", "fleetops.gpustack.backup_fetch"]
    done = subprocess.run(
        [*argv, "-a", json.dumps(parameters), "-vvvv", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=str(collections),
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_EXECUTABLE": str(ssh),
        },
        check=False,
    )
    output = done.stdout + done.stderr
    assert "host |" in done.stdout, output
    line = done.stdout[done.stdout.index("host |") :]
    return json.loads(line[line.index("{") : line.rindex("}") + 1]), output


def test_check_do_check_again_do_again(backup: Path) -> None:
    controller = backup.parent.parent / "controller"
    checked, _output = fetch(backup, "--check")
    assert checked["changed"]
    assert not controller.exists()
    done, output = fetch(backup)
    assert done["changed"]
    assert done["dest"] == str(controller / "one")
    assert done["size"] == 3 * BLOCK + 7 + len(SECRET) + (backup / "container.json").stat().st_size
    assert _snapshot.verify_manifest(done["dest"])
    assert "stdout and stderr censored" in output
    for shown in (SECRET.decode().strip(), base64.b64encode(SECRET).decode()[:20]):
        assert shown not in output
    assert not fetch(backup, "--check")[0]["changed"]
    assert not fetch(backup)[0]["changed"]


def test_the_legacy_image_comes_only_when_it_is_asked_for(backup: Path) -> None:
    archive = backup.parent / f"legacy-image-{'a' * 64}.tar"
    archive.write_bytes(b"image")
    copy = backup.parent.parent / "controller" / archive.name
    fetch(backup)
    assert not copy.exists()
    done, _output = fetch(backup, legacy_image=True)
    assert done["copied"] == [archive.name]
    assert copy.read_bytes() == b"image"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not fetch(backup, legacy_image=True)[0]["changed"]
    archive.unlink()
    assert not fetch(backup, legacy_image=True)[0]["changed"]


def test_no_backup_is_told(backup: Path) -> None:
    (backup / "manifest.json").unlink()
    failed, _output = fetch(backup)
    assert "manifest.json cannot be read on the host" in failed["msg"]
