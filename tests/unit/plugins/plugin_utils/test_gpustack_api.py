# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of GPUStack's API, against a local server that gives the recorded answers of real ones."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded_server import KEY, RELEASES, USERS_KEY, Answer, Seen, make_certificate, recorded, recording, serving

from ansible_collections.fleetops.gpustack.plugins.plugin_utils import _gpustack_api
from ansible_collections.fleetops.gpustack.plugins.plugin_utils._gpustack_api import Access, ApiError

NAMES = {"inference1", "gpu1", "npu1", "büro pc"}
JSON = {"Content-Type": "application/json"}


def always(status: int, body: Any, **headers: str) -> Callable[[str, str | None], Answer]:
    """One answer to everything."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _path, _authorization: (status, text, headers)


def after_version(answer: Callable[[str, str | None], Answer]) -> Callable[[str, str | None], Answer]:
    """A 0.7.1 server that answers the rest in a way of its own."""
    version = recorded("0.7.1")
    return lambda path, who: version(path, who) if path == "/version" else answer(path, who)


@contextlib.contextmanager
def refused(match: str) -> Iterator[None]:
    """The client gives up with a message that says so, in one line, without the key."""
    with pytest.raises(ApiError, match=match) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("release", RELEASES)
def test_the_fleet_of_a_release(release: str) -> None:
    with serving(recorded(release)) as seen:
        fleet = _gpustack_api.read_fleet(Access(seen.url, KEY))
    workers = {worker["name"]: worker for worker in fleet["workers"]}
    assert fleet["release"] == release
    assert set(workers) == NAMES
    assert [gpu["vendor"] for gpu in workers["npu1"]["gpus"]] == ["ascend", "ascend"]
    assert workers["gpu1"]["gpus"][0]["name"] == "NVIDIA A100-SXM4-80GB"
    assert workers["gpu1"]["labels"]["rack"] == "A 7"
    assert workers["gpu1"]["address"] == "192.0.2.21"
    legacy = release.startswith("0.")
    # No 2.x release tells it (gpustack/schemas/workers.py, WorkerPublic).
    assert bool(workers["gpu1"]["uuid"]) == legacy
    assert workers["gpu1"]["cluster"] == (None if legacy else "Default Cluster")


@pytest.mark.parametrize("release", RELEASES)
def test_all_pages_are_read(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpustack_api, "PAGE_SIZE", 2)
    with serving(recorded(release)) as seen:
        fleet = _gpustack_api.read_fleet(Access(seen.url, KEY))
    assert {worker["name"] for worker in fleet["workers"]} == NAMES
    assert len([path for path, _who in seen.requests if "/workers" in path]) == 2


@pytest.mark.parametrize("release", RELEASES)
def test_a_key_that_the_server_does_not_know(release: str) -> None:
    with serving(recorded(release)) as seen, refused(rf"{seen.url} does not accept the API key \(401\).*create one"):
        _gpustack_api.read_fleet(Access(seen.url, KEY.replace("planted", "deleted")))


def test_a_key_of_another_user_than_an_administrator() -> None:
    with serving(recorded("0.7.1")) as seen, refused(r"\(403\): take one of an administrator"):
        _gpustack_api.read_fleet(Access(seen.url, USERS_KEY))


def test_a_v2_server_shows_another_user_no_workers_and_says_nothing() -> None:
    with serving(recorded("2.2.3")) as seen, refused(r"lists no workers .*from 2\.2 on.* create one as"):
        _gpustack_api.read_fleet(Access(seen.url, USERS_KEY))


def test_a_list_that_changes_between_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpustack_api, "PAGE_SIZE", 2)
    first = recording("0.7.1")["admin"]["/v1/workers?page=1&perPage=2"]
    with serving(after_version(always(200, first["body"]))) as seen, refused(r"/v1/workers changed while.*run again"):
        _gpustack_api.read_fleet(Access(seen.url, KEY))


def test_pages_that_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = {"items": [], "pagination": {"page": 1, "perPage": 100, "total": 1, "totalPage": 10**9}}
    with serving(after_version(always(200, endless))) as seen, refused(r"changed while"):
        _gpustack_api.read_fleet(Access(seen.url, KEY))
    assert len(seen.requests) == 2


@pytest.mark.parametrize("version", ["0.0.0", "1.0.0", "3.0.0"])
def test_a_release_that_nobody_knows(version: str) -> None:
    with serving(always(200, {"version": version})) as seen, refused(rf"runs GPUStack {version}, and .* by hand"):
        _gpustack_api.read_fleet(Access(seen.url, KEY))
    assert [path for path, _who in seen.requests] == ["/version"]


@pytest.mark.parametrize(
    "answer",
    [
        always(404, b"<html>nginx</html>"),
        always(200, b"<html>Welcome</html>"),
        always(200, {"version": 7}),
        always(200, ["v0.7.1"]),
        always(400, b""),
        after_version(always(200, {"items": []})),
        after_version(always(200, {"items": [{}], "pagination": {"total": 1, "totalPage": 1}})),
        after_version(always(200, {"items": 1, "pagination": {"total": 1, "totalPage": 1}})),
        after_version(always(404, {"detail": "Not Found"})),
    ],
)
def test_something_else_than_gpustack(answer: Callable[[str, str | None], Answer]) -> None:
    with serving(answer) as seen, refused(rf"^{seen.url}/\S+ .*not a GPUStack server.*check server_url$"):
        _gpustack_api.read_fleet(Access(seen.url, KEY))


def test_something_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpustack_api, "LONGEST_ANSWER", 1000)
    with serving(always(200, b" " * 5000)) as seen, refused(r"/version does not end: it is not a GPUStack"):
        _gpustack_api.read_fleet(Access(seen.url, KEY))


def test_a_server_that_is_not_ready() -> None:
    with serving(always(503, b"")) as seen, refused(r"/version is answered with 503: the server is not ready"):
        _gpustack_api.read_fleet(Access(seen.url, KEY))


def test_a_redirect_does_not_get_the_key() -> None:
    with serving(recorded("0.7.1")) as other:
        target = f"{other.url}/login?session=planted-session"
        with serving(always(307, b"", Location=target)) as seen, refused(rf"leads to {other.url} \(307\); give that"):
            _gpustack_api.read_fleet(Access(seen.url, KEY))
    assert other.requests == []


def test_a_netrc_does_not_replace_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password planted-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(recorded("0.7.1")) as seen:
        _gpustack_api.read_fleet(Access(seen.url, KEY))
    assert {who for _path, who in seen.requests} == {f"Bearer {KEY}"}


def test_a_proxy_is_used_only_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(always(502, b"")) as proxy, serving(recorded("0.7.1")) as seen:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        _gpustack_api.read_fleet(Access(seen.url, KEY, use_proxy=False))
        assert proxy.requests == []
        with refused("502"):
            _gpustack_api.read_fleet(Access(seen.url, KEY))
        assert proxy.requests != []


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with refused(rf"{url} cannot be reached \(Connection refused\); check server_url"):
            _gpustack_api.read_fleet(Access(url, KEY))


def test_nobody_has_this_name() -> None:
    with refused(r"http://gpustack\.invalid cannot be reached \(.+\); check server_url"):
        _gpustack_api.read_fleet(Access("http://gpustack.invalid", KEY, use_proxy=False))


def test_nobody_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with refused(rf"{url} does not answer in 1 s; .* raise timeout"):
            _gpustack_api.read_fleet(Access(url, KEY, timeout=1))


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Seen, str]]:
    """A server with a certificate that nobody trusts, and the file to trust it by."""
    certificate = tmp_path / "certificate.pem"
    make_certificate(certificate)
    with serving(recorded("0.7.1"), certificate) as seen:
        yield seen, str(certificate)


def test_a_certificate_that_is_not_trusted(secure: tuple[Seen, str]) -> None:
    seen, _path = secure
    with refused(rf"the certificate of {seen.url} is not accepted \(.+\); give .* ca_path"):
        _gpustack_api.read_fleet(Access(seen.url, KEY))
    assert seen.requests == []


def test_a_certificate_that_is_trusted_or_not_asked_for(secure: tuple[Seen, str]) -> None:
    seen, path = secure
    for access in (Access(seen.url, KEY, ca_path=path), Access(seen.url, KEY, validate_certs=False)):
        assert len(_gpustack_api.read_fleet(access)["workers"]) == len(NAMES)


def test_tls_where_there_is_none() -> None:
    with serving(recorded("0.7.1")) as seen:
        url = seen.url.replace("http:", "https:")
        with refused(rf"{url} does not speak TLS as it should \(.+\); check scheme and port"):
            _gpustack_api.read_fleet(Access(url, KEY))


def test_no_tls_where_there_is_some(secure: tuple[Seen, str]) -> None:
    url = secure[0].url.replace("https:", "http:")
    with refused(rf"{url} cannot be reached \(.+\); check server_url"):
        _gpustack_api.read_fleet(Access(url, KEY))


def test_a_plain_url_is_taken() -> None:
    assert (
        _gpustack_api.checked_url(" https://ai.example.com:8443/gpustack/ ") == "https://ai.example.com:8443/gpustack"
    )


@pytest.mark.parametrize(
    "url", ["", "ai.example.com", "ftp://a", "http://", "http://a?b=c", "http://a:port", "http://["]
)
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with refused(r"server_url is not the URL of a server; write it as https://"):
        _gpustack_api.checked_url(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with refused(r"holds a user name or a password; take them out"):
        _gpustack_api.checked_url("https://admin:planted-password@ai.example.com")


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_a_missing_key_is_refused(key: str | None) -> None:
    with refused(r"there is no API key; create one .* GPUSTACK_API_KEY"):
        _gpustack_api.checked_key(key)


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY} {KEY}", f"{KEY}ü"])
def test_a_key_that_no_request_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with refused(r"the API key holds characters that no API key has; copy it anew"):
        _gpustack_api.checked_key(key)


def test_a_key_keeps_out_of_what_is_printed() -> None:
    assert _gpustack_api.checked_key(f" {KEY}\n") == KEY
    assert KEY not in repr(Access("http://a", KEY))
