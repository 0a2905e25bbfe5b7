# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to do on a host, and every refusal that comes before downtime.

The engine is the in-memory one of `fake_engine`, read as `DockerReader` reads the real one; files and journal are real.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _container_spec,
    _going_on,
    _host_facts,
    _image,
    _journal,
    _options,
    _situation,
    _supervisors,
    _systemd_unit,
)
from ansible_collections.fleetops.gpustack.plugins.module_utils._attempt import SwitchError, from_entries
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils import engine_records
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.fake_engine import FakeEngine

RUN = "20261124T031500Z"
WORKER = ["--server-url", "http://server", "--token", "legacy-secret"]


class Host:
    """The engine, as it is read, and the parameters of the call."""

    def __init__(self, root: Path, *records: dict[str, Any]) -> None:
        self.engine = FakeEngine(*records)
        self.units: list[_supervisors.UnitCommand] = []
        self.unit = _systemd_unit.Unit("ai.service", {}, [])
        self.images: dict[str, Any] = {"gpustack/gpustack:v2.2.3": {"Id": "sha256:new", "Architecture": "amd64"}}
        self.params: dict[str, Any] = {
            "docker_host": "unix:///var/run/docker.sock",
            "run_command": None,
            "state_dir": str(root / "state"),
            "backup_dir": "/var/backups/gpustack",
            "installation": "gpustack",
            "release": "v2.2.3",
            "image": "gpustack/gpustack:v2.2.3",
            "image_id": None,
            "container_name": None,
            "network": None,
            "gpu": {},
            "gpu_devices": [],
            "extra_args": [],
            "extra_env": {},
            "extra_volumes": [],
            "rollout_env": {},
            "server_url": None,
            "token": None,
            "run_id": RUN,
            "fix_permissions": False,
            "mend_wrecks": False,
            "database_url": None,
            "database_tools_image": None,
        }

    def inspect(self, container: str) -> dict[str, Any] | None:
        return self.engine.inspect(container)

    def containers(self) -> list[dict[str, Any]]:
        return list(self.engine.records.values())

    def inspect_all(self, ids: list[str]) -> list[dict[str, Any]]:
        return [self.engine.records[each] for each in ids]

    def image(self, reference: str) -> dict[str, Any] | None:
        return self.images.get(reference)  # type: ignore[no-any-return]

    def info(self) -> dict[str, Any]:
        return {"DockerRootDir": "/var/lib/docker"}

    def version(self) -> dict[str, Any]:
        return {"Arch": "amd64"}

    def assess(self, needs_image: bool = True) -> _situation.Situation:
        return _situation.assess(self.params, needs_image)

    def journal(self, *marks: tuple[str, str], **begin: Any) -> None:
        """An attempt that came as far as these entries."""
        attempt = self.assess().attempt
        writer = _journal.Journal(self.params["state_dir"], RUN)
        writer.record("begin", "started", {**attempt.__dict__, **begin})
        for step, state in marks:
            writer.record(step, state)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    return path


