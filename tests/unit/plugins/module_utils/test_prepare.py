# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preparation as a whole, as far as it needs no engine: judgement of a GPU trial, and errors that end it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import engine_records
import old_databases
import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _gpu_evidence,
    _gpu_trial,
    _host_facts,
    _image,
    _legacy_image,
    _libraries,
    _lock,
    _prepare,
    _prepared,
    _raised_snapshot,
    _schema_trial,
    _snapshot,
)
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.module_run import run_command

GPU = {"vendor": "nvidia", "index": 0, "name": "NVIDIA A100", "memory": 80 * 1024**3, "uuid": "GPU-1"}


def result() -> dict[str, Any]:
    return {"changed": False, "actions": [], "warnings": [], "image": None, "gpus": None}


def test_the_same_gpus_pass_in_silence() -> None:
    found = result()
    _prepare._compare([GPU], [dict(GPU)], "exact", found)
    assert found["warnings"] == []


def test_another_name_only_warns() -> None:
    found = result()
    _prepare._compare([GPU], [{**GPU, "name": "A100 80GB"}], "exact", found)
    assert found["warnings"] == ["GPU 0 (nvidia): name was NVIDIA A100, is A100 80GB"]


def test_a_gpu_that_the_new_image_does_not_see_is_refused_with_both_lists() -> None:
    second = {**GPU, "index": 1, "uuid": "GPU-2"}
    with pytest.raises(_gpu_trial.TrialError) as caught:
        _prepare._compare([GPU, second], [GPU], "exact", result())
    assert "Legacy record: 0 nvidia NVIDIA A100, 1 nvidia NVIDIA A100. New image: 0 nvidia NVIDIA A100." in str(
        caught.value
    )


class Reader:
    """An engine with one container, as far as it is read."""

    def __init__(self, command: list[str] | None) -> None:
        self.command = command

    def inspect(self, container: str) -> dict[str, Any] | None:
        if self.command is None:
            return None
        config = {"Image": "gpustack/gpustack:v0.7.1", "Entrypoint": ["gpustack", "start"], "Cmd": self.command}
        return {"Id": container, "Name": "/any", "Config": config, "HostConfig": {}, "Mounts": [], "State": {}}


@pytest.mark.parametrize(
    ("command", "server"),
    [
        (["--server-url", "http://server", "--token", "t"], False),
        (["--port", "80"], True),
        (["--disable-worker"], True),
        (None, True),
    ],
)
def test_whatever_is_not_surely_a_worker_gets_the_servers_libraries(command: list[str] | None, server: bool) -> None:
    assert _prepare._is_server(Reader(command), "c1") is server  # type: ignore[arg-type]


def params(tmp_path: Path) -> dict[str, Any]:
    return {
        "state_dir": str(tmp_path / "state"),
        "run_id": "20261124T030000Z",
        "docker_host": f"unix://{tmp_path}/none",
    }


def test_a_host_without_an_engine_says_so_and_writes_nothing_in_check_mode(tmp_path: Path) -> None:
    given = {**params(tmp_path), "prepare_libraries": True, "installation": "c1"}
    with pytest.raises(_prepare.PrepareError, match="There is no Docker engine"):
        _prepare.run(given, True, lambda _step: None, run_command)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_prepare_one_host_at_a_time(tmp_path: Path) -> None:
    with _lock.HostLock(str(tmp_path / "state"), "other"), pytest.raises(_prepare.PrepareError, match="run other"):
        _prepare.run(params(tmp_path), False, lambda _step: None, run_command)


