"""What circuits of each size keep, as blocks: the curves of several orders of the same edges. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from unexplained.bars.cards import Card
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.bars import KeptAt, KeptCurve
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Cell,
    Chart,
    Column,
    Point,
    Prose,
    Row,
    Ruler,
    Section,
    Series,
    Style,
    Table,
)
from unexplained.record.keys import step

Curves = Sequence[tuple[Card, KeptCurve]]
LOWEST, HIGHEST = -0.5, 1.5
"""Shares of the behaviour beyond which the chart does not go: circuits can fall far below."""
NONE, UNTOLD = "none", "cannot be told"


def answer(curves: Curves, *, keeps: float, of: str) -> Answer:
    """What every order keeps of the prompts' difference, at a few sizes about the first knee, and from which on enough."""
    points = curves[0][1].points
    counts = [point.edges for point in points]
    knees = [curve.knee for _, curve in curves if curve.knee in counts[:-1]]
    middle = counts.index(min(knees)) if knees else len(counts) // 2
    shown = sorted({max(0, middle - 2), middle})

    def from_on(curve: KeptCurve) -> str:
        if curve.knee is None:
            told = _knee(curve, None) == NONE
            return f"{keeps:.0%} at no size" if told else f"{keeps:.0%} from where on {UNTOLD}"
        return f"{keeps:.0%} from {curve.knee:,} edges on"

    return Answer(
        corner="Order of edges",
        columns=tuple(
            Column(key=str(counts[i]), heading=f"{counts[i]:,} edges", note=fmt.part(points[i].share),
                   style="share")
            for i in shown
        ),
        rows=tuple(
            AnswerRow(name=card.name, note=from_on(curve), role=card.role,
                      cells=tuple(f"sizes/kept/{counts[i]}/{step(card.name)}" for i in shown))
            for card, curve in curves[:12]
        ),
        beside=(
            AnswerRow(name="Clean less corrupted prompts",
                      cells=("facts/gap/is", *[None] * (len(shown) - 1))),
        ),
        picture="sizes/curve",
        says=f"Of {of}. 0%: the logit difference of the corrupted prompts; 100%: that of the clean ones.",
    )  # fmt: skip


def _knee(curve: KeptCurve, knee: int | None) -> int | str:
    """A knee, or why there is none: sizes are gone through from the largest down, as `kept.knee` does."""
    if knee is not None:
        return knee
    short = [point for point in curve.points if point.share < 1]
    return UNTOLD if short and short[-1].kept.value is None else NONE


def kept_section(curves: Curves, orbits: int, *, keeps: float, folded: bool = False) -> Section:
    """Chart and tables of what circuits keep in some orders, all of the same sizes.

    Args:
        curves: Every order's card and curve.
        orbits: What intervals are over.
        keeps: The share that knees are about.
        folded: Whether it stands beside the same of a model that matters more.
    """
    kept = _by_size(
        curves, "kept", lambda point: point.kept, style="share", title="All numbers", shaded=True,
        caption="Kept by the first so many edges in each order, with its interval over "
        f"{orbits:,} orbits.",
    )  # fmt: skip
    unit = curves[0][1].points[0].logit_difference.unit
    logit_difference = _by_size(
        curves, "logit difference", lambda point: point.logit_difference, title="Logit differences", folded=True,
        caption=f"Logit difference under the first so many edges in each order, {unit}.",
    )  # fmt: skip
    return Section(
        key="sizes",
        title="What a circuit of each size keeps",
        folded=folded,
        blocks=(
            *(() if folded else _means()),
            _chart(curves, kept, keeps),
            kept,
            *_orders(curves, keeps),
            logit_difference,
        ),
    )


def _means() -> tuple[Block, ...]:
    return (
        Prose(
            words="The edges in a circuit carry what they carry on the clean prompt, all others what "
            "they carry on the corrupted prompt. Kept (its faithfulness): (logit difference of the circuit − "
            "that on the corrupted prompts) ÷ (that on the clean prompts − that on the "
            "corrupted prompts). Neither 0 nor 100% is a limit: a circuit can do worse than the "
            "corrupted prompt and better than the whole model."
        ),
        Prose(
            words="Edges were scored on other pairs than those that circuits are measured on. "
            "Baselines, in grey, order the same edges without an attribution."
        ),
    )


