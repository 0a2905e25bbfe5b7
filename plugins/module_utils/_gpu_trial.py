# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away container of the new image, beside the serving legacy one: which release is it, what does it take?

It is asked for the GPUs that it sees, and whether its `gpustack start` takes the operator's own arguments.

It has no network and none of the data, so nothing that serves can notice it. Its first process is a `sleep` that
bounds everything asked of it: when that ends, the container ends, and so does a question that hangs.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, Iterator, NamedTuple, Sequence

LABEL = "fleetops.gpustack.trial"
# Whose trial it is: of several containers that share a machine, each is tried on its own, at the same time.
OWNER_LABEL = LABEL + ".of"
TRIAL_SECONDS = 180
MEBIBYTE = 1024 * 1024
# What `gpustack version` prints, at a five-hundredth of its cost: that command loads the whole server first.
VERSION_COMMAND = ["python3", "-c", "import gpustack; print(gpustack.__version__)"]
DETECT_COMMAND = ["gpustack-runtime", "detect", "--format", "json"]
# The parser of `gpustack start` as each release from 2.0.0 on makes it (cmd/start.py, setup_start_cmd). It loads the
# whole server, which takes seconds.
_PARSE = """\
import argparse, sys
from gpustack.cmd.start import setup_start_cmd
parser = argparse.ArgumentParser()
setup_start_cmd(parser.add_subparsers())
parser.parse_args(["start", *sys.argv[1:]])
"""
# How argparse ends where it does not take an argument.
_REFUSED = 2
# gpustack-runtime clears the screen before it prints.
_TERMINAL_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class TrialError(Exception):
    """The image does not start with these flags, or does not answer."""


class Answer(NamedTuple):
    """How a command in the container ended and what it printed."""

    status: int
    output: str
    errors: str


def ask(
    client: Any,
    image: str,
    run_id: str,
    flags: dict[str, Any] | None,
    detect: bool,
    owner: str = "",
    arguments: Sequence[str] = (),
) -> dict[str, Any]:
    """The image's version and, when `detect` is set, the GPUs that it sees under these flags.

    `owner` tells the trials of several installations on one machine apart. `arguments` are those of the operator.
    """
    with container(client, image, run_id, (flags or {}) if detect else {}, owner) as made:
        version = parse_version(question(client, made, VERSION_COMMAND))
        if arguments:
            check_arguments(execute(client, made, ["python3", "-c", _PARSE, *arguments], "gpustack start"), version)
        gpus = None
        if detect:
            gpus = parse_gpus(question(client, made, DETECT_COMMAND))
    return {"version": version, "gpus": gpus}


def parse_version(answer: Answer) -> str:
    version = answer.output.strip()
    if not re.match(r"v?\d+\.\d+\.\d+", version):
        raise TrialError(f"the image calls its GPUStack {version!r}, which is no release; name a released image")
    return version.lstrip("v")


def check_arguments(answer: Answer, version: str) -> None:
    """Insist on arguments that the release's own parser takes."""
    if answer.status == _REFUSED:
        cause = _tail(answer.errors).rpartition("error: ")[2]
        raise TrialError(
            f"GPUStack {version} does not take gpustack_extra_args: {cause}. Correct them; `gpustack start --help` in "
            "a container of the image lists what it takes"
        )
    _require_success(answer, "gpustack start")


def parse_gpus(answer: Answer) -> list[dict[str, Any]]:
    """The devices that gpustack-runtime lists, as GPU records; it counts memory in MiB, we count bytes."""
    text = _TERMINAL_CONTROL.sub("", answer.output)
    try:
        devices = json.loads(text[text.index("[") :])
    except ValueError:
        raise TrialError(
            f"`gpustack-runtime detect` in the image printed no list of devices but: {_tail(text or answer.errors)}"
        ) from None
    return [
        {
            "vendor": device["manufacturer"],
            "index": device["index"],
            # A GPU in MIG mode has neither name nor memory nor uuid of its own.
            "name": device.get("name") or "",
            "memory": device["memory"] * MEBIBYTE if device.get("memory") is not None else None,
            "uuid": device.get("uuid") or None,
        }
        for device in devices
    ]


