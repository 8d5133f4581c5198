"""The edges with the greatest scores as a block. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from unexplained.bars.kept import UNIT
from unexplained.record import Number
from unexplained.record.blocks import (
    Column,
    Forest,
    Link,
    Network,
    Node,
    Prose,
    Row,
    Section,
    Table,
    Track,
)

LINES = 30
"""Edges that have a line with their interval; the graph has all that are named."""


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
    lines = top[:LINES]
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
            for edge in lines
        ),
    )
    says, names = _words(top, edges, method, by)
    return Section(
        key="edges",
        title="The edges with the greatest scores",
        folded=folded,
        blocks=(
            *((says,) if folded else (says, _drawn(top, table), names)),
            forest,
            table,
        ),
    )


def _words(top: Sequence[EdgeScore], edges: int, method: str, by: str) -> tuple[Prose, Prose]:
    """What scores are, and what the lines of the first show."""
    lines = top[:LINES]
    open_ones = sum(edge.is_open for edge in lines)
    near = (
        f"{open_ones} of these {len(lines)} {'is' if open_ones == 1 else 'are'}" if open_ones else
        "None of these is"
    )  # fmt: skip
    first = ", by size" if by == "absolute" else ", those that help first"
    many = f"{len(top)}" if len(top) == len(lines) else f"{len(top)} (lines are of {len(lines)})"
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
    return says, names


def _drawn(top: Sequence[EdgeScore], table: Table) -> Network:
    """The edges as arrows from what writes to what reads."""
    links = []
    for edge in top:
        source, target = edge.name.split(ARROW)
        node, port = _END.fullmatch(target).groups()  # type: ignore[union-attr]
        links.append(Link(source=source, target=node, port=port or "", faint=edge.is_open,
                          weight=table.at(edge.name, "score")))  # fmt: skip
    names = dict.fromkeys(name for link in links for name in (link.source, link.target))
    nodes = sorted((Node(name=name, level=_level(name)) for name in names), key=_order)
    return Network(
        key="graph",
        title="The edges as a graph",
        caption="Heads have parts: an arrow ends at what reads it, the queries, keys or values.",
        signs=("below 0: the edge helps", "above 0: it hinders"),
        nodes=tuple(nodes),
        links=tuple(links),
    )


def _order(node: Node) -> tuple[int, tuple[int, ...], str]:
    """Of a layer heads by number."""
    return node.level, tuple(map(int, re.findall(r"\d+", node.name))), node.name


def _level(name: str) -> int:
    """Heads of a layer below its MLP; the input below all, the logits above.

    >>> [_level(name) for name in ("input", "L0.H3", "L0.mlp", "L2.H0")]
    [-1, 0, 1, 4]
    """
    found = _LAYER.match(name)
    if found is None:
        return -1 if name == "input" else ABOVE
    return 2 * int(found[1]) + (found[2] == "mlp")


ARROW = " → "
ABOVE = 10**6
"""A level above all layers."""
_END = re.compile(r"(.*?)(?:\.([qkv]))?")
_LAYER = re.compile(r"L(\d+)\.(\w+)")
