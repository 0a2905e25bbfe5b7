# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that answers inference requests with fixed words, so that a server without GPUs books real usage.

It runs in this process for as long as the fleet is filled. The server sends requests to it as to any worker, through
`/proxy/v1/...`, and counts the tokens that the answers claim.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROMPT_TOKENS, COMPLETION_TOKENS = 21, 34
_USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}


def answer(path: str, model: str) -> dict[str, Any]:
    """The OpenAI-compatible answer to a request at this path."""
    common = {"id": "lab", "created": 1, "model": model, "usage": _USAGE}
    if path.endswith("/chat/completions"):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Guten Tag."}}
        return {**common, "object": "chat.completion", "choices": [choice]}
    if path.endswith("/completions"):
        return {
            **common,
            "object": "text_completion",
            "choices": [{"index": 0, "finish_reason": "stop", "text": "Tag."}],
        }
    if path.endswith("/embeddings"):
        usage = {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS}
        data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
        return {"object": "list", "model": model, "data": data, "usage": usage}
    return {"object": "list", "data": []}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send(answer(self.path, ""))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(answer(self.path, body["model"]))

    def _send(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing: the server's own log has the requests."""


@contextmanager
def serving(address: str) -> Iterator[int]:
    """Answer at this address; gives the port."""
    with ThreadingHTTPServer((address, 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
