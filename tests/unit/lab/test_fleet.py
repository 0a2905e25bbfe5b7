# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from tests.lab import access, answers, builder, legacy
from tests.lab.hosts import Access, Host
from tests.lab.layout import Options, hosts_of

KEYS = Access(authorized_key="key", host_key="secret", host_key_public="ssh-ed25519 AAAA gpustack-lab\n")


def test_known_hosts_name_every_address_without_the_key_s_comment() -> None:
    hosts = hosts_of(Options("demo", workers=1), "10.203.0.0/24")
    assert access.known_hosts(hosts, KEYS) == "10.203.0.11 ssh-ed25519 AAAA\n10.203.0.21 ssh-ed25519 AAAA\n"


def test_the_inventory_puts_workers_beside_the_server(tmp_path: Path) -> None:
    lines = access.inventory(tmp_path, hosts_of(Options("demo"), "10.203.0.0/24")).splitlines()
    groups = lines[lines.index("  children:") + 1 :]
    assert [line.strip() for line in groups if not line.strip().startswith("ansible_host")] == [
        "gpustack_servers:", "hosts:", "server:", "gpustack_workers:", "hosts:", "worker1:", "worker2:",
    ]  # fmt: skip


def test_a_gpu_worker_is_started_as_the_guide_says() -> None:
    host = Host("f", "worker1", "10.0.0.21", gpus=2)
    planted = [word for name, value in legacy.PLANTED_ENVIRONMENT.items() for word in ("-e", f"{name}={value}")]
    planted += ["-e", f"MODEL_MIRROR=https://lab:{legacy.PLANTED_IN_URL}@mirror.example.com/models"]
    planted += ["--label", f"com.example.deploy-token={legacy.PLANTED_LABEL}"]
    command = legacy.run_command(Options("f"), host, ["--server-url", "http://s"])
    assert command == [
        "docker", "run", "-d", "--name", "gpustack", "--restart=unless-stopped", "--network=host",
        "--gpus", "all", "--ipc=host", *planted, "-v", "/data/gpustack:/var/lib/gpustack",
        "gpustack/gpustack:v0.7.1", "--server-url", "http://s",
    ]  # fmt: skip


def test_a_host_without_gpus_takes_the_cpu_image_and_a_volume_where_wanted() -> None:
    command = legacy.run_command(Options("f", data="volume", container_name="foo"), Host("f", "server", "10.0.0.1"), [])
    assert "--gpus" not in command
    assert command[-3:] == ["-v", "gpustack-data:/var/lib/gpustack", "gpustack/gpustack:v0.7.1-cpu"]
    assert command[4] == "foo"


def test_the_answering_worker_claims_tokens_for_every_operation() -> None:
    for path in ("/proxy/v1/chat/completions", "/proxy/v1/completions", "/proxy/v1/embeddings"):
        assert answers.answer(path, "m")["usage"]["prompt_tokens"] == answers.PROMPT_TOKENS


def test_the_hash_of_a_context_follows_content_and_mode(tmp_path: Path) -> None:
    script = tmp_path / "build.sh"
    script.write_text("true\n")
    first = builder.content_hash(tmp_path, "x")
    assert builder.content_hash(tmp_path, "x") == first
    assert builder.content_hash(tmp_path, "y") != first
    script.chmod(0o755)
    assert builder.content_hash(tmp_path, "x") != first