def _by_size(
    curves: Curves, key: str, of: Callable[[KeptAt], Number], *, style: Style = "plain", **how: Any
) -> Table:
    """A row for each size and a column for each order."""
    return Table(
        key=key,
        corner="Edges",
        columns=tuple(Column(key=c.name, heading=c.name, style=style) for c, _ in curves),
        rows=tuple(
            Row(key=str(some[0].edges), name=f"{some[0].edges:,}", note=fmt.part(some[0].share),
                cells=tuple(map(of, some)))
            for some in zip(*(curve.points for _, curve in curves), strict=True)
        ),
        **how,
    )  # fmt: skip


def _chart(curves: Curves, table: Table, keeps: float) -> Chart:
    hues = [card.name for card, _ in curves if not card.role]
    share = fmt.tick(keeps, share=True)
    return Chart(
        key="curve",
        caption="0%: the corrupted prompts; 100%: the clean ones. A ring is the smallest measured "
        f"circuit that keeps {share} with its whole interval, a dotted ring the smallest that does "
        "so by its value alone; the whole model has none. Circuits are measured on the same pairs, "
        "so that two whose intervals overlap can still differ.",
        across=Ruler(label="share of all edges, and their number", spacing="tenfold",
                     written="share", whole=curves[0][1].edges),
        up=Ruler(label="kept", written="share", solid=(0.0, keeps, 1.0), least=LOWEST, most=HIGHEST),
        series=tuple(
            Series(
                name=card.name,
                says=card.says,
                tag=", ".join([card.role] * bool(card.role) + [fmt.METHODS[card.method]]),
                role=card.role,
                hue=0 if card.role else hues.index(card.name),
                dashed=card.role == "baseline",
                band=True,
                points=tuple(
                    Point(x=point.share, y=table.at(str(point.edges), card.name),
                          ring=_ring(curve, point))
                    for point in curve.points
                ),
            )
            for card, curve in curves
        ),
    )  # fmt: skip


def _ring(curve: KeptCurve, point: KeptAt) -> Literal["", "solid", "dotted"]:
    if point.share >= 1:  # The whole model keeps everything: no finding.
        return ""
    if point.edges == curve.knee:
        return "solid"
    return "dotted" if point.edges == curve.knee_by_value else ""


def _orders(curves: Curves, keeps: float) -> tuple[Block, ...]:
    """Areas, distances and knees."""
    share = fmt.tick(keeps, share=True)

    def row(card: Card, curve: KeptCurve) -> tuple[Cell, ...]:
        knees = (_knee(curve, knee) for knee in (curve.knee, curve.knee_by_value))
        return (curve.area, curve.distance, *knees, fmt.METHODS[card.method])

    return (
        Table(
            key="orders",
            title="Each order in short",
            caption=f"Knee: the smallest measured circuit that keeps {share} with its whole "
            "interval, as does every larger one; by value: by the value alone. None: none short of "
            "the whole model.",
            corner="Order",
            columns=(
                Column(key="area", heading="Area", note="CPR"),
                Column(key="distance", heading="Distance from 100%", note="CMD"),
                Column(key="knee", heading="Knee", note="edges"),
                Column(key="knee-by-value", heading="Knee by value", note="edges"),
                Column(key="method", heading="Method", words=True),
            ),
            rows=tuple(
                Row(key=card.name, name=card.name, note="baseline: " * (card.role == "baseline") + card.says,
                    role=card.role, cells=row(card, curve))
                for card, curve in curves
            ),
        ),
        Prose(
            words="Area and distance are taken over the share of edges on a linear scale and from "
            "0.1% of the edges on, as MIB takes them, so that large circuits weigh most; they have "
            "no intervals. Distance 0: everything is kept at every size. A dash: there was too "
            "little to take it over.",
            manner="aside",
        ),
    )  # fmt: skip
