# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A data directory in a container's own layer, copied into a volume: every byte, and nothing else."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ansible_collections.fleetops.gpustack.plugins.module_utils import _journal, _layer
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import Attempt, SwitchError, Work
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

ATTEMPT = "20261124T031500Z"
DATA = "/var/lib/gpustack"


class Host:
    """A stopped server whose data lies in its layer, on top of what its image brought."""

    def __init__(self, root: Path) -> None:
        self.layer, self.image = root / "layer", root / "image"
        self.data, self.volume = self.layer / DATA[1:], root / "volume"
        self.data.mkdir(parents=True, mode=0o750)
        (self.image / DATA[1:]).mkdir(parents=True)
        self.record = engine_records.container(command=["--disable-worker"], mounts=[], running=False)
        self.record["GraphDriver"] = {"Data": {"UpperDir": str(self.layer), "LowerDir": str(self.image)}}
        self.engine = FakeEngine(self.record)
        self.engine.volumes = {f"gpustack-data-{ATTEMPT}": str(self.volume)}
        attempt = Attempt(
            name=ATTEMPT,
            role="server",
            release="2.2.3",
            image="gpustack/gpustack:v2.2.3",
            container_name="gpustack",
            legacy_id=self.record["Id"],
            legacy_name="gpustack",
            restart_policy={"Name": "no", "MaximumRetryCount": 0},
            was_running=True,
            data_dir=str(self.volume),
            backup=str(root / "backup"),
            kept_by={"layer": DATA},
        )
        journal = _journal.Journal(str(root / "state"), ATTEMPT)
        self.work = Work({}, attempt, self.engine, journal, lambda warning: None)  # type: ignore[arg-type]

    def copied(self) -> dict[str, bytes]:
        """What the volume holds, without what was put aside."""
        return {
            str(path.relative_to(self.volume)): path.read_bytes()
            for path in sorted(self.volume.rglob("*"))
            if path.is_file() and ".gpustack-v2-" not in str(path)
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = Host(tmp_path)
    (found.data / "database.db").write_bytes(b"\x00rows" * 999)
    (found.data / "database.db-wal").write_bytes(b"late rows")
    (found.data / "token").write_text("secret")
    (found.data / "token").chmod(0o640)
    (found.data / "log").mkdir(mode=0o755)
    (found.data / "log/worker.log").write_text("...")
    (found.data / "latest.log").symlink_to("log/worker.log")
    (found.data / "cache/huggingface").mkdir(parents=True)
    (found.data / "cache/huggingface/weights").write_bytes(b"w" * 9999)
    (found.image / DATA[1:] / "bin").write_text("brought by the image")
    return found


def test_everything_but_the_caches_is_copied(host: Host) -> None:
    before = {path: path.stat().st_mtime_ns for path in host.data.rglob("*")}
    found = _layer.copy_out(host.work)
    assert set(host.copied()) == {"bin", "database.db", "database.db-wal", "latest.log", "log/worker.log", "token"}
    assert host.copied()["database.db"] == (host.data / "database.db").read_bytes()
    assert (host.volume / "latest.log").is_symlink()
    assert found["entries"] == ["bin", "database.db", "database.db-wal", "latest.log", "log", "token"]
    assert found["volume"] == f"gpustack-data-{ATTEMPT}"
    assert {path: path.stat().st_mtime_ns for path in host.data.rglob("*")} == before


def test_the_copy_is_open_for_postgresql_and_its_secrets_are_not(host: Host) -> None:
    _layer.copy_out(host.work)
    assert host.volume.stat().st_mode & 0o777 == 0o755
    assert (host.volume / "token").stat().st_mode & 0o777 == 0o600
    assert (host.data / "token").stat().st_mode & 0o777 == 0o640


def test_a_second_try_copies_the_layer_anew_and_leaves_nothing_stale(host: Host) -> None:
    _layer.copy_out(host.work)
    (host.data / "database.db").write_bytes(b"checkpointed")
    (host.data / "database.db-wal").unlink()
    _layer.copy_out(host.work)
    assert host.copied()["database.db"] == b"checkpointed"
    assert "database.db-wal" not in host.copied()


def test_a_name_that_the_layer_deleted_is_left_out(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_layer, "names", lambda record, path: ["token", "deleted"])
    _layer.copy_out(host.work)
    assert set(host.copied()) == {"token"}


def test_a_copy_that_is_not_what_was_sent_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_layer, "_take_mode", lambda *_: (host.volume / "token").write_text("torn"))
    with pytest.raises(SwitchError, match=r"token in .* is not what the container holds"):
        _layer.copy_out(host.work)


def test_a_volume_that_lies_elsewhere_is_refused(host: Host, tmp_path: Path) -> None:
    host.engine.volumes = {f"gpustack-data-{ATTEMPT}": str(tmp_path / "elsewhere")}
    with pytest.raises(SwitchError, match="data-root was moved"):
        _layer.copy_out(host.work)


def archive(*members: tuple[str, dict[str, Any]]) -> Any:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name, facts in members:
            info = tarfile.TarInfo(name)
            info.uid, info.gid = os.getuid(), os.getgid()
            for key, value in facts.items():
                setattr(info, key, value)
            made.addfile(info, io.BytesIO(b"x" * info.size))
    return iter([packed.getvalue()])


@pytest.mark.parametrize(
    "members",
    [
        [("../out", {"size": 1})],
        [("/out", {"size": 1})],
        [("link", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("link/out", {"size": 1})],
        [("hard", {"type": tarfile.LNKTYPE, "linkname": "../out"})],
    ],
)
def test_nothing_is_written_outside_of_the_target(tmp_path: Path, members: Any) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(SwitchError, match="outside of"):
        _layer.extract(archive(*members), str(target))
    assert not (tmp_path / "out").exists()


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 50))
def test_pieces_of_any_size_are_one_file(pieces: list[bytes], size: int) -> None:
    stream = io.BufferedReader(_layer._Chunks(iter(pieces)))
    read = b""
    while True:
        block = stream.read(size)
        if not block:
            break
        read += block
    assert read == b"".join(pieces)
