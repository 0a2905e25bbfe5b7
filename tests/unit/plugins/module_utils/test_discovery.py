# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers are taken for GPUStack installations, and what is read off them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _discovery
from ansible_collections.fleetops.gpustack.plugins.module_utils._supervisors import UnitCommand
from ansible_collections.fleetops.gpustack.tests.unit.plugins.module_utils.engine_records import (
    CPU_ENTRY_POINT,
    V2_ENTRY_POINT,
    bind,
    container,
    image,
)

ANONYMOUS = "f" * 64


def nothing(_path: str) -> None:
    """A host on which no file can be read."""
    return


def discovered(
    *containers: dict[str, Any], images: Any = None, units: Any = (), read: Any = nothing
) -> list[dict[str, Any]]:
    """The evidence of each installation."""
    return [found.facts for found in _discovery.find(containers, images or {}, units, read)]


def only(*containers: dict[str, Any], **others: Any) -> dict[str, Any]:
    """The evidence of the only installation."""
    (facts,) = discovered(*containers, **others)
    return facts


@pytest.mark.parametrize(
    "found",
    [
        container(),
        container(name="foo-worker-1"),
        container(image="registry.example.com:5000/mirror/gpustack:v0.7.1"),
        container(image="gpustack/gpustack:v0.7.1-cpu", entry_point=CPU_ENTRY_POINT),
        container(image="corp/llm:7", entry_point=["gpustack"], command=["start", "--port", "9090"]),
        container(image="sha256:1"),
        container(image="gpustack/gpustack:v2.2.3", entry_point=V2_ENTRY_POINT),
        container(image="quay.io/gpustack/gpustack:v2.0.3", entry_point=["/init"]),
        container(running=False),
    ],
    ids=lambda found: found["Config"]["Image"] + " " + found["Name"],
)
def test_an_installation_is_found_by_what_it_starts(found: dict[str, Any]) -> None:
    assert len(discovered(found)) == 1


@pytest.mark.parametrize(
    "other",
    [
        container(image="postgres:17", entry_point=["docker-entrypoint.sh"]),
        container(image="gpustack/runner:cuda12.8-vllm0.10.0", entry_point=["/entrypoint.sh"]),
        container(image="gpustack/runtime:health", entry_point=["/init"]),
        container(image="gpustack/gpustack:v0.7.1", entry_point=["gpustack"], command=["reset-admin-password"]),
        container(
            image="gpustack/gpustack:v2.2.3", entry_point=V2_ENTRY_POINT, labels={"fleetops.gpustack.trial": "x"}
        ),
        container(
            image="gpustack/gpustack:v2.2.3",
            entry_point=V2_ENTRY_POINT,
            labels={"runtime.gpustack.ai/workload": "model-1"},
        ),
        container(image="gpustack/gpustack:v2.2.3", entry_point=["sleep"], command=["180"]),
    ],
    ids=lambda other: other["Config"]["Image"] + " " + str(other["Config"]["Entrypoint"]),
)
def test_other_containers_are_left_out(other: dict[str, Any]) -> None:
    assert discovered(other) == []


def test_a_container_that_runs_an_image_without_a_name_is_known_by_the_images_own_names() -> None:
    known = image()
    known["RepoTags"] = ["gpustack/gpustack:v2.1.2"]
    facts = only(container(image="sha256:1", entry_point=V2_ENTRY_POINT), images={"sha256:1": known})
    assert (facts["generation"], facts["release"], facts["release_source"]) == ("v2", "2.1.2", "tag")


@pytest.mark.parametrize(
    ("reference", "release"),
    [
        ("gpustack/gpustack:v0.7.1", "0.7.1"),
        ("gpustack/gpustack:0.7.1", "0.7.1"),
        ("gpustack/gpustack:v0.7.1-cuda12.8", "0.7.1"),
        ("registry:5000/gpustack:v0.7.0-npu-310p@sha256:" + "0" * 64, "0.7.0"),
        ("registry:5000/gpustack", None),
        ("gpustack/gpustack:latest-rocm", None),
        ("gpustack/gpustack:v0.7", None),
    ],
)
def test_the_tag_tells_the_release(reference: str, release: str | None) -> None:
    assert only(container(image=reference))["release"] == release


def test_a_label_tells_the_release_when_the_tag_does_not() -> None:
    facts = only(container(image="gpustack/gpustack", labels={"org.opencontainers.image.version": "v0.7.1"}))
    assert (facts["release"], facts["release_source"]) == ("0.7.1", "label")


def test_our_own_label_wins_over_the_tag() -> None:
    labels = {"fleetops.gpustack.attempt": "20261124T030000Z", "fleetops.gpustack.release": "2.2.3"}
    facts = only(container(image="mirror/gpustack:stable", entry_point=V2_ENTRY_POINT, labels=labels))
    assert (facts["release"], facts["generation"], facts["attempt"]) == ("2.2.3", "v2", "20261124T030000Z")


