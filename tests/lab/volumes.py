# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of volumes, cheap where they hold an inner engine's image layers.

A fleet of hosts would otherwise unpack the same gigabytes again and again. In an inner engine's data directory, every
layer of an image is written once, when the image is loaded; from then on overlayfs only reads it, and what a container
changes goes to a directory of its own. So a copy of such a volume takes the image layers as hard links, and all else
(containers, their changes, volumes, databases) as real copies. Removing an image on one host removes links, no data.
For the same reason a layer that the target has already, under the same random identity, is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.lab import base_image, docker

# Arguments: source and target volume, again and again. All lie below one mount, since a hard link cannot cross two.
_CLONE = r"""
is_layer() { printf '%s\n' "$layers" | grep -qxF "$1"; }

clone() {
    find "$2" -mindepth 1 -maxdepth 1 ! -name overlay2 -exec rm -rf {} +
    find "$1" -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp -a -t "$2" {} +
    if [ ! -d "$1/overlay2" ]; then
        return
    fi
    layers=$(find "$1/image/overlay2/layerdb/sha256" -name cache-id -exec sh -c 'cat "$1"; echo' _ {} \;)
    mkdir -p "$2/overlay2"
    chmod --reference="$1/overlay2" "$2/overlay2"
    for entry in $(ls "$2/overlay2"); do
        is_layer "$entry" || rm -rf "$2/overlay2/$entry"
    done
    for entry in $(ls "$1/overlay2"); do
        if ! is_layer "$entry"; then
            cp -a "$1/overlay2/$entry" "$2/overlay2/"
        elif [ ! -d "$2/overlay2/$entry" ]; then
            cp -al "$1/overlay2/$entry" "$2/overlay2/"
        fi
    done
}
while [ $# -gt 0 ]; do
    clone "/volumes/$1/_data" "/volumes/$2/_data"
    shift 2
done
"""


def exists(name: str) -> bool:
    """Whether the engine has this volume."""
    return docker.inspect("volume", name) is not None


def create(name: str, labels: dict[str, str]) -> None:
    """Make an empty volume with these labels, if there is none of that name."""
    docker.run("volume", "create", *(f"--label={key}={value}" for key, value in labels.items()), name)


def clone(pairs: Iterable[tuple[str, str]]) -> None:
    """Make the content of each pair's second volume a copy of its first; all exist, and no container uses them."""
    shell(_CLONE, *(name for pair in pairs for name in pair))


def shell(script: str, *args: str) -> str:
    """Run a shell script as root beside all volumes (at /volumes), and return what it prints."""
    root = docker.out("info", "--format", "{{.DockerRootDir}}")
    mount = f"{root}/volumes:/volumes"
    return docker.out(
        "run", "--rm", "--network=none", "--volume", mount, base_image.ensure_base(), "sh", "-euc", script, "sh", *args
    )
