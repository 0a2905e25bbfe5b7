# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/options.md: what becomes of every legacy option, asked of the translation itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.fleetops.gpustack.plugins.module_utils import _options, _releases

DOCUMENT = Path(__file__).parents[2] / "docs" / "options.md"

HEAD = """# Options of GPUStack 0.x, and what becomes of them

Every option of `gpustack start` 0.7, read as the legacy program reads it: in full or abbreviated (`--debu`), joined
by `=` or not, by its letter. An option that 0.7 does not know is refused. The plan (`playbooks/assess.yml`) lists
everything that does not go over as it was; what is a loss has to be accepted by its class (`gpustack_accept_losses`).

- **Variables** `GPUSTACK_<OPTION>` (`HF_TOKEN`, `HF_HUB_ENABLE_HF_TRANSFER`) become what their option becomes, also
  those of an `--env-file`. `GPU_STACK_<SETTING>`, which 0.7's settings read besides, is renamed; where 0.7 does not
  read a `GPUSTACK_<SETTING>` but v2 would (lists, `JWT_SECRET_KEY` and the like), it is left out. All other variables
  go over.
- **Values** that an argument cannot carry go by their variable: 2.1.1 and newer split arguments at blanks and expand
  `*`, `?` and `[`. So do secrets, which every process could read in an argument.
- **The configuration file** stays as it is, byte for byte. Where it has keys that v2 misreads, the container gets a
  copy with other keys, `gpustack-v2.yaml` in the data directory, for root alone; the way back sets it aside. Values
  are copied as they are written, so one key after the other must begin a line; a file of another form (one `{...}`,
  anchors) is refused. Keys become what their options become. Those that v2 does not know are left out up to 2.1.2,
  where they are fatal, and stay in the file from 2.2.0 on, which passes over them.
- **Before 0.7** there are fewer options, and none that 0.7 lacks, but for `--enable-metrics` of 0.1.0 and 0.1.1, which
  is refused as unknown. Variables of options that a release does not have yet are left out, because v2 would read them.
- **Who wins** is as before: argument, variable, configuration file, `GPU_STACK_<SETTING>`.
- **Added** for a worker: `--system-reserved {"ram":2,"vram":1}`, which 0.7 reserved unless told otherwise and v2 does
  not (1 and 1 in 0.1.2, 2 and 2 in 0.2, 2 and 0 from 0.3 to 0.5.0), and `--enable-worker` for one inside a server
  (from 2.0.1).

The table is made from the code by `python -m tests.options table`. "Variable" means: by environment instead of by
argument.

| option | value | in v2 | class of loss |
|---|---|---|---|
"""


class Sample(NamedTuple):
    """Arguments that show what becomes of an option, and what is special about its value."""

    arguments: list[str]
    about: str = ""


_SPECIAL: dict[str, list[Sample]] = {
    "database_url": [
        Sample(["--database-url", "sqlite:////d/database.db"], "`sqlite:`"),
        Sample(["--database-url", "postgresql://h/d"], "another"),
    ],
    "host": [Sample(["--host", "0.0.0.0"], "every address"), Sample(["--host", "192.0.2.1"], "one address")],
    "port": [
        Sample(["--port", "8080"]),
        Sample(["--port", "8443", "--ssl-certfile", "/c", "--ssl-keyfile", "/k"], "with `--ssl-certfile`"),
    ],
    "system_reserved": [Sample(["--system-reserved", '{"ram": 4}'])],
}


def text() -> str:
    """The whole document."""
    rows = [_row(option, sample) for option in _options.LEGACY_OPTIONS.values() for sample in _samples(option)]
    return HEAD + "\n".join(sorted(rows)) + "\n"


def _samples(option: _options.Option) -> list[Sample]:
    value = {"flag": [], "integer": ["1"]}.get(option.kind, ["value"])
    return _SPECIAL.get(option.destination, [Sample([f"--{option.name}", *value])])


def _row(option: _options.Option, sample: Sample) -> str:
    fates = {role: _over_releases(option, sample, role) for role in ("server", "worker")}
    letter = f", `-{option.letter}`" if option.letter else ""
    losses = sorted(filter(None, {_leftover(option, sample, _releases.DEFAULT, role).get("loss") for role in fates}))
    same = fates["server"] == fates["worker"]
    fate = fates["server"] if same else "; ".join(f"{role}: {what}" for role, what in fates.items())
    cells = [f"`--{option.name}`{letter}", sample.about, fate, ", ".join(f"`{loss}`" for loss in losses)]
    return "| " + " | ".join(cells) + " |"


def _over_releases(option: _options.Option, sample: Sample, role: str) -> str:
    """The fate in the oldest release, and every other with the release from which it holds."""
    found: list[tuple[str, str]] = []
    for release in _releases.RELEASES:
        fate = _fate(option, sample, release, role)
        if not found or found[-1][1] != fate:
            found.append((release, fate))
    first, *later = found
    return "; ".join([first[1], *(f"from {release} on {fate}" for release, fate in later)])


def _fate(option: _options.Option, sample: Sample, release: str, role: str) -> str:
    leftover = _leftover(option, sample, release, role)
    action, reason = leftover.get("action"), str(leftover.get("reason"))
    if action == "dropped":
        return f"dropped: {reason}"
    if action == "renamed":
        return f"`{reason.partition(' in v2')[0]}`"
    if action == "moved":
        return f"variable `{option.environment}`"
    return "kept, with 0.7's defaults for what it leaves out" if option.kind == "json" else "kept"


def _leftover(option: _options.Option, sample: Sample, release: str, role: str) -> dict[str, Any]:
    found = _options.translate(sample.arguments, {}, release, role).leftovers
    return next((each for each in found if each["item"] == f"--{option.name}" and each["action"] != "added"), {})
