"""The same budget of explanation over sizes: drawn, in words and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from unexplained.record import Number, SizesRecord
from unexplained.record import format as fmt
from unexplained.record.rewrite import SizePoint
from unexplained.report import printed, tables
from unexplained.report.charts import Axis, axis_over
from unexplained.report.compute import MARGIN, Powers
from unexplained.report.placing import Spot, finite, from_top, shortened, spot

PIECES = 8
"""Ticks on the axis of fractions, about."""


@dataclass(frozen=True)
class Plot:
    """The fractions recovered, placed."""

    x: Powers
    y: Axis
    dots: tuple[tuple[str, Spot], ...]
    """Each with the name below it, cut where it is long."""
    line: tuple[float, float, float, float] | None
    """Left, upper, right and lower end of the straight line whose slope is given."""
    omitted: tuple[SizePoint, ...]
    """What was refused and is not drawn."""

    def from_top(self, kept: float) -> float:
        """Height of a fraction, in percent from above."""
        return from_top(self.y, kept)


def plot(record: SizesRecord) -> Plot | None:
    """Place everything; None where nothing can be drawn."""
    drawn = [p for p in record.points if finite(p.recovered) is not None and p.compute > 0]
    if not drawn:
        return None
    logs = [math.log10(point.compute) for point in drawn]
    x = Powers(min(logs) - MARGIN, max(logs) + MARGIN)
    y = _fractions(drawn)
    placed = ((p, spot(x.at(p.compute), p.recovered, y, hover(p))) for p in drawn)
    return Plot(
        x,
        y,
        tuple((_name(p, drawn), one) for p, one in placed if one is not None),
        _line(record, x, y) if len(drawn) == len(record.points) else None,
        tuple(point for point in record.points if point not in drawn),
    )


def _fractions(drawn: Sequence[SizePoint]) -> Axis:
    """From 0 or below to above the highest, within −0.5 to 1.5."""
    ends = [
        min(max(end, -0.5), 1.5)
        for point in drawn
        for end in (point.recovered.value, point.recovered.low, point.recovered.high)
        if end is not None
    ]
    low, high = min([0.0, *ends]), max([0.1, *ends])
    return axis_over(low - 0.05 * (high - low), high + 0.15 * (high - low), PIECES)


def _name(point: SizePoint, drawn: Sequence[SizePoint]) -> str:
    """Below the first run of a size: the others stand under the same compute."""
    first = next(p for p in drawn if p.compute == point.compute)
    return "".join(shortened(point.rung)) if point is first else ""


def _line(record: SizesRecord, x: Powers, y: Axis) -> tuple[float, float, float, float] | None:
    """The least-squares line: it goes through the means, with the slope that is given."""
    value = finite(record.slope)
    if value is None:
        return None
    by_size: dict[float, list[float]] = {}
    for point in record.points:
        kept = by_size.setdefault(math.log10(point.compute), [])
        kept.append(point.recovered.value or 0.0)
    # Runs weigh the same, or sizes where they are what scatters.
    weights = [1 if record.bent else len(kept) for kept in by_size.values()]
    middle, height = (
        sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        for values in (by_size, [sum(kept) / len(kept) for kept in by_size.values()])
    )
    ends = []
    for log in (min(by_size), max(by_size)):
        ends += [x.at(10.0**log), from_top(y, height + value * (log - middle))]
    return (ends[0], ends[1], ends[2], ends[3])


def hover(point: SizePoint) -> str:
    """What a size says when one points at it."""
    return (
        f"{point.rung}: {fmt.power(point.compute)} FLOPs, {point.components:,} components; "
        f"recovered {fmt.show(point.recovered, share=True)}"
    )


def slope(number: Number, scatter: float | None) -> str:
    """The slope in a sentence, given how far runs of one size scatter, if there are several.

    >>> slope(Number(value=-0.047, low=-0.104, high=-0.02), 0.02).partition(": ")[2]
    'the interval is below 0, so that less is recovered in larger models.'
    >>> slope(Number(value=-0.047, low=-0.104, high=-0.02), None).partition(": ")[2]
    'one run of each size, so that another seed may turn it round.'
    """
    if number.value is None:
        return f"There is no slope: {fmt.refusal(number)}."
    said = (
        "With ten times the training compute the fraction recovered changes by "
        f"{fmt.points(number)} percentage points: "
    )
    if number.low is None or number.high is None:
        return said + "without an interval, it may be chance."
    if scatter is None:
        return said + "one run of each size, so that another seed may turn it round."
    if number.low > 0:
        return said + "the interval is above 0, so that more is recovered in larger models."
    if number.high < 0:
        return said + "the interval is below 0, so that less is recovered in larger models."
    return said + "the interval holds 0, so that these sizes do not tell which way it goes."


def rests(record: SizesRecord) -> str:
    """What the interval of the slope rests on, in a sentence or two."""
    if record.scatter is None:
        return (
            "Every size has one run: how another run would have come out is not known, and the "
            "interval of the slope does not say."
        )
    said = (
        "The interval of the slope counts other documents, the same ones in all models, and other "
        f"runs: those of one size scatter by {100 * record.scatter:.2g} percentage points (one "
        "standard deviation)."
    )
    if record.bent:
        said += (
            " The sizes lie further off a straight line than seeds explain: their own distances "
            "from it are what is added."
        )
    return said


def notes(record: SizesRecord) -> tables.Notes:
    """Why numbers were refused."""
    every = (number for point in record.points for number in (point.damage, point.recovered))
    return tables.refusals((*every, record.slope))


def print_sizes(record: SizesRecord, console: Console) -> None:
    """Print the sizes: verdict, what each recovers, the slope."""
    numbered, narrow = notes(record), console.width < printed.NARROW
    console.print(printed.plain(record.title, "dim"))
    console.print(printed.plain(record.verdict, "bold"))
    console.print()
    level = fmt.tick(record.level, share=True)
    table = tables.plain_table(
        f"{record.text}: {fmt.count(record.tokens)} tokens in {fmt.count(record.documents)} "
        f"documents; damage of all components mean-ablated, nats per token; [{level}]"
    )
    table.add_column("model", overflow="fold")
    for heading in ("FLOPs", "components", "bits", "damage", "recovered"):
        table.add_column(heading, justify="right", no_wrap=True)
    for point in record.points:
        damage = fmt.show(point.damage)
        table.add_row(
            printed.plain(point.rung),
            printed.plain(fmt.power(point.compute)),
            f"{point.components:,}",
            fmt.count(point.bits),
            printed.noted(point.damage, numbered, damage.value if narrow else str(damage)),
            printed.share(point.recovered, numbered, narrow),
        )
    console.print(table)
    console.print(printed.plain(slope(record.slope, record.scatter)))
    console.print(printed.plain(rests(record), "dim"))
    console.print(printed.plain(f"budget: {record.budget}", "dim"))
    for (reason, tokens), note in numbered.items():
        number = Number(value=None, refused=reason, tokens_needed=tokens)
        console.print(printed.plain(f"[{note}] {fmt.refusal(number)}", "dim"))
