# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The v2 container from the legacy one: what goes over, what comes from the vendor, what is named as left over."""

from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import (
    _config_file,
    _container_spec,
    _masking,
    _options,
    _releases,
)

ID = "0123456789abcdef" * 4
IMAGE = "gpustack/gpustack:v2.2.3"
NVIDIA = {
    "runtime": "nvidia",
    "environment": {},
    "volumes": ["/opt/vendor:/opt/vendor:ro"],
    "devices": [],
    "capabilities": [],
    "privileged": True,
    "ipc_mode": None,
    "pid_mode": None,
    "group_add": [],
    "security_opt": [],
    "devices_variable": "NVIDIA_VISIBLE_DEVICES",
    "legacy_environment": ["NVIDIA_VISIBLE_DEVICES"],
    "legacy_mounts": ["/opt/vendor-tools"],
}
LEGACY_IMAGE = {
    "Config": {
        "Env": ["PATH=/usr/bin", "NVIDIA_VISIBLE_DEVICES=all", "PIPX_HOME=/var/lib/gpustack/pipx"],
        "Labels": {"org.opencontainers.image.version": "0.7.1"},
    }
}


def bind(source, target, **more):
    return dict(
        {"Type": "bind", "Source": source, "Destination": target, "Mode": "", "RW": True, "Propagation": "rprivate"},
        **more,
    )


def volume(name, target):
    return {
        "Type": "volume",
        "Name": name,
        "Source": "/x",
        "Destination": target,
        "Mode": "z",
        "RW": True,
        "Propagation": "",
    }


@pytest.fixture(name="legacy")
def legacy_fixture():
    """A documented 0.7.1 server on a bridge, as docker inspect shows it."""
    return {
        "Id": ID,
        "Name": "/gpustack",
        "Config": {
            "Hostname": ID[:12],
            "Domainname": "",
            "User": "",
            "Image": "gpustack/gpustack:v0.7.1",
            "Entrypoint": ["tini", "--", "gpustack", "start"],
            "Cmd": ["--disable-worker", "--bootstrap-password", "pa55word-one"],
            "Env": ["TZ=Europe/Berlin", "HTTPS_PROXY=http://u:pr0xypw@proxy:1", *LEGACY_IMAGE["Config"]["Env"]],
            "Labels": {
                "org.opencontainers.image.version": "0.7.1",
                "team": "ml",
                "com.docker.compose.project": "x",
                "com.centurylinklabs.watchtower.enable": "true",
            },
        },
        "HostConfig": {
            "NetworkMode": "default",
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
            "ExtraHosts": ["db:10.0.0.1"],
            "Dns": ["10.0.0.53"],
            "DnsSearch": ["example.org"],
            "DnsOptions": ["ndots:1"],
            "Ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}],
            "IpcMode": "private",
            "PidMode": "",
            "Runtime": "runc",
            "ShmSize": 67108864,
            "UTSMode": "",
        },
        "Mounts": [bind("/data/gpustack", "/var/lib/gpustack"), volume("models", "/models")],
        "NetworkSettings": {"Networks": {"bridge": {"Aliases": None, "IPAMConfig": None}}},
    }


