from __future__ import annotations

from typing import Any


def run(fleet: Any) -> dict[str, Any]:
    return {}
