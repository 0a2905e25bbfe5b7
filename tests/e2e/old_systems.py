# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server of macOS or Windows would leave, made of the real data directory of a stopped 0.7.1 server.

The layouts are stand-ins by upstream's installers (install.sh, install.ps1, docs/installation/desktop-installer.md of
0.7.1): neither system is in the lab. Database, write-ahead log and secrets are the server's own bytes.
"""

from __future__ import annotations

import base64
import io
import plistlib
import random
import tarfile
import zipfile
from pathlib import Path

from tests.lab.fleet import Reach

#: A secret that lies in the settings alone.
PLANTED = "hf_LabPlantedInAPropertyList06"
MODEL = "huggingface/Qwen/model.gguf"
CACHED = random.Random(6).randbytes(3 * 1024 * 1024 + 5)
_FILES = ("database.db", "database.db-wal", "database.db-shm", "token", "jwt_secret_key", "initial_admin_password")


def files_of(server: Reach, directory: str) -> dict[str, bytes]:
    """The files of a stopped server's data directory."""
    text = server.exec_root("sh", "-c", f"cd {directory} && tar -cf - {' '.join(_FILES)} 2>/dev/null | base64")
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text))) as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]


def macos(folder: Path, files: dict[str, bytes]) -> Path:
    """A tar.gz as of a Mac with the desktop installer, made by a tar that packs resource forks too."""
    place = "Library/Application Support/GPUStack"
    service = {
        "Label": "ai.gpustack",
        "ProgramArguments": ["gpustack", "start", "--huggingface-token", PLANTED, "--data-dir", f"/{place}"],
        "EnvironmentVariables": {"PATH": "/opt/homebrew/bin"},
    }
    members = {f"{place}/{name}": content for name, content in files.items()}
    members |= {f"{place}/._database.db": b"fork", f"{place}/.DS_Store": b"finder", f"{place}/log/serve/1.log": b"old"}
    members["Library/LaunchDaemons/ai.gpustack.plist"] = plistlib.dumps(service)
    path = folder / "mac.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            _add(archive, name, content)
        link = tarfile.TarInfo(f"{place}/bin/llama-box-default")
        link.type, link.linkname = tarfile.SYMTYPE, "llama-box-v0.0.171-darwin-arm64-metal"
        archive.addfile(link)
    return path


def windows(folder: Path, files: dict[str, bytes]) -> Path:
    """A zip as Compress-Archive of Windows PowerShell makes it of the desktop installer's directory."""
    members = {name.replace("database", "Database"): content for name, content in files.items()}
    members |= {"bin/gguf-parser.exe": b"MZ", f"cache/{MODEL}": CACHED, "Thumbs.db": b"explorer"}
    path = folder / "windows.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"ProgramData/GPUStack/{name}".replace("/", "\\"), content)
    return path


def trap(folder: Path, files: dict[str, bytes]) -> Path:
    """A tar that would write beside the directory into which it is unpacked."""
    path = folder / "trap.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in {**files, "../../etc/cron.d/gpustack": b"* * * * * root true\n"}.items():
            _add(archive, name, content)
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
