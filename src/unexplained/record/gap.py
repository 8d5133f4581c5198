"""The record of where the gap between two models lives."""

from __future__ import annotations

from typing import Literal

from unexplained.record.bars import Concentration, OnCrucial, OverRuns
from unexplained.record.base import KindRecord, Number


class GapRecord(KindRecord):
    """How the gap to a weaker model is spread over tokens, and what is explained where it lives."""

    kind: Literal["gap"] = "gap"
    text: str
    text_fingerprint: str
    text_notes: tuple[str, ...] = ()
    documents: int
    tokens: int
    weak: str
    chosen_by: tuple[str, str]
    """The strong and the weak model of the second pair, whose gap puts the tokens in order."""
    strong_loss: Number
    weak_loss: Number
    spread: Concentration
    """In the order of the second pair: what is not chance."""
    flattered: Concentration
    """In the models' own order: chance differences make any gap look concentrated."""
    runs: OverRuns | None = None
    """Over other runs of both models too; null where no others were given: then how much another
    seed would move the numbers is not known."""
    sites: tuple[str, ...] = ()
    on_crucial: tuple[OnCrucial, ...] = ()
    """Explanations of those sites, on the tokens where the second pair's gap is largest."""
