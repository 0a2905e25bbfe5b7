# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node module on one host, called by a real controller over real ssh, which lives or dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import playbook
from tests.lab import docker
from tests.lab.fleet import Fleet, Reach

CAPTURE = Path(__file__).with_name("capture.yml")
STATE_DIR = "/var/lib/fleetops-gpustack"
FAULT = "FLEETOPS_GPUSTACK_FAULT"
#: The module masks what may hold secrets; the lab's fleets have nothing there.
MASKED = ("extra_env", "token", "registry_password")
PATIENCE = 600

_RESULT = re.compile(r"^(\S+) \| (?:SUCCESS|CHANGED|FAILED!|UNREACHABLE!) => (\{.*?^\})", re.MULTILINE | re.DOTALL)
# Prints the process that works under the host's lock once it has stopped itself.
_STOPPED = rf"""
until pid=$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' {STATE_DIR}/lock 2>/dev/null) &&
    grep -q '^State:.T' "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done; echo "$pid"
"""


class NotHit(Exception):
    """A run did not pass the fault point that it was given."""


@dataclass(frozen=True)
class Answer:
    """What the module answered, or nothing when the controller died first."""

    data: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return bool(self.data.get("failed") or self.data.get("unreachable"))

    @property
    def changed(self) -> bool:
        return bool(self.data.get("changed"))

    @property
    def message(self) -> str:
        return str(self.data.get("msg", ""))


def capture(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Prepare every host, and return the arguments of its switch as the role would give them."""
    # The arguments of a call are in its output, and nowhere else, when Ansible is asked for that much.
    done = _run(playbook.plain_command(fleet, CAPTURE, "-vvv"))
    if done.returncode != 0:
        raise RuntimeError(f"the hosts could not be prepared:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    asked = [(name, json.loads(text).get("invocation", {})) for name, text in _RESULT.findall(done.stdout)]
    return {
        name: {key: value for key, value in call["module_args"].items() if value is not None and key not in MASKED}
        for name, call in asked
        if call.get("module_args", {}).get("state") == "upgraded"
    }


def call(fleet: Fleet, host: str, arguments: dict[str, Any], environment: dict[str, str] | None = None) -> Answer:
    """Call the module and wait for its answer."""
    done = _run(_command(fleet, host, arguments, environment or {}))
    return Answer(_result(done.stdout, host, done.stdout + done.stderr))


def call_and_die(fleet: Fleet, host: str, arguments: dict[str, Any], point: str) -> None:
    """Call the module, kill the controller while the work stands at a fault point, and let the work go on."""
    with _standing(fleet, host, arguments, point) as (controller, pid):
        os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
        fleet.host(host).exec_root("kill", "-CONT", pid)
    wait_until_free(fleet.host(host))


def call_meanwhile(
    fleet: Fleet, host: str, arguments: dict[str, Any], point: str, meanwhile: Callable[[], None]
) -> Answer:
    """Call the module; do something while its work stands at a fault point, let it go on, and wait for the answer."""
    with _standing(fleet, host, arguments, point) as (controller, pid):
        meanwhile()
        # A host that was rebooted meanwhile has no such process any more.
        fleet.host(host).exec_root("kill", "-CONT", pid, check=False)
        controller.wait(timeout=PATIENCE)
    output = _output(fleet, host).read_text()
    return Answer(_result(output, host, output))


def wait_until_free(reach: Reach) -> None:
    """Wait until nobody works on a host any more."""
    reach.exec_root("flock", "--shared", "--timeout", str(PATIENCE), f"{STATE_DIR}/lock", "true")


def require_hit(answer: Answer, fault: str) -> Answer:
    """Fail when a run passed by the fault that it was given."""
    kind = fault.rpartition(":")[2]
    sign = "by signal 9" if kind == "kill" else f"the fault point {fault.rpartition(':')[0]} was asked for"
    if not answer.failed or sign not in answer.message:
        raise NotHit(f"{fault} was not hit: {json.dumps(answer.data)[:2000]}")
    return answer


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, capture_output=True, text=True, env=_environment(), stdin=subprocess.DEVNULL, check=False
    )


@contextmanager
def _standing(
    fleet: Fleet, host: str, arguments: dict[str, Any], point: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A controller whose work stands at a fault point, and the process on the host that stands."""
    output = _output(fleet, host)
    with output.open("w") as out:
        controller = subprocess.Popen(
            _command(fleet, host, arguments, {FAULT: f"{point}:pause"}),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
    watch = subprocess.Popen(
        [docker.client(), "exec", fleet.host(host).host.container, "sh", "-c", _STOPPED],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield controller, _stopped_process(watch, controller, output)
    finally:
        watch.kill()
        if controller.poll() is None:
            os.killpg(controller.pid, signal.SIGKILL)
            controller.wait()


def _output(fleet: Fleet, host: str) -> Path:
    return fleet.folder / f"standing-{host}.log"


def _stopped_process(watch: subprocess.Popen[str], controller: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if watch.poll() is not None:
            return watch.communicate()[0].strip()
        if controller.poll() is not None:
            raise NotHit(f"the controller ended before its work stood still:\n{output.read_text()[-3000:]}")
        time.sleep(0.05)
    raise NotHit(f"no process stood still within {PATIENCE} s")


def _command(fleet: Fleet, host: str, arguments: dict[str, Any], environment: dict[str, str]) -> list[str]:
    task = {"name": "Node", "fleetops.gpustack.node": arguments, "environment": environment}
    play = {"name": "One call", "hosts": host, "gather_facts": False, "become": True, "tasks": [task]}
    path = fleet.folder / f"call-{host}.json"
    path.write_text(json.dumps([play]))
    return [playbook.ansible_playbook(), "--inventory", str(fleet.inventory), str(path)]


def _environment() -> dict[str, str]:
    collections = str(playbook.PLAYBOOKS / "collections")
    return playbook.environment(ANSIBLE_COLLECTIONS_PATH=collections, ANSIBLE_STDOUT_CALLBACK="minimal")


def _result(stdout: str, host: str, output: str) -> dict[str, Any]:
    for name, text in _RESULT.findall(stdout):
        if name == host:
            data: dict[str, Any] = json.loads(text)
            return {**data, "failed": data.get("failed", f"{host} | FAILED!" in stdout)}
    raise RuntimeError(f"the module gave no answer:\n{output[-4000:]}")
