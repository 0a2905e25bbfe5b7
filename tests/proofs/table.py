# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of what was proven, in the README, between two comments each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.proofs.ledger import CHECKOUT, Proof

README = CHECKOUT / "README.md"
VENDORS = "vendors"
INSTALLATIONS = "installations"
#: Table -> its rows, with their titles, in their order.
ROWS: dict[str, dict[str, str]] = {
    VENDORS: {
        "nvidia": "NVIDIA",
        "amd": "AMD",
        "ascend": "Ascend",
        "hygon": "Hygon",
        "hygon_dtk26": "Hygon, DTK 26",
        "mthreads": "Moore Threads",
        "iluvatar": "Iluvatar",
        "cambricon": "Cambricon",
        "metax": "MetaX",
        "thead": "T-Head",
        "cpu": "CPU",
    },
    INSTALLATIONS: {
        "bind": "Docker, data in a bind mount",
        "volume": "Docker, data in a named volume",
        "anonymous": "Docker, data in an anonymous volume, `--rm`",
        "layer": "Docker, data in the container's layer",
        "data_dir": "Docker, `--data-dir`, mounts of their own for cache and models",
        "bridge": "Docker, bridge network with `-p`",
        "config_file": "Docker, configuration file",
        "env_file": "Docker, `--env-file`",
        "postgresql": "Docker, external PostgreSQL, upgraded in place",
        "mysql": "Docker, external MySQL, upgraded in place (MySQL 9.7; not proven on MySQL 8)",
        "sqlite_to_postgresql": "Docker, SQLite into an external PostgreSQL",
        "embedded": "server with an embedded worker",
        "two_workers": "two workers on one host, for GPUs of two vendors",
        "server_and_worker": "server and worker on one host, each in its container",
        "tls": "server with a certificate of a private authority, called by name",
        "nat": "address translation between server and worker, both ways",
        "oidc": "single sign-on by OIDC",
        "sso": "single sign-on by SAML",
        "unit": "systemd unit around a container",
        "compose": "Compose, watched by Watchtower",
        "script": "upstream's installer script (pipx, systemd)",
        "pip": "pip, under a systemd unit of one's own",
        "0.6": "Docker, 0.6.2: server and three workers",
        "0.5": "Docker, 0.5.1: server",
        "0.4": "Docker, 0.4.1: server",
        "0.3": "Docker, 0.3.2: server",
        "0.2": "Docker, 0.2.1: server",
        "0.1": "Docker, 0.1.2: server, data in the container's layer",
        "macos": "macOS, archive of the data directory",
        "windows": "Windows, archive of the data directory",
    },
}
COLUMNS: dict[str, Sequence[str]] = {
    VENDORS: ("2.0.0", "2.0.3", "2.1.1", "2.1.2", "2.2.3"),
    INSTALLATIONS: ("2.0.0", "2.0.3", "2.2.3"),
}
#: Cells that cannot be.
NEVER = {(VENDORS, "thead", "2.0.0"), (VENDORS, "thead", "2.0.3")}


def write(proofs: Sequence[Proof]) -> None:
    """Write all tables into the README."""
    README.write_text(filled(README.read_text(), proofs))


def filled(text: str, proofs: Sequence[Proof]) -> str:
    """A text with the tables of these proofs in place of those between its comments."""
    for table in ROWS:
        begin, end = f"<!-- proofs: {table} -->", "<!-- end of proofs -->"
        before, found, rest = text.partition(begin)
        _old, ended, after = rest.partition(end)
        assert (found, ended) == (begin, end), f"the README has no place for the table {table}"
        text = "\n".join([before + begin, *render(table, proofs), end + after])
    return text


def render(table: str, proofs: Iterable[Proof]) -> list[str]:
    """The lines of a table: in each cell the scenarios that proved it, with the day of the last time."""
    cells: dict[tuple[str, str], list[Proof]] = {}
    for proof in proofs:
        if proof.table == table:
            cells.setdefault((proof.row, proof.column), []).append(proof)
    columns = COLUMNS[table]
    lines = [_row(["", *columns]), _row(["---"] * (1 + len(columns)))]
    for row, title in ROWS[table].items():
        told = [_told(cells.get((row, column), []), (table, row, column) in NEVER) for column in columns]
        lines.append(_row([title, *told]))
    return lines


def _told(proofs: list[Proof], never: bool) -> str:
    if never:
        return "no such support in GPUStack"
    return ", ".join(f"{proof.scenario} ({proof.day})" for proof in proofs) or "not proven"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
