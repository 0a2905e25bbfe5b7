# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in every place where a user may have one; nothing that is run at `-vvvv --diff` lets others see any (law 8).

The search itself is the fixture's, when the module is through: `secrets.assert_none_shown`.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e import outside, playbook, secrets
from tests.lab import legacy, lifecycle
from tests.lab.fleet import Fleet

WORDS = {
    name: f"planted-{name}-{random.token_hex(6)}"
    for name in (
        *("bootstrap-password", "oidc-secret", "config-file-secret", "config-file-token", "proxy-password"),
        *("log-driver-token", "single-word-password", "database-password", "database-variable-password"),
        *("extra-env-secret", "extra-env-url", "registry-password", "saml-key"),
    )
}
CONFIG_FILE = f"{outside.DATA_DIR}/config.yaml"
TOKEN = f"{outside.DATA_DIR}/token"
# Sets what `setfacl -m u:operator:r` makes of mode 0600, or prints what is there: hosts have no setfacl.
ACL = """
import os, struct, sys
entries = [(1, 6, -1), (2, 4, 1000), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
value = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *entry) for entry in entries)
if sys.argv[1] == 'set':
    os.setxattr(sys.argv[2], 'system.posix_acl_access', value)
elif 'system.posix_acl_access' in os.listxattr(sys.argv[2]):
    print(os.getxattr(sys.argv[2], 'system.posix_acl_access').hex())
"""


def recreate(fleet: Fleet, name: str, options: list[str], arguments: list[str]) -> None:
    """The legacy container once more, with more in it."""
    host, settings = fleet.hosts[name], fleet.options
    fleet.host(name).exec_root("docker", "rm", "--force", "gpustack")
    command = legacy.run_command(settings, host, arguments)
    fleet.host(name).exec_root(*command[:2], *options, *command[2:])


@pytest.fixture(scope="module")
def planted(fleet: Fleet) -> Iterator[Fleet]:
    """A server and a worker whose definitions are full of secrets."""
    secrets.plant(WORDS)
    server, token = fleet.host("server"), legacy.read_secret(fleet.options, fleet.hosts["server"], "token")
    config = f"oidc_client_secret: {WORDS['config-file-secret']}\nhuggingface_token: {WORDS['config-file-token']}\n"
    server.run(f"sudo tee {CONFIG_FILE} >/dev/null", stdin=config)
    with secrets.unsampled(fleet):
        recreate(
            fleet,
            "server",
            [
                *("--log-driver", "splunk", "--log-opt", f"splunk-token={WORDS['log-driver-token']}"),
                *("--log-opt", "splunk-url=https://127.0.0.1:9", "--log-opt", "splunk-verify-connection=false"),
                *("--env", f"HTTPS_PROXY=http://lab:{WORDS['proxy-password']}@127.0.0.1:9"),
                *("--env", f"PGPASSWORD={WORDS['single-word-password']}"),
                *("--env", f"GPUSTACK_OIDC_CLIENT_SECRET={WORDS['oidc-secret']}"),
            ],
            [
                *("--disable-worker", "--config-file", "/var/lib/gpustack/config.yaml"),
                *("--bootstrap-password", WORDS["bootstrap-password"]),
                *("--saml-sp-private-key", WORDS["saml-key"]),
            ],
        )
        url, address = fleet.data["server_url"], fleet.hosts["worker2"].address
        recreate(fleet, "worker2", ["--env", f"GPUSTACK_TOKEN={token}"], ["--server-url", url, "--worker-ip", address])
    lifecycle.wait_serving(fleet, 0)
    before = {name: secrets.readable_by_others(fleet.host(name)) for name in fleet.hosts}
    yield fleet
    after = {name: secrets.readable_by_others(fleet.host(name)) for name in fleet.hosts}
    shown = {name: sorted(after[name] - before[name]) for name in fleet.hosts if after[name] - before[name]}
    assert not shown, "secrets in files that others can read"


def rights(fleet: Fleet) -> dict[str, str]:
    """Bytes, owner, mode and ACL of the server's token."""
    server = fleet.host("server")
    return {
        "bytes": outside.sha256(server, TOKEN)[TOKEN],
        "owner and mode": server.exec_root("stat", "--format=%u %g %a", TOKEN),
        "acl": server.exec_root("python3", "-c", ACL, "get", TOKEN),
    }


def fault(point: str) -> dict[str, Any]:
    return {"gpustack_module_environment": {"FLEETOPS_GPUSTACK_FAULT": point}}


