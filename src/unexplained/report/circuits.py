"""A circuit record in words and tables: what a circuit of each size keeps, and its edges."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unexplained.record import CircuitRecord, Curve, EdgeScore, Number, Point
from unexplained.report import format as fmt
from unexplained.report import tables, visible
from unexplained.report.charts import Axis, nats_axis

FIRST = 18
"""Columns of the terminal for a size."""
CELL = 20
"""Columns for a value and its interval on one line."""
CELL_WRAPPED = 16
"""Columns for an interval on a line of its own."""
NONE = "none"


def size(point: Point) -> str:
    """A circuit's size in words.

    >>> zero = Number(value=0.0)
    >>> size(Point(edges=2464, share=0.019998, margin=zero, kept=zero))
    '2,464 edges (2%)'
    """
    return f"{point.edges:,} edge{'s' * (point.edges != 1)} ({share(point.share)})"


def share(part: float) -> str:
    """A share of the edges, to two digits; only all of them are written as 100%.

    >>> share(0.0002), share(0.01234), share(0.9996), share(1.0)
    ('0.02%', '1.2%', '99.96%', '100%')
    """
    digits = 2
    while part < 1 and float(f"{part:.{digits}g}") >= 1 and digits < 12:
        digits += 1
    return fmt.tick(float(f"{part:.{digits}g}"), share=True)


def hover(point: Point) -> str:
    """What a circuit says when one points at it."""
    margin = f"{fmt.show(point.margin)} {point.margin.unit}".strip()
    return f"{size(point)} keeps {fmt.show(point.kept)}; margin {margin}"


def sizes(record: CircuitRecord) -> tuple[tuple[Point, tuple[Point | None, ...]], ...]:
    """The rows of the table: any circuit of that size, and each curve's."""
    by_size = [{point.edges: point for point in curve.points} for curve in record.curves]
    every = sorted({edges for points in by_size for edges in points})
    rows = [(edges, tuple(points.get(edges) for points in by_size)) for edges in every]
    return tuple((next(p for p in row if p is not None), row) for _, row in rows)


def knee(curve: Curve, edges: int | None) -> str:
    """The smallest circuit that keeps enough, in words."""
    if edges is None:
        return NONE
    found = next((point for point in curve.points if point.edges == edges), None)
    return f"{edges:,} edges" if found is None else size(found)


def area(value: float | None) -> str:
    """An area under a curve, which has no interval."""
    return fmt.MISSING if value is None else f"{value + 0.0:.3f}".replace("-", fmt.MINUS)


def unsettled(edge: EdgeScore) -> bool:
    """Whether a score is within two standard errors of zero."""
    return abs(edge.score) <= 2 * edge.error


def open_edges(record: CircuitRecord) -> tuple[EdgeScore, ...]:
    """The listed edges whose scores are within two standard errors of zero."""
    return tuple(edge for edge in record.top if unsettled(edge))


def spread(edge: EdgeScore) -> Number:
    """A score with two standard errors either way, to be drawn."""
    if edge.error <= 0:
        return Number(value=edge.score)
    return Number(
        value=edge.score, low=edge.score - 2 * edge.error, high=edge.score + 2 * edge.error
    )


def score(edge: EdgeScore) -> str:
    """A score with its standard error, which says how many digits mean something.

    >>> score(EdgeScore(name="m0->logits", score=-0.21342, error=0.0213))
    '−0.213 ± 0.021'
    >>> score(EdgeScore(name="m0->logits", score=1.5, error=0.0))
    '+1.500'
    """
    if not 0 < edge.error < math.inf:
        return fmt.signed(edge.score)
    places = min(max(1 - math.floor(math.log10(edge.error)), 0), fmt.MOST_DECIMALS)
    return f"{edge.score:+.{places}f} ± {edge.error:.{places}f}".replace("-", fmt.MINUS)


def axis(edges: Iterable[EdgeScore]) -> Axis:
    """The axis of the scores."""
    return nats_axis(spread(edge) for edge in edges)


def notes(record: CircuitRecord) -> tables.Notes:
    """Why numbers on the page were refused."""
    twin = record.twin
    both = [record] if twin is None or not keeps_anything(twin) else [record, twin]
    return tables.refusals([number for one in both for number in _shown(one)])


def _shown(record: CircuitRecord) -> list[Number]:
    rows = (point for _, row in sizes(record) for point in row)
    kept = (point.kept for point in rows if point is not None)
    return [record.accuracy, record.clean, record.corrupted, record.gap, *kept]