@pytest.fixture(name="worker")
def worker_fixture(legacy):
    """A documented 0.7.1 worker with NVIDIA GPUs."""
    legacy["Config"].update(Cmd=["--server-url", "http://server", "--token", "t0ken-of-worker"], Hostname="gpu-1")
    legacy["HostConfig"].update(
        NetworkMode="host",
        PortBindings={},
        IpcMode="host",
        Runtime="nvidia",
        DeviceRequests=[{"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]]}],
    )
    return legacy


def build(legacy, role="server", version="2.2.3", flags=None, **settings):
    settings.setdefault("image", IMAGE)
    return _container_spec.build(legacy, LEGACY_IMAGE, _releases.find(version), role, flags, settings)


def items(built, action=None):
    return {each["item"] for each in built.leftovers if action in (None, each["action"])}


def mounts(spec):
    return {mount["target"]: mount["source"] for mount in spec["mounts"]}


# --- what goes over


def test_a_server_keeps_what_the_user_set(legacy):
    spec = build(legacy).spec
    assert spec["name"] == "gpustack"
    assert spec["image"] == IMAGE
    assert spec["command"] == ["--disable-worker"]
    assert spec["network_mode"] == "bridge"
    assert spec["ports"] == [{"container": "80/tcp", "host_ip": "", "host_port": "8080"}]
    assert spec["restart_policy"] == {"Name": "always", "MaximumRetryCount": 0}
    assert spec["log_config"] == {"type": "json-file", "config": {"max-size": "10m"}}
    assert (spec["extra_hosts"], spec["dns"]) == (["db:10.0.0.1"], ["10.0.0.53"])
    assert (spec["dns_search"], spec["dns_options"]) == (["example.org"], ["ndots:1"])
    assert mounts(spec) == {"/var/lib/gpustack": "/data/gpustack", "/models": "models"}


def test_the_environment_goes_over_without_the_images_own(legacy):
    assert build(legacy).spec["environment"] == {
        "TZ": "Europe/Berlin",
        "HTTPS_PROXY": "http://u:pr0xypw@proxy:1",
        "GPUSTACK_BOOTSTRAP_PASSWORD": "pa55word-one",
    }


def test_a_variable_that_describes_the_old_image_is_named(legacy):
    legacy["Config"]["Env"][2] = "PATH=/my/bin"
    built = build(legacy)
    assert "PATH" not in built.spec["environment"]
    assert "PATH" in items(built, "dropped")


def test_labels_go_over_without_the_images_and_the_supervisors(legacy):
    labels = build(legacy, attempt="20261124T000000Z").spec["labels"]
    assert labels == {
        "team": "ml",
        "fleetops.gpustack.attempt": "20261124T000000Z",
        "fleetops.gpustack.release": "2.2.3",
        "fleetops.gpustack.legacy": ID,
    }


def test_open_files_are_raised_unless_set(legacy):
    assert {"name": "nofile", "soft": 65535, "hard": 65535} in build(legacy).spec["ulimits"]
    legacy["HostConfig"]["Ulimits"] = [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert build(legacy).spec["ulimits"] == [{"name": "nofile", "soft": 1, "hard": 2}]


@pytest.mark.parametrize(
    ("network", "hostname", "host_hostname", "expected"),
    [
        ("default", ID[:12], None, None),
        ("default", "mine", None, "mine"),
        ("host", "gpu-1", None, None),
        ("host", "gpu-1", "gpu-1", None),
        ("host", "mine", "gpu-1", "mine"),
    ],
)
def test_a_hostname_goes_over_only_when_the_user_set_it(legacy, network, hostname, host_hostname, expected):
    legacy["HostConfig"].update(NetworkMode=network, PortBindings={})
    legacy["Config"]["Hostname"] = hostname
    assert build(legacy, host_hostname=host_hostname).spec["hostname"] == expected


def test_a_network_of_the_users_own_keeps_aliases_and_addresses(legacy):
    legacy["HostConfig"]["NetworkMode"] = "fleet"
    endpoint = {"Aliases": [ID[:12], "api"], "IPAMConfig": {"IPv4Address": "10.1.0.2"}}
    legacy["NetworkSettings"]["Networks"] = {"fleet": endpoint, "other": {}}
    built = build(legacy)
    assert built.spec["networks"] == {"fleet": {"aliases": ["api"], "ipv4_address": "10.1.0.2", "ipv6_address": None}}
    assert [each["value"] for each in built.leftovers if each["item"] == "network"] == ["other"]
    body = _container_spec.create_body(built.spec)
    assert body["NetworkingConfig"]["EndpointsConfig"]["fleet"]["IPAMConfig"] == {"IPv4Address": "10.1.0.2"}


def test_another_containers_network_is_refused(legacy):
    legacy["HostConfig"]["NetworkMode"] = "container:abc"
    with pytest.raises(_container_spec.SpecError, match="recreate"):
        build(legacy)


def test_what_limits_the_old_container_is_named(legacy):
    legacy["HostConfig"].update(Memory=1, NanoCpus=2, PidsLimit=None, CapDrop=["ALL"], Tmpfs={"/t": ""})
    legacy["Config"]["User"] = "1000"
    assert {"Memory", "NanoCpus", "CapDrop", "Tmpfs", "User"} <= items(build(legacy), "dropped")


def test_settings_of_the_operator_come_last(legacy):
    spec = build(
        legacy,
        container_name="gpustack2",
        extra_args=["--api-port", "31000"],
        extra_env={"TZ": "UTC", "DEBUG_LEVEL": 3},
        extra_volumes=["/srv/cache:/var/lib/gpustack/cache", "named:/named:ro"],
    ).spec
    assert spec["name"] == "gpustack2"
    assert spec["command"][-2:] == ["--api-port", "31000"]
    assert (spec["environment"]["TZ"], spec["environment"]["DEBUG_LEVEL"]) == ("UTC", "3")
    assert mounts(spec)["/var/lib/gpustack/cache"] == "/srv/cache"
    assert [mount["type"] for mount in spec["mounts"] if mount["target"] == "/named"] == ["volume"]


def test_a_secret_in_extra_arguments_is_refused(legacy):
    with pytest.raises(_options.OptionsError, match="gpustack_extra_env"):
        build(legacy, extra_args=["--token", "abc"])


@pytest.mark.parametrize("text", ["/only", "a:b", "/a:/b:nonsense", ":/b", "/a:/b:ro:x"])
def test_a_volume_that_is_none_is_refused(legacy, text):
    with pytest.raises(_container_spec.SpecError, match=r"source:/target|propagation"):
        build(legacy, extra_volumes=[text])


# --- privileges, Docker's socket, the container's own name


def test_a_server_alone_gets_neither_privileges_nor_dockers_socket(legacy):
    spec = build(legacy, flags=NVIDIA).spec
    assert not spec["privileged"]
    assert spec["runtime"] is None
    assert "/var/run/docker.sock" not in mounts(spec)
    assert "GPUSTACK_RUNTIME_DEPLOY_MIRRORED_NAME" not in spec["environment"]


def test_the_first_release_needs_them_for_a_server_too(legacy):
    legacy["HostConfig"]["PortBindings"] = {}
    spec = build(legacy, version="2.0.0").spec
    assert spec["privileged"]
    assert spec["network_mode"] == "host"
    assert mounts(spec)["/var/run/docker.sock"] == "/var/run/docker.sock"
    assert spec["environment"]["GPUSTACK_RUNTIME_DEPLOY_MIRRORED_NAME"] == "gpustack"


@pytest.mark.parametrize("version", list(_releases.RELEASES))
def test_a_worker_knows_its_own_name(worker, version):
    spec = build(worker, "worker", version, NVIDIA, container_name="w").spec
    assert spec["environment"]["GPUSTACK_RUNTIME_DEPLOY_MIRRORED_NAME"] == "w"
    assert spec["privileged"]
    assert "/var/run/docker.sock" in mounts(spec)
    assert spec["network_mode"] == "host"


# --- the vendor's flags


def test_flags_come_from_the_vendor_alone(worker):
    worker["HostConfig"].update(
        Devices=[{"PathOnHost": "/dev/x", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}],
        CapAdd=["SYS_PTRACE"],
        SecurityOpt=["label=disable", "seccomp=unconfined"],
        GroupAdd=["video"],
        PidMode="host",
    )
    worker["Mounts"] += [
        bind("/opt/vendor-tools/bin", "/opt/vendor-tools/bin"),
        bind("/dev", "/dev"),
        bind("/lib/modules", "/lib/modules"),
        bind("/var/run/docker.sock", "/var/run/docker.sock"),
        {"Type": "tmpfs", "Destination": "/scratch"},
    ]
    built = build(worker, "worker", flags=NVIDIA)
    spec = built.spec
    assert (spec["runtime"], spec["ipc_mode"], spec["pid_mode"]) == ("nvidia", None, None)
    assert (spec["devices"], spec["cap_add"], spec["group_add"], spec["security_opt"]) == ([], [], [], [])
    assert sorted(mounts(spec)) == ["/models", "/opt/vendor", "/var/lib/gpustack", "/var/run/docker.sock"]
    assert {
        "mount",
        "devices",
        "cap_add",
        "group_add",
        "pid_mode",
        "ipc_mode",
        "security_opt",
        "device_requests",
    } <= items(built, "vendor")
    assert [each["value"] for each in built.leftovers if each["item"] == "security_opt"] == [["seccomp=unconfined"]]


def test_the_selection_of_devices_is_in_the_flags_or_the_operators(worker):
    worker["Config"]["Env"][3] = "NVIDIA_VISIBLE_DEVICES=0"
    built = build(worker, "worker", flags=dict(NVIDIA, environment={"NVIDIA_VISIBLE_DEVICES": "0"}))
    assert built.spec["environment"]["NVIDIA_VISIBLE_DEVICES"] == "0"
    assert "NVIDIA_VISIBLE_DEVICES" in items(built, "vendor")
    chosen = build(worker, "worker", flags=NVIDIA, gpu_devices=[1, 2]).spec["environment"]
    assert chosen["NVIDIA_VISIBLE_DEVICES"] == "1,2"
    assert "NVIDIA_VISIBLE_DEVICES" not in build(worker, "worker", flags=NVIDIA, gpu_devices="all").spec["environment"]


# --- the network


def test_a_worker_on_a_bridge_moves_to_the_hosts_network(worker):
    worker["HostConfig"].update(NetworkMode="bridge", PortBindings={"10150/tcp": [{"HostIp": "", "HostPort": "10150"}]})
    built = build(worker, "worker", flags=NVIDIA)
    assert (built.spec["network_mode"], built.spec["ports"]) == ("host", [])
    assert {"network", "published port"} <= items(built, "dropped")


def test_a_port_published_under_another_number_cannot_move_there(worker):
    worker["HostConfig"].update(NetworkMode="bridge", PortBindings={"10150/tcp": [{"HostIp": "", "HostPort": "20150"}]})
    with pytest.raises(_container_spec.SpecError, match="20150"):
        build(worker, "worker", flags=NVIDIA)
    assert build(worker, "worker", flags=NVIDIA, network="bridge").spec["ports"][0]["host_port"] == "20150"


def test_new_listeners_of_a_bridged_server_are_named(legacy):
    assert [each["value"] for each in build(legacy).leftovers if each["action"] == "added"] == ["10161/tcp"]


def test_two_listeners_on_one_port_are_a_problem(legacy):
    legacy["HostConfig"].update(NetworkMode="host", PortBindings={})
    legacy["Config"]["Cmd"] = ["--disable-worker", "--port", "8080"]
    problems = build(legacy, version="2.0.3").problems
    assert problems == []
    problems = build(legacy, version="2.0.1").problems
    assert [problem["code"] for problem in problems] == ["port_conflict"]
    assert "--api-port" in problems[0]["way_out"]
    assert build(legacy, version="2.0.1", extra_args=["--api-port", "18080"]).problems == []


# --- the roll-out


def test_the_migration_trigger_is_the_releases(legacy):
    legacy["HostConfig"].update(NetworkMode="host", PortBindings={})
    assert build(legacy, migrate=True).spec["environment"]["GPUSTACK_DATA_MIGRATION"] == "true"
    old = build(legacy, version="2.0.0", migrate=True).spec["environment"]
    assert old["GPUSTACK_MIGRATION_DATA_DIR"] == "/var/lib/gpustack"
    assert "GPUSTACK_DATA_MIGRATION" not in old
    assert not {"GPUSTACK_DATA_MIGRATION", "GPUSTACK_MIGRATION_DATA_DIR"} & set(build(legacy).spec["environment"])


def test_the_first_start_has_no_restart_policy(legacy):
    spec = _container_spec.with_restart_policy(build(legacy).spec, "no")
    assert _container_spec.create_body(spec)["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}


# --- inspect, engine call, difference


def engine_inspect(spec):
    """What the engine shows of a container that was made from a specification."""
    body = copy.deepcopy(_container_spec.create_body(spec))
    host = body["HostConfig"]
    shown = [
        {
            "Type": mount["Type"],
            "Name": mount["Source"] if mount["Type"] == "volume" else None,
            "Source": mount["Source"],
            "Destination": mount["Target"],
            "RW": not mount["ReadOnly"],
            "Mode": "",
            "Propagation": mount.get("BindOptions", {}).get("Propagation", ""),
        }
        for mount in host["Mounts"]
    ]
    return {"Id": "f" * 64, "Name": "/" + spec["name"], "Config": body, "HostConfig": host, "Mounts": shown}


@pytest.mark.parametrize("role", ["server", "worker", "both"])
def test_a_container_made_from_a_specification_shows_no_difference(worker, role):
    if role == "server":
        worker["Config"]["Cmd"] = []
    spec = build(worker, role, flags=NVIDIA, attempt="a", migrate=True).spec
    shown = _container_spec.from_inspect(engine_inspect(spec))
    assert _container_spec.difference(shown, spec) == {"before": {}, "after": {}}


def test_a_hostname_of_the_users_shows_no_difference(legacy):
    legacy["Config"]["Hostname"] = "mine"
    spec = build(legacy).spec
    assert _container_spec.difference(_container_spec.from_inspect(engine_inspect(spec)), spec)["after"] == {}


def test_the_difference_shows_both_sides_without_secrets(worker):
    before = _container_spec.from_inspect(worker, LEGACY_IMAGE)
    after = build(worker, "worker", flags=NVIDIA).spec
    difference = _container_spec.difference(before, after)
    assert difference["before"]["image"] == "gpustack/gpustack:v0.7.1"
    assert difference["after"]["image"] == IMAGE
    assert set(difference["before"]) == set(difference["after"])
    assert "restart_policy" not in difference["after"]
    text = json.dumps(difference)
    assert not [secret for secret in ("t0ken-of-worker", "pr0xypw") if secret in text]
    assert difference["after"]["environment"]["GPUSTACK_TOKEN"] == _masking.MASK


def test_nothing_secret_is_in_leftovers_or_the_new_command(worker):
    built = build(worker, "worker", flags=NVIDIA)
    text = json.dumps([built.leftovers, built.spec["command"]])
    assert "t0ken-of-worker" not in text
    assert "t0ken-of-worker" in _container_spec.secrets_of(built.spec)


def test_mounts_that_the_engine_must_relabel_go_the_older_way(legacy):
    legacy["Mounts"] = [bind("/data", "/var/lib/gpustack", Mode="Z"), bind("/ro", "/ro", RW=False)]
    host = _container_spec.create_body(build(legacy).spec)["HostConfig"]
    assert host["Binds"] == ["/data:/var/lib/gpustack:rw,Z,rprivate"]
    assert [(mount["Target"], mount["ReadOnly"]) for mount in host["Mounts"]] == [("/ro", True)]


def test_ports_that_the_engine_chose_stay(legacy):
    legacy["HostConfig"].update(PublishAllPorts=True, PortBindings={})
    legacy["NetworkSettings"]["Ports"] = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "443/tcp": None}
    assert build(legacy).spec["ports"] == [{"container": "80/tcp", "host_ip": "0.0.0.0", "host_port": "32768"}]


@pytest.fixture(name="installation")
def installation_fixture():
    """A worker as node_info's evidence shows it, masked."""
    return {
        "id": ID,
        "name": "gpustack",
        "image": "gpustack/gpustack:v0.7.1",
        "role": "worker",
        "network_mode": "bridge",
        "published_ports": [{"container": "10150/tcp", "host_ip": "", "host_port": 10150}],
        "args": ["--server-url", "http://server", "--token", _masking.MASK, "--enable-ray"],
        "environment": {"TZ": "UTC"},
        "mounts": [
            {"type": "bind", "source": "/data", "destination": "/var/lib/gpustack", "name": None, "rw": True},
            {"type": "volume", "source": "/v", "destination": "/models", "name": "models", "rw": False},
            {"type": "bind", "source": "/dev", "destination": "/dev", "name": None, "rw": True},
        ],
        "labels": {},
        "restart_policy": {"Name": "always", "MaximumRetryCount": 0},
        "privileged": False,
        "runtime": "nvidia",
        "ipc_mode": "host",
        "pid_mode": "",
        "devices": [],
        "device_requests": [],
        "shm_size": 67108864,
    }


def test_the_plan_sees_what_the_target_will_decide(installation):
    built = _container_spec.preview(installation, _releases.find("2.2.3"), NVIDIA, {"image": IMAGE})
    assert {"--enable-ray", "network", "published port"} <= items(built, "dropped")
    assert {"mount", "ipc_mode"} <= items(built, "vendor")
    assert mounts(built.spec)["/models"] == "models"
    assert built.spec["environment"]["GPUSTACK_TOKEN"] == _masking.MASK


def test_the_plan_sees_what_the_target_would_refuse(installation):
    installation["published_ports"][0]["host_port"] = 20150
    with pytest.raises(_container_spec.SpecError, match="20150"):
        _container_spec.preview(installation, _releases.find("2.2.3"), NVIDIA, {"image": IMAGE})


def test_the_legacy_inspect_is_not_touched(worker):
    before = copy.deepcopy(worker)
    build(worker, "worker", flags=NVIDIA, migrate=True)
    assert worker == before


# --- the configuration file


def config_file(text):
    return _config_file.evidence("/etc/c.yaml", text)


def test_a_file_that_v2_misreads_becomes_a_copy_in_the_data_directory(legacy):
    legacy["Config"]["Cmd"] = ["--config-file", "/etc/c.yaml"]
    built = build(legacy, version="2.0.3", config_file=config_file("enable_ray: true\nport: 81\n"), data_dir="/d")
    assert built.spec["command"][-2:] == ["--config-file", "/d/gpustack-v2.yaml"]
    assert built.config_edits == {"enable_ray": None}
    assert "enable_ray in /etc/c.yaml" in items(built, "dropped")


def test_ports_in_the_file_count(legacy):
    legacy["Config"]["Cmd"] = ["--config-file", "/etc/c.yaml"]
    legacy["HostConfig"].update(NetworkMode="host", PortBindings={})
    built = build(legacy, version="2.0.0", config_file=config_file("port: 8080\n"))
    assert [problem["code"] for problem in built.problems] == ["port_conflict"]
    overridden = build(legacy, version="2.0.0", config_file=config_file("port: 8080\n"), extra_args=["--port", "81"])
    assert overridden.problems == []