def test_an_image_without_a_release_shows_its_generation_by_what_it_brings() -> None:
    legacy = only(container(image="gpustack/gpustack"))
    v2 = only(container(image="gpustack/gpustack", entry_point=V2_ENTRY_POINT))
    started = container(image="gpustack/gpustack", entry_point=["/init", "gpustack", "start"])
    v2_by_environment = only(
        started, images={"sha256:1": image(Env=["GPUSTACK_RUNTIME_DEPLOY_MIRRORED_DEPLOYMENT=true"])}
    )
    assert [facts["generation"] for facts in (legacy, v2, v2_by_environment)] == ["legacy", "v2", "v2"]


@pytest.mark.parametrize(
    ("command", "env", "role"),
    [
        (None, [], "both"),
        (["--disable-worker"], [], "server"),
        ([], ["GPUSTACK_DISABLE_WORKER=true"], "server"),
        ([], ["GPUSTACK_DISABLE_WORKER=false"], "both"),
        (["--server-url", "http://s", "--token", "x"], [], "worker"),
        (["--server-url=http://s"], [], "worker"),
        (["-s", "http://s"], [], "worker"),
        ([], ["GPUSTACK_SERVER_URL=http://s"], "worker"),
        ([], ["GPU_STACK_SERVER_URL=http://s"], "worker"),
    ],
)
def test_the_role_follows_from_the_settings(command: list[str] | None, env: list[str], role: str) -> None:
    assert only(container(command=command, env=env))["role"] == role


def test_a_configuration_file_is_read_through_the_mounts() -> None:
    text = "# ours\nserver_url: 'http://s:8080'  # the server\ntoken: abc\nlabels:\n  port: 1\n"
    files = {"/etc/gpustack/config.yaml": text}
    mounts = [bind("/etc/gpustack", "/config")]
    found = container(command=["--config-file", "/config/config.yaml"], mounts=mounts)
    (installation,) = _discovery.find([found], {}, (), files.get)
    assert installation.facts["role"] == "worker"
    assert installation.facts["config_file"] == {
        "path": "/config/config.yaml",
        "option_names": ["server_url", "token", "labels"],
        "option_values": {"server_url": "http://s:8080", "token": "********"},
        "problem": None,
    }
    assert installation.settings.get("server_url") == "http://s:8080"
    assert installation.settings.source("token") == "config"
    assert installation.settings.get("port") is None


def test_a_configuration_file_that_cannot_be_read_is_a_problem() -> None:
    facts = only(container(command=["--config-file", "/config.yaml"]))
    assert "/config.yaml" in facts["options_problem"]
    assert facts["config_file"]["option_names"] is None


def test_arguments_that_cannot_be_understood_are_a_problem_and_still_tell_the_role() -> None:
    facts = only(container(command=["--server-url", "http://s", "--no-such-option"]))
    assert "--no-such-option" in facts["options_problem"]
    assert facts["role"] == "worker"


@pytest.mark.parametrize(
    ("mounts", "command", "expected"),
    [
        ([bind("/data/gpustack")], None, ("bind", "/data/gpustack", None)),
        (None, None, ("volume", "/var/lib/docker/volumes/gpustack-data/_data", "gpustack-data")),
        ([bind("/srv", "/var/lib")], None, ("bind", "/srv/gpustack", None)),
        ([bind("/srv", "/"), bind("/d", "/var/lib/gpustack")], None, ("bind", "/d", None)),
        ([bind("/data/cache", "/var/lib/gpustack/cache")], None, ("layer", None, None)),
        ([bind("/data", "/data")], ["--data-dir", "/data/gpustack/"], ("bind", "/data/gpustack", None)),
        ([], None, ("layer", None, None)),
        (
            [
                {
                    "Type": "volume",
                    "Name": ANONYMOUS,
                    "Source": "/v/_data",
                    "Destination": "/var/lib/gpustack",
                    "RW": True,
                }
            ],
            None,
            ("anonymous", "/v/_data", ANONYMOUS),
        ),
        (
            [{"Type": "tmpfs", "Source": "", "Destination": "/var/lib/gpustack", "RW": True}],
            None,
            ("layer", None, None),
        ),
    ],
)
def test_the_data_directory_is_found_through_the_mounts(mounts: Any, command: Any, expected: tuple[Any, ...]) -> None:
    found = only(container(mounts=mounts, command=command))["data_dir"]
    assert (found["type"], found["host_path"], found["volume"]) == expected


def test_secrets_are_masked_and_what_the_image_brings_is_left_out() -> None:
    own = ["GPUSTACK_TOKEN=hunter2", "TZ=Europe/Berlin", "PATH=/usr/bin"]
    found = container(command=["--token", "hunter2", "--port", "9090"], env=own, labels={"a": "1", "maintainer": "x"})
    facts = only(found, images={"sha256:1": image(Env=["PATH=/usr/bin"], Labels={"maintainer": "x"})})
    assert "hunter2" not in str(facts)
    assert facts["args"] == ["--token", "********", "--port", "9090"]
    assert facts["environment"] == {"GPUSTACK_TOKEN": "********", "TZ": "Europe/Berlin"}
    assert facts["labels"] == {"a": "1"}


