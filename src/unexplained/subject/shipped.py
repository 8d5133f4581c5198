"""Models that come with this package: the ladder, trained by us and small enough to ship.

Each is an ordinary checkpoint folder (`config.json`, `model.safetensors` in float16) under
`unexplained/models/`; they share one tokenizer, in the folder beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "models"
TOKENIZER = FOLDER / "tokenizer"

NOTE = "trained by us; ships with this package"
"""What `load` notes of them, and of nothing else: a name alone proves nothing."""


def shipped() -> dict[str, Path]:
    """Name → checkpoint folder, sorted by name."""
    return {path.parent.name: path.parent for path in sorted(FOLDER.glob("*/config.json"))}


@dataclass(frozen=True)
class Training:
    """What a model of ours has met in training, as far as texts are concerned."""

    context: int
    """Tokens of a row."""
    segments: tuple[int, int] | None
    """Shortest and longest random segment that was repeated in rows; None where there was none."""


@lru_cache(maxsize=1)
def _trainings() -> dict[str, Training]:
    models = json.loads((FOLDER / "ladder.json").read_text(encoding="utf-8"))["models"]
    return {
        one["name"]: Training(one["context"], tuple(one["segments"]) if one["segments"] else None)
        for one in models
    }


def training_of(subject: object) -> Training | None:
    """What a model of ours was trained on; None of any other: nothing is known of it here."""
    if NOTE not in getattr(subject, "notes", ()):
        return None
    return _trainings().get(getattr(subject, "name", ""))
