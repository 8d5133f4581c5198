"""The edges with the greatest scores as a block. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unexplained.bars.kept import UNIT
from unexplained.record import Number
from unexplained.record.blocks import Column, Forest, Prose, Row, Section, Table, Track


class EdgeScore(NamedTuple):
    """An edge with its attribution: an estimate of what corrupting it alone would change."""

    name: str
    score: float
    error: float
    """Standard error over orbits of pairs; NaN or 0 of a single one."""

    @property
    def number(self) -> Number:
        """With two standard errors either way; without where a single orbit gave it none."""
        if not self.error > 0:
            return Number(value=self.score, unit=UNIT)
        low, high = self.score - 2 * self.error, self.score + 2 * self.error
        return Number(value=self.score, low=low, high=high, unit=UNIT)

    @property
    def is_open(self) -> bool:
        """Whether the score is within two standard errors of zero."""
        return abs(self.score) <= 2 * self.error


def greatest(
    top: Sequence[EdgeScore], edges: int, method: str, *, by: str, folded: bool = False
) -> Section:
    """The first edges in the order of a method's scores.

    Args:
        top: The edges.
        edges: Of how many.
        method: Of attribution.
        by: How they are ranked: `absolute` or `signed`.
        folded: Whether it stands beside the same of a model that matters more.
    """
    many = len(top)
    table = Table(
        key="scores",
        title="Scores",
        corner="Edge",
        columns=(
            Column(key="score", heading="Score", note=f"{UNIT}, two standard errors either way"),
            Column(key="error", heading="Standard error", note="over orbits"),
        ),
        rows=tuple(
            Row(
                key=edge.name,
                name=edge.name,
                cells=(edge.number, edge.error if edge.error > 0 else None),
            )
            for edge in top
        ),
        folded=True,
    )
    forest = Forest(
        key="forest",
        share=False,
        tracks=tuple(
            Track(
                name=edge.name,
                note="within two standard errors of zero" * edge.is_open,
                role="baseline" if edge.is_open else "ablation",
                marks=(table.at(edge.name, "score"),),
            )
            for edge in top
        ),
    )
    open_ones = sum(edge.is_open for edge in top)
    near = (
        f"{open_ones} of these {many} {'is' if open_ones == 1 else 'are'}" if open_ones else
        "None of these is"
    )  # fmt: skip
    first = ", by size" if by == "absolute" else ", those that help first"
    says = Prose(
        words=f"Scored by {method}; the first {many} of {edges:,}{first}. A score is "
        f"an estimate of how the logit difference would change, in {UNIT}, if that edge alone "
        "carried what it carries on the corrupted prompt. Below 0: the edge helps. It is a "
        "first-order estimate, not an effect that was measured; being the largest of many, these "
        "scores flatter."
    )
    names = Prose(
        words=f"Lines are two standard errors over orbits either way. {near} within two standard "
        "errors of zero: grey. q, k and v: what a head's queries, keys and values read."
    )
    return Section(
        key="edges",
        title="The edges with the greatest scores",
        folded=folded,
        blocks=((says,) if folded else (says, names)) + (forest, table),
    )