@pytest.fixture(scope="module")
def variables(fleet: Fleet) -> tuple[str, str]:
    """What an operator keeps in a vault, as a file of extra variables."""
    vault = fleet.folder / "vault.yml"
    content = {
        "gpustack_token": legacy.read_secret(fleet.options, fleet.hosts["server"], "token"),
        "gpustack_registry_username": "lab",
        "gpustack_registry_password": WORDS["registry-password"],
        "gpustack_extra_env": {
            "EXTRA_SECRET": WORDS["extra-env-secret"],
            "EXTRA_MIRROR": f"https://lab:{WORDS['extra-env-url']}@mirror.example.com",
        },
    }
    vault.write_text(yaml.safe_dump(content))
    vault.chmod(0o600)
    return "--extra-vars", f"@{vault}"


def test_a_database_with_a_password_is_refused_without_showing_it(planted: Fleet, variables: tuple[str, str]) -> None:
    server = planted.host("server")
    image = outside.image_of(server)
    url = "postgresql://root:{}@db.example.com/gpustack"
    argument, variable = (url.format(WORDS[name]) for name in ("database-password", "database-variable-password"))
    with secrets.unsampled(planted):
        server.exec_root("docker", "create", "--name", "second", image, "--disable-worker", "--database-url", argument)
        server.exec_root("docker", "create", "--name", "third", "-e", f"GPUSTACK_DATABASE_URL={variable}", image)
    try:
        refused = playbook.run(planted, "assess.yml", *variables)
    finally:
        server.exec_root("docker", "rm", "second", "third")
    assert refused.code != 0
    assert refused.said("several_candidates")
    assert refused.said("postgresql://root:********@db.example.com")


def test_a_secret_among_the_extra_arguments_is_refused_by_assess(planted: Fleet) -> None:
    vault = planted.folder / "arguments.yml"
    vault.write_text(yaml.safe_dump({"gpustack_extra_args": ["--token", WORDS["extra-env-secret"]]}))
    refused = playbook.run(planted, "assess.yml", "--extra-vars", f"@{vault}")
    assert refused.code != 0
    assert refused.said("gpustack_extra_args holds a secret")


def test_the_preview_shows_none(planted: Fleet, variables: tuple[str, str]) -> None:
    preview = playbook.run(planted, "upgrade.yml", "--check", *variables)
    assert preview.code == 0, preview.output[-4000:]
    assert preview.said("********")


@pytest.mark.parametrize(
    ("code", "spoil", "mend"),
    [
        ("backup_dir", "ln -s /tmp /var/backups/gpustack", "rm /var/backups/gpustack"),
        ("backup_dir", "install -d -o operator /var/backups/gpustack", "rmdir /var/backups/gpustack"),
        ("state_dir", "install -d -m 0777 /var/lib/fleetops-gpustack", "rmdir /var/lib/fleetops-gpustack"),
    ],
)
def test_directories_of_others_are_refused_by_assess(
    planted: Fleet, variables: tuple[str, str], code: str, spoil: str, mend: str
) -> None:
    server = planted.host("server")
    server.exec_root("sh", "-c", spoil)
    try:
        refused = playbook.run(planted, "assess.yml", *variables)
    finally:
        server.exec_root("sh", "-c", mend)
    assert refused.code != 0
    assert refused.said(f"gpustack_{code}: /var/")


def test_a_failure_shows_none_and_brings_back_who_may_read(planted: Fleet, variables: tuple[str, str]) -> None:
    server = planted.host("server")
    server.exec_root("python3", "-c", ACL, "set", TOKEN)
    before = rights(planted)
    assert before["acl"], "the host's file system took no ACL"

    killed = playbook.run(planted, "upgrade.yml", *variables, **fault("start:before:kill"))
    assert killed.code != 0
    # What a fresh v2 may do to it.
    server.exec_root("sh", "-c", f"rm {TOKEN} && echo gpustack_of_v2 > {TOKEN}")
    failed = playbook.run(planted, "upgrade.yml", *variables, **fault("create:before:raise"))
    assert failed.code != 0
    assert failed.said("Everything is back")
    assert rights(planted) == before
    assert outside.is_running(server)


def test_the_upgrade_shows_none_and_carries_them_over(planted: Fleet, variables: tuple[str, str]) -> None:
    done = playbook.run(planted, "upgrade.yml", *variables)
    assert done.code == 0, done.output[-4000:]
    container = outside.gpustack(planted.host("server"))
    environment = outside.environment_of(container)
    assert environment["GPUSTACK_BOOTSTRAP_PASSWORD"] == WORDS["bootstrap-password"]
    assert environment["PGPASSWORD"] == WORDS["single-word-password"]
    assert environment["EXTRA_SECRET"] == WORDS["extra-env-secret"]
    assert container["HostConfig"]["LogConfig"]["Config"]["splunk-token"] == WORDS["log-driver-token"]
    verified = playbook.run(planted, "verify.yml", *variables)
    assert verified.code == 0, verified.output[-4000:]