class Host:
    """A host with the image, on which only the engine's answers are made up."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.params = {
            **params(tmp_path),
            "installation": "c1",
            "release": "2.2.3",
            "image": "gpustack/gpustack:v2.2.3",
            "image_id": None,
            "image_archive": None,
            "registry_username": None,
            "registry_password": None,
            "wheels": None,
            "gpu": {"runtime": "nvidia"},
            "expected_gpus": [GPU],
            "gpu_gate": "exact",
            "gpu_sources": {"paths": ["/opt/exa"]},
            "backup_dir": str(tmp_path / "backups"),
            "extra_args": [],
            "prepare_libraries": True,
            "prepare_image": True,
            "prepare_trial": True,
            "prepare_schema": False,
            "prepare_database": False,
            "backup_legacy_image": False,
            "runner_images": [],
            "runner_backends": [],
            "runner_images_archive": None,
            "default_registry": None,
        }
        self.answer: dict[str, Any] = {"version": "2.2.3", "gpus": [GPU]}
        self.saved: list[str] = []
        monkeypatch.setattr(_prepare, "DockerReader", lambda _host: Reader(None))
        monkeypatch.setattr(_prepare, "Engine", lambda _host: SimpleNamespace(client=None))
        libraries = {"changed": False, "actions": [], "python": sys.executable, "versions": {}}
        monkeypatch.setattr(_libraries, "ensure", lambda *_asked: libraries)
        monkeypatch.setattr(_image, "find", lambda *_asked: {"reference": "r", "id": "sha256:1", "version": None})
        self.tried: list[str] = []
        monkeypatch.setattr(_gpu_trial, "ask", self.ask)
        monkeypatch.setattr(_gpu_evidence, "gpu", lambda _run, more: {"devices": ["/dev/nvidia0"], **more})
        monkeypatch.setattr(_host_facts, "boot_id", lambda: "boot")
        monkeypatch.setattr(_legacy_image, "find", lambda *_asked: None)
        monkeypatch.setattr(_legacy_image, "save", lambda _engine, record, _directory: self.saved.append(record["Id"]))

    def ask(self, *asked: Any) -> dict[str, Any]:
        self.tried = asked[-1]
        return self.answer

    def prepare(self, check_mode: bool = False, **changes: Any) -> dict[str, Any]:
        return _prepare.run({**self.params, **changes}, check_mode, lambda _step: None, run_command)

    @property
    def note(self) -> dict[str, Any] | None:
        return _prepared.read(str(self.params["state_dir"]))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_what_was_proven_is_noted_and_is_no_change(host: Host) -> None:
    assert host.prepare()["changed"] is False
    circumstances = _prepared.trial_proof(
        {"runtime": "nvidia"}, [GPU], "boot", {"devices": ["/dev/nvidia0"], "paths": ["/opt/exa"]}
    )
    assert host.note == {
        "image": _prepared.image_proof("sha256:1", "2.2.3"),
        "trial": circumstances,
        "schema": None,
        "database": None,
        "arguments": [],
    }


def test_without_a_trial_none_is_noted(host: Host) -> None:
    host.answer["gpus"] = None
    host.prepare(prepare_trial=False)
    assert host.note == {
        "image": _prepared.image_proof("sha256:1", "2.2.3"),
        "trial": None,
        "schema": None,
        "database": None,
        "arguments": [],
    }


def test_arguments_of_the_operator_are_tried_and_noted(host: Host) -> None:
    host.prepare(extra_args=["--ray-port-range", "42000-42999"])
    assert host.note is not None
    assert host.tried == host.note["arguments"] == ["--ray-port-range", "42000-42999"]


def test_a_secret_among_them_reaches_no_container(host: Host) -> None:
    with pytest.raises(_prepare.PrepareError, match="gpustack_extra_args holds a secret"):
        host.prepare(extra_args=["--token", "planted-secret"])
    assert host.tried == []


@pytest.mark.parametrize("answer", [{"version": "2.2.2"}, {"gpus": []}])
def test_a_failure_takes_back_what_was_proven_before(host: Host, answer: dict[str, Any]) -> None:
    host.prepare()
    host.answer.update(answer)
    with pytest.raises(_prepare.PrepareError):
        host.prepare()
    assert host.note is None


def test_check_mode_notes_nothing(host: Host, tmp_path: Path) -> None:
    host.prepare(check_mode=True)
    assert list(tmp_path.iterdir()) == []


def test_the_legacy_image_alone_leaves_image_and_note_as_they_are(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.prepare()
    before = host.note
    record = {"Id": "c1", "Image": "sha256:0", "Config": {"Image": "gpustack/gpustack:v0.7.1"}}
    monkeypatch.setattr(_prepare, "DockerReader", lambda _host: SimpleNamespace(inspect=lambda _name: record))
    monkeypatch.setattr(_prepare, "_is_server", lambda *_asked: False)
    done = host.prepare(prepare_image=False, prepare_trial=False, backup_legacy_image=True)
    assert (done["changed"], done["image"], host.saved) == (True, None, ["c1"])
    assert host.note == before


def old_server(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server whose database is that of a real 0.6.2."""
    (tmp_path / "data").mkdir()
    old_databases.make(tmp_path / "data", "0.6.2")
    mounts = [engine_records.bind(str(tmp_path / "data"))]
    record = engine_records.container(command=["--disable-worker"], mounts=mounts, running=False)
    monkeypatch.setattr(_prepare, "DockerReader", lambda _host: SimpleNamespace(inspect=lambda _name: record))


