# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of volumes, cheap where they hold an inner engine's image layers.

A fleet of hosts would otherwise unpack the same gigabytes again and again. In an inner engine's data directory, every
layer of an image is written once, when the image is loaded; from then on overlayfs only reads it, and what a container
changes goes to a directory of its own. So a copy of such a volume takes the image layers as hard links, and all else
(containers, their changes, volumes, databases) as real copies. Removing an image on one host removes links, no data.
"""

from __future__ import annotations

from tests.lab import base_image, docker

# $1 is the source volume, $2 the target. Both lie below one mount, since a hard link cannot cross two.
_CLONE = r"""
source=/volumes/$1/_data target=/volumes/$2/_data
find "$target" -mindepth 1 -delete
if [ ! -d "$source/overlay2" ]; then
    cp -a "$source/." "$target/"
    exit
fi
layers=$(find "$source/image/overlay2/layerdb/sha256" -name cache-id -exec sh -c 'cat "$1"; echo' _ {} \;)
cd "$source"
find . -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp -a -t "$target" {} +
mkdir "$target/overlay2"
chmod --reference=overlay2 "$target/overlay2"
cd overlay2
for entry in *; do
    if printf '%s\n' "$layers" | grep -qxF "$entry"; then
        cp -al "$entry" "$target/overlay2/"
    else
        cp -a "$entry" "$target/overlay2/"
    fi
done
"""


def exists(name: str) -> bool:
    """Whether the engine has this volume."""
    return docker.inspect("volume", name) is not None


def create(name: str, labels: dict[str, str]) -> None:
    """Make an empty volume with these labels, if there is none of that name."""
    docker.run("volume", "create", *(f"--label={key}={value}" for key, value in labels.items()), name)


def clone(source: str, target: str) -> None:
    """Make the content of `target` a copy of `source`; both exist, and no container uses them."""
    shell(_CLONE, source, target)


def shell(script: str, *args: str) -> str:
    """Run a shell script as root beside all volumes (at /volumes), and return what it prints."""
    root = docker.out("info", "--format", "{{.DockerRootDir}}")
    mount = f"{root}/volumes:/volumes"
    return docker.out(
        "run", "--rm", "--network=none", "--volume", mount, base_image.ensure_base(), "sh", "-euc", script, "sh", *args
    )
