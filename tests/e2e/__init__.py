
from __future__ import annotations

import sys
from pathlib import Path

# What the translation says is taken from the collection's code, which Python finds where playbooks find it.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "playbooks/collections"))
