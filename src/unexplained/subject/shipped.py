"""Models that come with this package: the ladder, trained by us and small enough to ship.

Each is an ordinary checkpoint folder (`config.json`, `model.safetensors` in float16) under
`unexplained/models/`; they share one tokenizer, in the folder beside them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "models"
TOKENIZER = FOLDER / "tokenizer"

NOTE = "trained by us; ships with this package"
"""What `load` notes of them, and of nothing else: a name alone proves nothing."""


def shipped() -> dict[str, Path]:
    """Name → checkpoint folder, sorted by name."""
    return {path.parent.name: path.parent for path in sorted(FOLDER.glob("*/config.json"))}