def test_the_host_part_is_told_without_mounts_and_secrets() -> None:
    log = {"Type": "splunk", "Config": {"splunk-token": "hunter2", "splunk-url": "https://s"}}
    found = only(container(LogConfig=log, Ulimits=[{"Name": "nofile"}], Dns=[], Binds=["/data:/var/lib/gpustack"]))
    assert found["host_config"]["LogConfig"]["Config"] == {"splunk-token": "********", "splunk-url": "https://s"}
    assert found["host_config"]["Ulimits"] == [{"Name": "nofile"}]
    assert not {"Dns", "Binds", "Mounts"} & found["host_config"].keys()


@pytest.mark.parametrize(("user", "of_the_image", "told"), [("1000", "", "1000"), ("0", "0", None), ("", "", None)])
def test_a_user_that_is_not_the_images(user: str, of_the_image: str, told: str | None) -> None:
    found = container()
    found["Config"]["User"] = user
    assert only(found, images={"sha256:1": image(User=of_the_image)})["user"] == told


def test_published_ports() -> None:
    found = container(
        NetworkMode="bridge", PortBindings={"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "443/tcp": None}
    )
    assert only(found)["published_ports"] == [{"container": "80/tcp", "host_ip": "", "host_port": 8080}]


@pytest.mark.parametrize(
    ("command", "port", "tls"),
    [
        ([], 80, False),
        (["--port", "9090"], 9090, False),
        (["--ssl-keyfile", "/k", "--ssl-certfile", "/c"], 443, True),
        (["--ssl-keyfile", "/k", "--ssl-certfile", "/c", "--port", "8443"], 8443, True),
    ],
)
def test_where_a_server_listens(command: list[str], port: int, tls: bool) -> None:
    server = only(container(command=command))["server"]
    assert (server["port"], server["tls"]) == (port, tls)


def test_an_external_database_is_told_without_its_password() -> None:
    server = only(container(command=["--database-url", "postgresql://u:hunter2@db/gpustack"]))["server"]
    assert server["database"]["kind"] == "external"
    assert "hunter2" not in str(server)


def test_an_sqlite_url_names_a_file_of_its_own() -> None:
    server = only(container(command=["--database-url", "sqlite:////data/other.db"]))["server"]
    assert server["database"] == {
        "kind": "sqlite",
        "url_masked": None,
        "path": "/data/other.db",
        "fingerprint": None,
    }


def test_a_worker_has_no_server_part() -> None:
    assert only(container(command=["--server-url", "http://s"]))["server"] is None


@pytest.mark.parametrize(
    ("name", "retired"),
    [
        ("gpustack-legacy-20261124T030000Z", True),
        ("gpustack-failed-20261124T030000Z", True),
        ("gpustack-rollout-20261124T030000Z", True),
        ("gpustack-legacy", False),
        ("gpustack", False),
    ],
)
def test_retired_containers_are_known_by_their_name(name: str, retired: bool) -> None:
    assert only(container(name=name))["retired"] is retired


def test_several_installations_are_all_reported_by_name() -> None:
    assert [facts["name"] for facts in discovered(container(name="b"), container(name="a"))] == ["a", "b"]


def test_a_unit_that_starts_the_container_is_its_supervisor() -> None:
    unit = UnitCommand(
        "gpustack.service", "/etc/systemd/system/gpustack.service", ("/usr/bin/docker", "start", "-a", "gpustack")
    )
    (found,) = only(container(), units=[unit])["supervisors"]
    assert (found["kind"], found["name"]) == ("systemd", "gpustack.service")
    assert found["file"] == "/etc/systemd/system/gpustack.service"


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([], "/var/lib/docker/overlay2/a/diff/var/lib/gpustack"),
        ([bind("/data/cache", "/var/lib/gpustack/cache")], "/var/lib/docker/overlay2/a/diff/var/lib/gpustack"),
        ([bind("/data")], "/data"),
        ([{"Type": "tmpfs", "Source": "", "Destination": "/var/lib/gpustack", "RW": True}], None),
    ],
)
def test_data_in_the_containers_own_layer_lies_in_the_engines_storage(mounts: Any, expected: str | None) -> None:
    record = container(mounts=mounts)
    record["GraphDriver"] = {"Data": {"UpperDir": "/var/lib/docker/overlay2/a/diff"}}
    assert only(record)["data_dir"]["host_path"] == expected


@pytest.mark.parametrize(
    ("running", "mounts", "expected"),
    [
        (True, [], "/o/a/merged/var/lib/gpustack"),
        (False, [], "/o/a/diff/var/lib/gpustack"),
        (True, [bind("/data")], "/data"),
    ],
)
def test_data_in_a_running_containers_layer_is_read_where_its_locks_are_seen(
    running: bool, mounts: Any, expected: str
) -> None:
    record = container(mounts=mounts, running=running)
    record["GraphDriver"] = {"Data": {"UpperDir": "/o/a/diff", "MergedDir": "/o/a/merged"}}
    assert only(record)["data_dir"]["read_path"] == expected
