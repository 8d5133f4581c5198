"""What a head does on repeated random tokens."""

from __future__ import annotations

from unexplained.record.base import Frozen, Number


class HeadScore(Frozen):
    """Behavioural scores of a head on repeated random tokens, beside the random-weight twin's."""

    site: str
    induction: float
    previous_token: float
    duplicate_token: float
    twin_induction: float | None = None
    gain_lost: Number | None = None
    """Gain in context lost on repeated tokens when this head alone is mean-ablated; null where
    that was not measured."""
