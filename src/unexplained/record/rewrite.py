"""The record of sizes: one budget of explanation over a ladder of models."""

from __future__ import annotations

from typing import Literal

from unexplained.record.base import Frozen, KindRecord, Number


class SizePoint(Frozen):
    """One model under the same budget of explanation."""

    rung: str
    compute: float
    """Models of the same training compute are runs of one size, which differ by their seed."""
    components: int
    bits: int
    damage: Number
    """All of them mean-ablated, minus intact (nats per token)."""
    recovered: Number


class SizesRecord(KindRecord):
    """The same budget of explanation over the sizes of a ladder (MISSION 11)."""

    kind: Literal["sizes"] = "sizes"
    text: str
    text_fingerprint: str
    documents: int
    tokens: int
    budget: str
    points: tuple[SizePoint, ...]
    slope: Number
    """Change of the fraction recovered for ten times the training compute; its interval is for other
    documents and other runs."""
    scatter: float | None = None
    """Standard deviation of the fraction recovered between runs of one size; null where every size
    has one run: then how much another seed would move the slope is not known, and it is no claim."""
    bent: bool = False
    """Whether the sizes lie further off a straight line than seeds explain."""
    left_out: tuple[str, ...] = ()
    """Runs of these sizes that ship and were not measured: without them the slope is no claim, since
    some of the runs can be found that say anything."""

    @property
    def claimed(self) -> bool:
        """Whether which way it goes is a claim.

        Seeds are counted, all of those that ship, and the interval leaves out 0.
        """
        low, high = self.slope.low, self.slope.high
        told = low is not None and high is not None and not low <= 0 <= high
        return told and self.scatter is not None and not self.left_out