def container_options(flags: dict[str, Any]) -> dict[str, Any]:
    """The plan's GPU flags as options of the Docker SDK; what a vendor does not set is left to the engine."""
    options = {
        "runtime": flags.get("runtime"),
        "environment": flags.get("environment"),
        "volumes": flags.get("volumes"),
        "devices": flags.get("devices"),
        "cap_add": flags.get("capabilities"),
        "privileged": flags.get("privileged"),
        "ipc_mode": flags.get("ipc_mode"),
        "pid_mode": flags.get("pid_mode"),
        "group_add": flags.get("group_add"),
        "security_opt": flags.get("security_opt"),
    }
    return {name: value for name, value in options.items() if value}


def remove_leftovers(client: Any, owner: str = "") -> list[str]:
    """Trial containers of a run that was killed."""
    removed = []
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        if container.labels.get(OWNER_LABEL, "") != owner:
            continue
        container.remove(force=True, v=True)
        removed.append(container.name)
    return removed


@contextlib.contextmanager
def container(client: Any, image: str, run_id: str, flags: dict[str, Any], owner: str) -> Iterator[Any]:
    """A container of the image that waits for questions, with these GPU flags; gone afterwards."""
    from docker.errors import APIError

    remove_leftovers(client, owner)
    made = None
    try:
        made = client.containers.create(
            image,
            entrypoint=["sleep", str(TRIAL_SECONDS)],
            name=f"gpustack-trial-{run_id}",
            labels={LABEL: run_id, OWNER_LABEL: owner},
            network_mode="none",
            healthcheck={"test": ["NONE"]},
            **container_options(flags),
        )
        _assert_runtime(made, flags.get("runtime"))
        made.start()
        yield made
    except APIError as error:
        raise TrialError(explain(str(error.explanation or error), flags)) from None
    finally:
        if made is not None:
            made.remove(force=True, v=True)


def explain(reason: str, flags: dict[str, Any]) -> str:
    """Why the engine did not start the trial container, and the way out."""
    runtime = flags.get("runtime")
    if "runtime name" in reason:
        return (
            f"the engine knows no container runtime {runtime!r} ({reason.strip()}); install the vendor's container "
            "toolkit, register the runtime in /etc/docker/daemon.json and restart the engine"
        )
    options = json.dumps(container_options(flags), sort_keys=True)
    return f"a container of the new image does not start with the GPU flags {options}: {reason.strip()}"


def _assert_runtime(container: Any, runtime: str | None) -> None:
    """A privileged container sees the GPUs even without its runtime, and fails only when a model is to start."""
    container.reload()
    applied = container.attrs["HostConfig"].get("Runtime")
    if runtime and applied != runtime:
        raise TrialError(
            f"the engine was asked for container runtime {runtime!r} but applied {applied!r}; GPUs would be seen, "
            "and models would not start. Check the runtimes in /etc/docker/daemon.json"
        )


def question(client: Any, container: Any, command: list[str], called: str | None = None) -> Answer:
    """The answer to a command that has to succeed; `called` names one that is no sight for a person."""
    asked = called or " ".join(command)
    answer = execute(client, container, command, asked)
    _require_success(answer, asked)
    return answer


def execute(client: Any, container: Any, command: list[str], called: str) -> Answer:
    """How a command ended."""
    execution = client.api.exec_create(container.id, command)["Id"]
    output, errors = client.api.exec_start(execution, demux=True)
    status = client.api.exec_inspect(execution)["ExitCode"]
    container.reload()
    if container.status != "running":
        raise TrialError(
            f"`{called}` in the image gave no answer within {TRIAL_SECONDS} s; run it by hand in a container with the "
            "same flags to see where it hangs"
        )
    return Answer(status, _text(output), _text(errors))


def _require_success(answer: Answer, called: str) -> None:
    if answer.status != 0:
        said = _tail(answer.errors or answer.output)
        raise TrialError(f"`{called}` in the image ended with {answer.status}: {said}")


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


def _tail(text: str) -> str:
    lines = [line for line in _TERMINAL_CONTROL.sub("", text).splitlines() if line.strip()]
    return " | ".join(lines[-5:]) or "nothing"
