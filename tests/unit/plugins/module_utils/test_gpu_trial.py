# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPU trial: what the image's tools print, and what is asked of the engine."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from ansible_collections.fleetops.gpustack.plugins.module_utils import _gpu_trial

# As gpustack-runtime 0.1.33 to 0.2.1 print it: the screen is cleared first, memory is in MiB.
DEVICE = {
    "manufacturer": "nvidia",
    "index": 0,
    "name": "NVIDIA A100-SXM4-80GB",
    "uuid": "GPU-5f1c",
    "driver_version": "570.86.15",
    "memory": 81920,
    "memory_used": 512,
    "appendix": {"arch_family": "Ampere"},
}


def printed(devices: list[dict[str, object]]) -> _gpu_trial.Answer:
    return _gpu_trial.Answer(0, "\x1b[2J\x1b[H" + json.dumps(devices, indent=2) + "\n", "")


def test_a_gpu_in_mig_mode_has_no_name_memory_or_uuid() -> None:
    # As gpustack-runtime v0.2.3 prints it (tests/gpustack_runtime/detector/samples/detect_output_nvidia_h100_mig.json).
    (found,) = _gpu_trial.parse_gpus(printed([{"manufacturer": "nvidia", "index": 0, "appendix": {"mig": True}}]))
    assert found == {"vendor": "nvidia", "index": 0, "name": "", "memory": None, "uuid": None}


def test_devices_become_gpu_records() -> None:
    assert _gpu_trial.parse_gpus(printed([DEVICE])) == [
        {
            "vendor": "nvidia",
            "index": 0,
            "name": "NVIDIA A100-SXM4-80GB",
            "memory": 80 * 1024**3,
            "uuid": "GPU-5f1c",
        }
    ]


def test_no_devices() -> None:
    assert _gpu_trial.parse_gpus(printed([])) == []


def test_an_answer_without_a_list_is_shown() -> None:
    with pytest.raises(_gpu_trial.TrialError, match="no list of devices but: Traceback"):
        _gpu_trial.parse_gpus(_gpu_trial.Answer(0, "", "Traceback"))


@pytest.mark.parametrize(
    ("output", "version"), [("v2.2.3\n", "2.2.3"), ("2.0.0\n", "2.0.0"), ("v2.3.0rc1\n", "2.3.0rc1")]
)
def test_version(output: str, version: str) -> None:
    assert _gpu_trial.parse_version(_gpu_trial.Answer(0, output, "")) == version


def test_an_image_of_an_unreleased_gpustack() -> None:
    with pytest.raises(_gpu_trial.TrialError, match="'main', which is no release"):
        _gpu_trial.parse_version(_gpu_trial.Answer(0, "main\n", ""))


def test_arguments_that_the_release_does_not_take_are_named() -> None:
    # As argparse ends in the image of 2.2.3.
    errors = "usage: -c [-h] {start} ...\n-c: error: unrecognized arguments: --api-prt 3000\n"
    with pytest.raises(_gpu_trial.TrialError, match=r"2\.2\.3 does not take gpustack_extra_args: unrecog.*--api-prt"):
        _gpu_trial.check_arguments(_gpu_trial.Answer(2, "", errors), "2.2.3")
    _gpu_trial.check_arguments(_gpu_trial.Answer(0, "", "a warning"), "2.2.3")


def test_an_image_that_cannot_be_asked_for_its_arguments_says_why() -> None:
    with pytest.raises(_gpu_trial.TrialError, match="`gpustack start` in the image ended with 1: ImportError: none"):
        _gpu_trial.check_arguments(_gpu_trial.Answer(1, "", "ImportError: none\n"), "2.2.3")


def test_flags_become_options_and_empty_ones_are_left_to_the_engine() -> None:
    flags = {
        "runtime": "nvidia",
        "environment": {"NVIDIA_VISIBLE_DEVICES": "0,1"},
        "volumes": [],
        "devices": [],
        "capabilities": ["SYS_ADMIN"],
        "privileged": True,
        "ipc_mode": None,
    }
    assert _gpu_trial.container_options(flags) == {
        "runtime": "nvidia",
        "environment": {"NVIDIA_VISIBLE_DEVICES": "0,1"},
        "cap_add": ["SYS_ADMIN"],
        "privileged": True,
    }


def test_a_missing_runtime_is_named_with_the_way_out() -> None:
    message = _gpu_trial.explain("unknown or invalid runtime name: nvidia", {"runtime": "nvidia"})
    assert "knows no container runtime 'nvidia'" in message
    assert "container toolkit" in message


def test_other_refusals_of_the_engine_come_with_the_flags() -> None:
    message = _gpu_trial.explain("nvml error: driver not loaded\n", {"runtime": "nvidia", "volumes": []})
    assert message == (
        'a container of the new image does not start with the GPU flags {"runtime": "nvidia"}: '
        "nvml error: driver not loaded"
    )


class Leftover:
    def __init__(self, name: str, owner: str | None) -> None:
        self.name, self.removed = name, False
        self.labels = {_gpu_trial.LABEL: "run", **({_gpu_trial.OWNER_LABEL: owner} if owner else {})}

    def remove(self, force: bool, v: bool) -> None:
        self.removed = True


def test_the_trial_of_another_installation_goes_on() -> None:
    found = [Leftover("own", "/state/a"), Leftover("other", "/state/b"), Leftover("older", None)]
    client = SimpleNamespace(containers=SimpleNamespace(list=lambda **_filters: found))
    assert _gpu_trial.remove_leftovers(client, "/state/a") == ["own"]
    assert [each.removed for each in found] == [True, False, False]