def test_an_old_database_is_tried_with_the_image_and_that_is_noted(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old_server(host, monkeypatch, tmp_path)
    facts = _snapshot.RecoveredFacts("ok", 0, "d19176de3b74", {}, 1)
    asked = []

    def try_schema(*arguments: Any) -> _raised_snapshot.Raised:
        asked.append(arguments[1:4])
        return _raised_snapshot.Raised("c45e397531d1", facts, {"api_keys": 1})

    monkeypatch.setattr(_schema_trial, "try_schema", try_schema)
    done = host.prepare(prepare_trial=False, prepare_schema=True)
    assert asked == [("sha256:1", str(tmp_path / "data"), False)]
    assert done["schema"] == {"from": "c45e397531d1", "to": "d19176de3b74", "dropped": {"api_keys": 1}}
    assert host.note is not None
    assert host.note["schema"] == _prepared.schema_proof("c45e397531d1")


def test_a_database_that_the_image_cannot_take_is_refused_and_nothing_is_noted(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old_server(host, monkeypatch, tmp_path)

    def try_schema(*_arguments: Any) -> _raised_snapshot.Raised:
        raise _raised_snapshot.RaiseError("the migrator cannot take it")

    monkeypatch.setattr(_schema_trial, "try_schema", try_schema)
    with pytest.raises(_prepare.PrepareError, match="the migrator cannot take it"):
        host.prepare(prepare_trial=False, prepare_schema=True)
    assert host.note is None


RUNNER = "gpustack/runner:cuda12.8-vllm0.17.1"


class RunnerEngine(Reader):
    """An engine that has some images, and gets what is brought."""

    def __init__(self, present: dict[str, str], archived: tuple[str, ...] = ()) -> None:
        super().__init__(None)
        self.present, self.archived, self.pulled = present, archived, [""][:0]

    def images(self, references: Any) -> dict[str, dict[str, Any]]:
        return {name: {"Id": self.present[name]} for name in references if name in self.present}

    def pull(self, _client: Any, request: _image.ImageRequest, _ways_out: Any) -> None:
        self.pulled.append(request.reference)
        self.present[request.reference] = "sha256:9"

    def load(self, _client: Any, _archive: str) -> None:
        self.present.update(dict.fromkeys(self.archived, "sha256:9"))


def with_engine(host: Host, monkeypatch: pytest.MonkeyPatch, engine: RunnerEngine) -> RunnerEngine:
    monkeypatch.setattr(_prepare, "DockerReader", lambda _host: engine)
    monkeypatch.setattr(_image, "fetch", engine.pull)
    monkeypatch.setattr(_image, "load_all", engine.load)
    return engine


def test_runner_images_are_brought_and_noted_beside_the_rest(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = with_engine(host, monkeypatch, RunnerEngine({}))
    done = host.prepare(runner_images=[RUNNER])
    assert (done["changed"], done["actions"], done["runner_images"]) == (True, [f"pull {RUNNER}"], [RUNNER])
    assert engine.pulled == [RUNNER]
    assert host.note is not None
    assert host.note["runner_images"]["images"] == {RUNNER: "sha256:9"}
    assert host.note["trial"]
    assert host.prepare(runner_images=[RUNNER])["changed"] is False


def test_runner_images_alone_leave_what_was_proven(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.prepare()
    with_engine(host, monkeypatch, RunnerEngine({RUNNER: "sha256:9"}))
    host.prepare(runner_images=[RUNNER], prepare_image=False, prepare_trial=False)
    assert host.note is not None
    assert {name for name, proof in host.note.items() if proof} == {"image", "trial", "runner_images"}


def test_an_archive_that_lacks_one_is_an_error(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(host, monkeypatch, RunnerEngine({}, archived=("gpustack/runner:other",)))
    with pytest.raises(_prepare.PrepareError, match=r"/a\.tar lacks gpustack/runner:cuda12"):
        host.prepare(runner_images=[RUNNER], runner_images_archive="/a.tar")


def test_check_mode_asks_no_image_and_brings_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = with_engine(host, monkeypatch, RunnerEngine({}))
    assert host.prepare(check_mode=True, runner_images=[RUNNER])["actions"] == [f"pull {RUNNER}"]
    backends = [{"backend": "vLLM", "backend_version": None}]
    actions = host.prepare(check_mode=True, runner_backends=backends)["actions"]
    assert actions == ["have the runner images that gpustack/gpustack:v2.2.3 wants for vLLM"]
    assert (engine.pulled, host.note) == ([], None)