@pytest.fixture
def make(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A host whose legacy container has these arguments and settings."""

    def made(command: list[str], **others: Any) -> Host:
        mounts = [engine_records.bind(str(data_dir))]
        host = Host(tmp_path, engine_records.container(command=command, mounts=mounts, **others))
        monkeypatch.setattr(_situation, "DockerReader", lambda docker_host: host)
        monkeypatch.setattr(_supervisors, "unit_commands", lambda: host.units)
        monkeypatch.setattr(_systemd_unit, "read", lambda name, run: host.unit)
        return host

    return made


def refusal(host: Host) -> str:
    with pytest.raises((SwitchError, _image.ImageError, _options.OptionsError)) as refused:
        host.assess()
    return str(refused.value)


def test_a_legacy_server_is_to_be_switched(make: Any, data_dir: Path) -> None:
    found = make(["--disable-worker"]).assess()
    assert found.action == _situation.BEGIN
    assert found.attempt.role == "server"
    assert found.attempt.release == "2.2.3"
    assert found.attempt.data_dir == str(data_dir)
    assert found.attempt.backup == f"/var/backups/gpustack/{RUN}"
    assert found.attempt.restart_policy == {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert found.spec["environment"]["GPUSTACK_DATA_MIGRATION"] == "true"


def test_a_worker_migrates_nothing_and_brings_its_own_token(make: Any) -> None:
    found = make(WORKER).assess()
    assert found.attempt.role == "worker"
    assert "GPUSTACK_DATA_MIGRATION" not in found.spec["environment"]
    assert found.spec["environment"]["GPUSTACK_TOKEN"] == "legacy-secret"


def test_the_token_file_of_a_worker_is_used(make: Any, data_dir: Path) -> None:
    (data_dir / "token").write_text("from-file\n")
    found = make(WORKER[:2]).assess()
    assert found.spec["environment"]["GPUSTACK_TOKEN"] == "from-file"


def test_url_and_token_can_be_overridden(make: Any) -> None:
    host = make(WORKER)
    host.params.update(server_url="https://new", token="given")
    spec = host.assess().spec
    assert spec["command"][-2:] == ["--server-url", "https://new"]
    assert spec["environment"]["GPUSTACK_TOKEN"] == "given"


def test_the_roll_out_variables_are_a_servers(make: Any) -> None:
    for command, expected in ((["--disable-worker"], True), (WORKER, False)):
        host = make(command)
        host.params["rollout_env"] = {"GPUSTACK_X": "1"}
        assert ("GPUSTACK_X" in host.assess().spec["environment"]) is expected


def test_check_mode_does_without_the_image(make: Any) -> None:
    host = make(WORKER)
    host.images.clear()
    assert host.assess(needs_image=False).action == _situation.BEGIN
    assert "prepare it first" in refusal(host)


def test_an_image_that_is_not_the_pinned_one(make: Any) -> None:
    host = make(WORKER)
    host.params["image_id"] = "sha256:other"
    assert "sha256:other" in refusal(host)


@pytest.mark.parametrize("command", [["--disable-worker"], WORKER])
def test_directories_that_cannot_be_written_are_refused_before_anything_stops(
    make: Any, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    host = make(command)
    host.params["backup_dir"] = str(tmp_path / "backups")
    for directory in (data_dir, tmp_path / "backups" / RUN):
        locked = str(directory)
        monkeypatch.setattr(_host_facts, "unwritable", lambda path, at=locked: f"{path}: no; w" if path == at else None)
        assert refusal(host) == f"{directory}: no; w. Nothing was changed."


def test_open_files_are_no_more_than_the_engine_may_have(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "docker.pid"
    monkeypatch.setattr(_situation, "ENGINE_PID_FILE", str(pid_file))
    (limit,) = make(WORKER).assess().spec["ulimits"]
    assert limit["hard"] == 65535
    pid_file.write_text("self")
    assert _situation._engine_open_files() is None
    monkeypatch.setattr(_situation, "_engine_open_files", lambda: 20000)
    (limit,) = make(WORKER).assess().spec["ulimits"]
    assert limit == {"name": "nofile", "soft": 20000, "hard": 20000}


# Supervised containers


def test_a_container_that_removes_itself_is_taken_over(make: Any) -> None:
    found = make(WORKER, AutoRemove=True, RestartPolicy={"Name": "no", "MaximumRetryCount": 0}).assess()
    assert found.attempt.is_throwaway
    assert found.attempt.lasting_policy["Name"] == "unless-stopped"
    assert found.spec["restart_policy"]["Name"] == "unless-stopped"


def with_unit(host: Host, command: str) -> Host:
    host.units = [_supervisors.UnitCommand("ai.service", "/etc/systemd/system/ai.service", tuple(command.split()))]
    states = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    host.unit = _systemd_unit.Unit("ai.service", states, [("ExecStart", command)])
    return host


def test_a_unit_is_taken_over_and_remembered_as_it_was(make: Any) -> None:
    found = with_unit(make(WORKER), "/usr/bin/docker run --rm --name gpustack gpustack/gpustack").assess()
    assert found.attempt.unit == {
        "name": "ai.service",
        "enabled": True,
        "active": True,
        "makes": True,
        "removes": True,
    }


def test_a_unit_that_nobody_uses_is_not_heeded(make: Any) -> None:
    host = with_unit(make(WORKER), "/usr/bin/docker start gpustack")
    host.unit = host.unit._replace(
        properties={"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}
    )
    assert host.assess().attempt.unit is None


def test_a_unit_that_does_more_is_refused(make: Any) -> None:
    message = refusal(with_unit(make(WORKER), "/usr/bin/docker start gpustack other"))
    assert "ai.service" in message
    assert "disable it and run the container by itself" in message


def test_watchtower_is_kept_off_the_new_container(make: Any) -> None:
    host = make(WORKER)
    tower = engine_records.container(name="tower", image="containrrr/watchtower", entry_point=["/watchtower"])
    host.engine.records[tower["Id"]] = tower
    found = host.assess()
    assert found.spec["labels"]["com.centurylinklabs.watchtower.enable"] == "false"
    assert [each["action"] for each in found.leftovers if "watchtower" in each["item"]] == ["added"]


def in_layer(host: Host, root: Path) -> Host:
    record = next(iter(host.engine.records.values()))
    record["Mounts"] = []
    record["GraphDriver"] = {"Data": {"UpperDir": str(root / "layer"), "LowerDir": str(root / "image")}}
    (root / "layer/var/lib/gpustack").mkdir(parents=True)
    return host


def test_data_in_the_containers_own_layer_goes_into_a_volume(make: Any, tmp_path: Path) -> None:
    found = in_layer(make(["--disable-worker"]), tmp_path).assess()
    assert found.attempt.data_dir == f"/var/lib/docker/volumes/gpustack-data-{RUN}/_data"
    (mount,) = found.spec["mounts"]
    assert (mount["type"], mount["source"]) == ("volume", f"gpustack-data-{RUN}")
    assert mount["target"] == "/var/lib/gpustack"


def test_the_token_of_a_worker_whose_data_is_in_its_layer(make: Any, tmp_path: Path) -> None:
    host = in_layer(make(WORKER[:2]), tmp_path)
    (tmp_path / "layer/var/lib/gpustack/token").write_text("from-layer\n")
    assert host.assess().spec["environment"]["GPUSTACK_TOKEN"] == "from-layer"


def test_data_that_would_be_deleted_with_its_container(make: Any, tmp_path: Path) -> None:
    assert "docker cp" in refusal(in_layer(make(WORKER, AutoRemove=True), tmp_path))


@pytest.mark.parametrize(
    "labels", [{"com.docker.swarm.service.name": "ai_gpustack"}, {"io.kubernetes.pod.name": "gpustack-0"}]
)
def test_a_container_that_is_rescheduled(make: Any, labels: dict[str, str]) -> None:
    assert "run the container by itself" in refusal(make(WORKER, labels=labels))


def test_an_interrupted_attempt_goes_on_from_the_saved_definition(make: Any, tmp_path: Path) -> None:
    host = make(WORKER, AutoRemove=True)
    host.params["backup_dir"] = str(tmp_path / "backups")
    host.journal(("recreate", "done"), ("stop", "started"))
    (record,) = host.engine.records.values()
    backup = tmp_path / "backups" / RUN
    backup.mkdir(parents=True)
    (backup / "container.json").write_text(json.dumps(record))
    host.engine.records = {"copy": {**record, "Id": "copy", "Name": f"/gpustack-legacy-{RUN}"}}
    host.engine.records["copy"]["State"] = {"Running": False, "Status": "created"}
    host.engine.records["copy"]["HostConfig"] = {**record["HostConfig"], "AutoRemove": False}
    found = host.assess()
    assert found.action == _situation.AGAIN
    assert found.container["HostConfig"]["AutoRemove"] is True


# Refusals


def test_no_such_container(make: Any) -> None:
    host = make(WORKER)
    host.params["installation"] = "other"
    assert "There is no container other" in refusal(host)


def test_data_in_the_containers_own_layer(make: Any) -> None:
    host = make(["--data-dir", "/elsewhere", "--disable-worker"])
    assert "docker cp" in refusal(host)


def test_a_container_of_the_new_generation(make: Any) -> None:
    host = make([], image="gpustack/gpustack:v2.2.3", entry_point=engine_records.V2_ENTRY_POINT)
    assert "no legacy GPUStack" in refusal(host)


@pytest.mark.parametrize(
    "url", ["oracle://root:planted@db/x", "postgresql://root:planted@db/x?options=-csearch_path=y"]
)
def test_an_external_database_that_cannot_be_followed(make: Any, url: str) -> None:
    message = refusal(make(["--disable-worker", "--database-url", url]))
    assert "upstream's guide" in message or "options that this collection cannot follow" in message
    assert "planted" not in message


def test_an_attempt_knows_what_its_way_back_needs_of_an_external_mysql(make: Any) -> None:
    host = make(["--disable-worker", "--database-url", "mysql://gpustack:planted@db/gpustack"])
    host.params["database_tools_image"] = "mysql:8.4"
    attempt = host.assess(needs_image=False).attempt
    assert (attempt.external, attempt.database_kind, attempt.tools_image) == (True, "mysql", "mysql:8.4")
    assert attempt.libraries == ["docker", "pymysql"]
    assert make(["--disable-worker"]).assess().attempt.libraries == ["docker", "psycopg"]


def test_sqlite_is_not_migrated_into_mysql(make: Any) -> None:
    host = make(["--disable-worker"])
    host.params["database_url"] = "mysql://gpustack:planted@db/gpustack"
    assert "into PostgreSQL alone" in refusal(host)
    assert "planted" not in refusal(host)


def test_a_directory_that_postgresql_cannot_enter(make: Any, data_dir: Path) -> None:
    data_dir.chmod(0o700)
    host = make(["--disable-worker"])
    assert "gpustack_fix_permissions" in refusal(host)
    host.params["fix_permissions"] = True
    assert host.assess().action == _situation.BEGIN


def test_a_worker_without_a_token(make: Any) -> None:
    assert "set gpustack_token" in refusal(make(WORKER[:2]))


def test_arguments_that_nobody_understands(make: Any) -> None:
    assert "cannot be understood" in refusal(make([*WORKER, "--no-such-option", "1"]))


def test_a_name_that_somebody_else_has(make: Any) -> None:
    host = make(WORKER)
    other = engine_records.container(name="wanted", image="nginx")
    host.engine.records[other["Id"]] = other
    host.params["container_name"] = "wanted"
    assert "Another container is called wanted" in refusal(host)


# Upgrades by hand


def by_hand(host: Host) -> dict[str, Any]:
    """A v2 container with the name that the legacy one had, on its data directory."""
    legacy = host.engine.records[host.inspect("gpustack")["Id"]]  # type: ignore[index]
    legacy["Name"] = "/gpustack-old"
    record = engine_records.container(
        "gpustack-by-hand",
        image="gpustack/gpustack:v2.2.3",
        entry_point=engine_records.V2_ENTRY_POINT,
        command=["--disable-worker"],
        mounts=legacy["Mounts"],
    )
    record["Name"] = "/gpustack"
    host.engine.records[record["Id"]] = record
    host.params.update(installation="gpustack-old", container_name="gpustack")
    return record


def test_a_wreck_is_refused_without_consent(make: Any) -> None:
    host = make(["--disable-worker"])
    by_hand(host)
    assert "set gpustack_mend_wrecks: true" in refusal(host)


def test_a_wreck_that_will_be_mended_gives_its_name_to_the_new_container(make: Any) -> None:
    host = make(["--disable-worker"])
    record = by_hand(host)
    host.params["mend_wrecks"] = True
    found = host.assess()
    assert found.wreck is not None
    assert [each["id"] for each in found.wreck.containers] == [record["Id"]]
    assert found.spec["name"] == "gpustack"


def test_a_legacy_host_has_no_wreck(make: Any) -> None:
    assert make(["--disable-worker"]).assess().wreck is None


# What an earlier attempt left


def test_an_upgraded_host_has_nothing_to_do(make: Any) -> None:
    host = make(WORKER)
    host.journal(("accept", "done"), ("done", "done"))
    record = host.engine.records[host.inspect("gpustack")["Id"]]
    record["Config"]["Labels"]["fleetops.gpustack.attempt"] = RUN
    assert host.assess().action == _situation.NOTHING
    host.params["release"] = "2.0.3"
    assert "is GPUStack 2.2.3 already" in refusal(host)


def test_an_upgraded_host_whose_container_is_another_one(make: Any) -> None:
    host = make(WORKER)
    host.journal(("accept", "done"), ("done", "done"))
    assert "is not the one that it made" in refusal(host)


@pytest.mark.parametrize("marks", [[], [("stop", "done"), ("create", "started")], [("accept", "started")]])
def test_an_attempt_that_was_not_accepted_begins_again_under_its_name(make: Any, marks: Any) -> None:
    host = make(WORKER)
    host.journal(*marks, restart_policy={"Name": "always", "MaximumRetryCount": 0})
    host.params.update(run_id="20270101T000000Z", release="2.0.3")
    legacy = host.engine.records[host.inspect("gpustack")["Id"]]
    legacy["Name"] = f"/gpustack-legacy-{RUN}"
    legacy["HostConfig"]["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    found = host.assess()
    assert found.action == _situation.AGAIN
    assert found.attempt.name == RUN
    assert found.attempt.restart_policy["Name"] == "always"
    assert found.attempt.release == "2.0.3"
    assert found.spec["name"] == "gpustack"


@pytest.fixture
def cut_off(make: Any, tmp_path: Path) -> Host:
    """A worker whose run was cut off while it waited for the container that it had started."""
    host = make(WORKER)
    host.params["backup_dir"] = str(tmp_path / "backups")
    begun = host.assess()
    legacy = host.engine.records[begun.container["Id"]]
    legacy["State"].update(Running=False, Status="exited", StartedAt="2026-01-01T00:00:00.000000000Z")
    host.journal()
    writer = _journal.Journal(host.params["state_dir"], RUN)
    writer.record("stop", "done", {"legacy_started": legacy["State"]["StartedAt"]})
    legacy.update(Name=f"/gpustack-legacy-{RUN}")
    legacy["HostConfig"]["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    wanted = _going_on.wanted(host.params, begun.spec)
    spec_file = Path(begun.attempt.spec_file)
    spec_file.parent.mkdir(parents=True)
    spec_file.write_text(json.dumps(wanted))
    host.engine.images[host.params["image"]] = host.images[host.params["image"]]
    new = host.engine.create("gpustack", _container_spec.create_body(wanted["spec"]))
    writer.record("create", "done", {"container": new})
    host.engine.start(new)
    writer.record("start", "done", {"started": host.engine.records[new]["State"]["StartedAt"]})
    return host  # type: ignore[no-any-return]


def test_a_container_that_was_started_and_left_alone_goes_on(cut_off: Host) -> None:
    found = cut_off.assess()
    assert found.action == _situation.GO_ON
    assert found.attempt.name == RUN


@pytest.mark.parametrize(
    ("name", "value"), [("release", "2.0.3"), ("extra_args", ["--worker-port", "12345"]), ("token", "another")]
)
def test_a_request_that_is_another_by_now_begins_again(cut_off: Host, name: str, value: Any) -> None:
    cut_off.params[name] = value
    assert cut_off.assess().action == _situation.AGAIN


def test_an_image_that_is_another_by_now_begins_again(cut_off: Host) -> None:
    cut_off.images[cut_off.params["image"]] = {**cut_off.images[cut_off.params["image"]], "Id": "sha256:other"}
    assert cut_off.assess().action == _situation.AGAIN


def test_an_accepted_attempt_is_finished(make: Any) -> None:
    host = make(WORKER)
    host.journal(("accept", "done"), ("done", "started"))
    assert host.assess().action == _situation.FINISH


def test_a_new_try_after_a_way_back_needs_a_new_run_id(make: Any) -> None:
    host = make(WORKER)
    host.journal(("undo_begin", "started"), ("undo_done", "done"))
    assert "give another run_id" in refusal(host)
    host.params["run_id"] = "20270101T000000Z"
    assert host.assess().action == _situation.BEGIN


def test_a_run_id_of_another_installation_of_the_machine_is_refused(make: Any) -> None:
    host = make(WORKER)
    sibling = engine_records.container(name="other", labels={"fleetops.gpustack.attempt": RUN})
    host.engine.records[sibling["Id"]] = {**sibling, "Labels": sibling["Config"]["Labels"]}
    assert "give another run_id" in refusal(host)


def test_an_interrupted_attempt_whose_legacy_container_is_gone(make: Any) -> None:
    host = make(WORKER)
    host.journal(("stop", "done"))
    host.engine.records.clear()
    assert "container.json" in refusal(host)


def test_a_way_back_takes_acceptance_away(make: Any) -> None:
    host = make(WORKER)
    host.journal(("accept", "done"), ("done", "done"), ("undo_begin", "started"))
    entries = _journal.read_entries(host.params["state_dir"])
    assert _situation.accepted(entries) is False
    assert from_entries(entries).name == RUN


# --- the configuration file


@pytest.fixture
def make_configured(make: Any, data_dir: Path) -> Any:
    """A server with a configuration file of this text in its data directory."""

    def made(text: str) -> Host:
        (data_dir / "c.yaml").write_text(text)
        host: Host = make(["--disable-worker", "--config-file", "/var/lib/gpustack/c.yaml"])
        host.params["release"] = "2.0.3"
        return host

    return made


def test_a_file_that_v2_reads_alike_is_not_copied(make_configured: Any) -> None:
    found = make_configured("debug: true\n").assess()
    assert found.config_copy is None
    assert "/var/lib/gpustack/c.yaml" in found.spec["command"]


def test_the_copy_is_made_on_the_host_with_its_secrets_which_show_nowhere_else(make_configured: Any) -> None:
    text = "token: s3cr3t-value  # ours\nenable_ray: true\n"
    found = make_configured(text).assess()
    assert found.config_copy is not None
    assert found.config_copy.split("\n", 1)[1] == "token: s3cr3t-value  # ours\n"
    assert f"/var/lib/gpustack/{_config_file.COPY_NAME}" in found.spec["command"]
    assert "s3cr3t-value" not in json.dumps([found.spec, found.leftovers])


def test_a_file_of_a_form_that_is_not_understood_is_refused(make_configured: Any) -> None:
    assert "write every key at the beginning of a line" in refusal(make_configured("{enable_ray: true}\n"))


def test_a_copy_that_is_not_what_the_file_says_now_is_not_gone_on_with(
    make_configured: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_configured("enable_ray: true\nport: 81\n")
    monkeypatch.setattr(_going_on, "is_possible", lambda *args: True)
    copy = host.assess().config_copy
    host.journal()
    assert host.assess().action == _situation.AGAIN
    (data_dir / _config_file.COPY_NAME).write_text(copy)
    assert host.assess().action == _situation.GO_ON
    (data_dir / "c.yaml").write_text("enable_ray: true\nport: 82\n")
    assert host.assess().action == _situation.AGAIN
