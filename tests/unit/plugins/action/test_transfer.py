# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ways of the bytes under a real Ansible over its ssh connection. Only the ssh program is a stand-in, as in
`test_backup_fetch`: it runs the command here.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.action.transfer_push import BLOCK
from ansible_collections.fleetops.gpustack.plugins.module_utils._transfer_receive import PARTIAL

CHECKOUT = Path(__file__).resolve().parents[4]
SECRET = b"planted-secret-of-the-source\n"
MODEL = random.Random(2).randbytes(2 * BLOCK + 11)
SSH = """#!/bin/sh
for last; do :; done
# On a terminal, which the real one allocates, both streams are one.
exec sh -c "$last" 2>&1
"""


class Bench:
    """A source with a secret and a model, and a target."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.target = root, root / "sou rce'", root / "tar get'"
        (self.folder / "cache").mkdir(parents=True)
        self.contents = {"token": SECRET, "empty": b"", "cache/model": MODEL}
        for name, content in self.contents.items():
            (self.folder / name).write_bytes(content)
        self.source = {
            "form": "folder",
            "path": str(self.folder),
            "archive": None,
            "files": [self._file("data", name, inside=True) for name in ("token", "empty")],
            "cache": [self._file("cache", "model")],
        }

    def _file(self, kind: str, name: str, **more: Any) -> dict[str, Any]:
        path = f"cache/{name}" if kind == "cache" else name
        content = self.contents[path]
        facts = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return {"kind": kind, "name": name, "path": str(self.folder / path), **facts, **more}

    def wanted(self, **offsets: int) -> list[dict[str, Any]]:
        files = [*self.source["files"], *self.source["cache"]]
        return [
            {
                **each,
                "path": "/not/this",
                "target": str(self.target / each["kind"] / each["name"]),
                "offset": offsets.get(each["name"], 0),
            }
            for each in files
        ]

    def call(self, action: str, *arguments: str, **parameters: Any) -> tuple[dict[str, Any], str]:
        """The result, and everything that was printed."""
        collections = self.root / "path"
        (collections / "ansible_collections/fleetops").mkdir(parents=True, exist_ok=True)
        link = collections / "ansible_collections/fleetops/gpustack"
        if not link.exists():
            link.symlink_to(CHECKOUT)
        ssh = collections / "ssh"
        ssh.write_text(SSH)
        ssh.chmod(0o755)
        argv = [sys.executable, "-m", "ansible", "adhoc", "host", "-i", "host,", "-m", f"fleetops.gpustack.{action}"]
        values = {
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_EXECUTABLE": str(ssh),
        }
        done = subprocess.run(
            [*argv, "-a", json.dumps(parameters), "-vvvv", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=str(collections),
            env={**os.environ, **values},
            check=False,
        )
        output = done.stdout + done.stderr
        assert "host |" in done.stdout, output
        line = done.stdout[done.stdout.index("host |") :]
        return json.loads(line[line.index("{") : line.rindex("}") + 1]), output

    def arrived(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.target)): path.read_bytes() for path in self.target.rglob("*") if path.is_file()
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


WHOLE = {"data/token": SECRET, "data/empty": b"", "cache/model": MODEL}


def test_pushed_files_are_whole_private_and_not_shown(bench: Bench) -> None:
    checked, _output = bench.call("transfer_push", "--check", source=bench.source, files=bench.wanted())
    assert checked["changed"]
    assert not bench.target.exists()
    done, output = bench.call("transfer_push", source=bench.source, files=bench.wanted())
    assert (done["changed"], done["copied"], done["size"]) == (True, 3, len(SECRET) + len(MODEL))
    assert bench.arrived() == WHOLE
    assert (bench.target / "data/token").stat().st_mode & 0o777 == 0o600
    assert (bench.target / "data").stat().st_mode & 0o777 == 0o700
    assert (bench.target / "cache").stat().st_mode & 0o777 == 0o755
    assert SECRET.decode().strip() not in output
    nothing, _output = bench.call("transfer_push", source=bench.source, files=[])
    assert (nothing["changed"], nothing["size"]) == (False, 0)


def test_a_file_that_was_cut_off_goes_on_where_it_stopped(bench: Bench) -> None:
    (bench.target / "cache").mkdir(parents=True)
    (bench.target / f"cache/model{PARTIAL}").write_bytes(MODEL[: BLOCK + 5])
    (wanted,) = [each for each in bench.wanted(model=BLOCK + 5) if each["name"] == "model"]
    done, _output = bench.call("transfer_push", source=bench.source, files=[wanted])
    assert done["size"] == len(MODEL) - BLOCK - 5
    assert bench.arrived() == {"cache/model": MODEL}


def test_a_part_of_something_else_is_sent_anew(bench: Bench) -> None:
    (bench.target / "cache").mkdir(parents=True)
    (bench.target / f"cache/model{PARTIAL}").write_bytes(b"\0" * 1000)
    (wanted,) = [each for each in bench.wanted(model=1000) if each["name"] == "model"]
    done, _output = bench.call("transfer_push", source=bench.source, files=[wanted])
    assert done["size"] == 2 * len(MODEL) - 1000
    assert bench.arrived() == {"cache/model": MODEL}


def test_a_file_that_changed_at_its_source_does_not_get_its_name(bench: Bench) -> None:
    (bench.folder / "token").write_bytes(b"another-secret-of-the-source\n")
    failed, output = bench.call("transfer_push", source=bench.source, files=bench.wanted())
    assert "token did not arrive as it was read before" in failed["msg"]
    assert bench.arrived() == {}
    assert "another-secret" not in output


def test_members_of_an_archive_come_without_unpacking_it(bench: Bench) -> None:
    archive = bench.root / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(bench.folder, "data dir")
    files = [{**each, "path": f"data dir/{each['name']}"} for each in bench.source["files"]]
    cache = [{**each, "path": "data dir/cache/model"} for each in bench.source["cache"]]
    source = {**bench.source, "form": "tar", "path": str(archive), "files": files, "cache": cache}
    done, _output = bench.call("transfer_push", source=source, files=bench.wanted())
    assert done["changed"]
    assert bench.arrived() == WHOLE


def test_a_target_that_cannot_be_written_is_named(bench: Bench) -> None:
    bench.target.write_text("in the way")
    failed, _output = bench.call("transfer_push", source=bench.source, files=bench.wanted())
    assert "cannot be made on the host" in failed["msg"]
    assert "run again, it goes on there" in failed["msg"]


def test_fetched_files_are_a_source_of_the_controller(bench: Bench) -> None:
    spool = bench.root / "spool"
    parameters = {"source": bench.source, "files": bench.wanted(), "dest": str(spool)}
    checked, _output = bench.call("transfer_fetch", "--check", **parameters)
    assert checked["changed"]
    assert not spool.exists()
    done, output = bench.call("transfer_fetch", **parameters)
    assert (done["copied"], done["size"]) == (3, len(SECRET) + len(MODEL))
    assert SECRET.decode().strip() not in output
    assert {oct(path.stat().st_mode & 0o777) for path in spool.rglob("*") if path.is_file()} == {"0o600"}
    again, _output = bench.call("transfer_fetch", **parameters)
    assert (again["changed"], again["size"]) == (False, 0)
    pushed, _output = bench.call("transfer_push", source=done["source"], files=bench.wanted())
    assert pushed["changed"]
    assert bench.arrived() == WHOLE