def on_twin(record: CircuitRecord) -> str:
    """What the same attributions found in random weights, on how much and for how long."""
    twin = record.twin
    if twin is None:
        return ""
    said = (
        f"With random weights, on {fmt.count(twin.pairs)} pairs: the margin is "
        f"{fmt.show(twin.clean)} clean and {fmt.show(twin.corrupted)} corrupted. "
    )
    refused = {point.kept.refused for curve in twin.curves for point in curve.points}
    if keeps_anything(twin):
        said += twin.verdict
    else:
        said += "Nothing is there to be kept: " + "; ".join(sorted(filter(None, refused))) + "."
    return f"{said} That took {twin.seconds:g} s more."


def keeps_anything(record: CircuitRecord) -> bool:
    """Whether any share of the behaviour is there to be shown, and not refused."""
    return any(point.kept.value is not None for curve in record.curves for point in curve.points)


def tags(record: CircuitRecord) -> str:
    """Which kind of method each order is."""
    kinds: dict[str, list[str]] = {}
    for curve in record.curves:
        kinds.setdefault(tables.METHOD_NAMES[curve.tag], []).append(curve.name)
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items())


def refusal(reason: str, pairs: int | None) -> str:
    """Why a number was refused; a pair has one prediction, so that pairs are what it takes.

    >>> refusal("within noise of zero", 400)
    'within noise of zero; about 400 pairs would settle it'
    """
    reason = reason or "no reason was recorded"
    return reason if pairs is None else f"{reason}; about {fmt.count(pairs)} pairs would settle it"


def print_circuit(record: CircuitRecord, console: Console) -> None:
    """Print a circuit record: verdict, margins, what each size keeps, areas and knees."""
    console.print(_plain(record.title, "dim"))
    console.print(_plain(record.verdict, "bold"))
    console.print()
    console.print(
        _plain(
            f"{record.text}: {fmt.count(record.pairs)} pairs in {fmt.count(record.orbits)} orbits; "
            f"{fmt.count(record.edges)} edges, scored on {fmt.count(record.fit_pairs)} other pairs"
        )
    )
    console.print(
        _plain(
            f"pairs in which it prefers the answer: {fmt.show(record.accuracy)}; margin: "
            f"{fmt.show(record.clean)} clean, {fmt.show(record.corrupted)} corrupted, "
            f"{fmt.show(record.gap)} between them, {record.gap.unit}"
        )
    )
    numbered = notes(record)
    wrapped = console.width < FIRST + CELL * len(record.curves)
    # Beyond these a number would be broken in two: a narrow terminal gets several tables.
    beside = max(1, (console.width - FIRST) // CELL_WRAPPED) if wrapped else len(record.curves)
    for first in range(0, len(record.curves), max(1, beside)):
        curves = range(first, min(first + beside, len(record.curves)))
        console.print(_kept(record, curves, wrapped, numbered))
    console.print(_plain(f"methods: {tags(record)}"))
    if record.twin is not None:
        console.print(_plain(on_twin(record)))
        if keeps_anything(record.twin):
            console.print(_kept(record.twin, range(len(record.twin.curves)), wrapped, numbered))
    for (reason, pairs), note in numbered.items():
        console.print(_plain(f"[{note}] {refusal(reason, pairs)}", "dim"))


def _kept(record: CircuitRecord, which: range, wrapped: bool, numbered: tables.Notes) -> Table:
    """The table of some of the curves."""
    curves = [record.curves[i] for i in which]
    level = fmt.tick(record.level, share=True)
    table = tables.plain_table(f"kept of the margin between clean and corrupted [{level}]")
    table.add_column("edges", justify="right", no_wrap=True)
    for curve in curves:
        table.add_column(_plain(curve.name), justify="right", overflow="fold")

    def cell(point: Point | None) -> Text:
        if point is None:
            return _plain(fmt.MISSING)
        shown, kept = fmt.show(point.kept), point.kept
        if shown.refused:
            note = numbered[kept.refused, kept.tokens_needed]
            return _plain(f"{shown.value} [{note}]", "italic")
        if wrapped and shown.interval:
            return Text("\n").join((_plain(shown.value), _plain(shown.interval)))
        return _plain(str(shown))

    for any_of, row in sizes(record):
        name = f"{any_of.edges:,} {share(any_of.share):>6}"
        table.add_row(_plain(name), *(cell(row[i]) for i in which))
    table.add_section()
    table.add_row("area", *(_plain(area(curve.area)) for curve in curves))
    table.add_row("distance", *(_plain(area(curve.distance)) for curve in curves))
    for name, knees in (
        ("knee", [curve.knee for curve in curves]),
        ("by value", [curve.knee_by_value for curve in curves]),
    ):
        table.add_row(name, *(NONE if edges is None else f"{edges:,}" for edges in knees))
    return table


def _plain(words: str, style: str = "") -> Text:
    return Text(visible.line(words).replace(fmt.MINUS, "-"), style=style)
