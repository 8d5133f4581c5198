"""The size–recovery curve of a circuit record, placed.

It is drawn as an SVG whose places are percent of its width and height, so that its words stay
readable at any width: only what has no words in it is stretched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from unexplained.record import CircuitRecord, Curve, Point
from unexplained.record import format as fmt
from unexplained.report import circuits, visible
from unexplained.report.charts import Axis, fraction_axis, mark

KEEPS = 0.8
"""The knee is where this is kept: drawn as a line of reference beside 0 and 1."""
COLOURS = 4
"""Colours and shapes of attributions in the style sheet, before they come again."""
BASELINES = 3
"""Dashes of baselines in the style sheet."""
APART = 5.5
"""Percent of the height between the labels of two curves."""
SHORT = 18
"""Letters of a name beside its curve; the legend has all."""


@dataclass(frozen=True)
class Shares:
    """A logarithmic axis of shares, from a power of ten to 1."""

    decades: int

    @classmethod
    def over(cls, shares: Iterable[float]) -> Shares:
        """Whole decades from below the smallest.

        >>> Shares.over([0.0002, 1.0]), Shares.over([0.001]), Shares.over([1.0])
        (Shares(decades=4), Shares(decades=3), Shares(decades=1))
        """
        least = min((share for share in shares if share > 0), default=1.0)
        return cls(max(1, math.ceil(round(-math.log10(least), 9))))

    def at(self, share: float) -> float:
        """Place in percent of the width.

        >>> Shares(4).at(0.01), Shares(4).at(1.0)
        (50.0, 100.0)
        """
        return round(100 * (1 + math.log10(share) / self.decades), 2)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Every power of ten.

        >>> Shares(2).ticks
        (0.01, 0.1, 1.0)
        """
        return tuple(float(f"1e-{i}") for i in range(self.decades, -1, -1))


@dataclass(frozen=True)
class Dot:
    """A circuit on the curve, in percent of the width from the left and the height from above."""

    x: float
    y: float
    beyond: str
    """`up` or `down` where the value lies outside of the axis, else empty."""
    stack: int
    """How many of the same size are beyond the same edge before this one."""
    value: str
    hover: str
    knee: str
    """`whole` or `value`: the smallest that keeps 80%, with its interval or by its value alone;
    empty for all others and for the whole model."""


@dataclass(frozen=True)
class Line:
    """A curve, placed."""

    curve: Curve
    style: str
    """Class of its colour and dashes."""
    shape: int
    paths: tuple[str, ...]
    """Corners `x,y …`, not pulled to the edge; a refused size cuts a path in two."""
    bands: tuple[str, ...]
    """The intervals along each path, as polygons."""
    dots: tuple[Dot, ...]
    label: float
    """Height of its name at the right."""

    @property
    def short(self) -> str:
        """Its name, cut where it is long."""
        name = visible.line(self.curve.name)
        return name if len(name) <= SHORT else name[: SHORT - 1] + "…"


@dataclass(frozen=True)
class Plot:
    """The size–recovery curves of a record."""

    x: Shares
    y: Axis
    lines: tuple[Line, ...]
    omitted: tuple[tuple[Curve, Point], ...]
    """What was refused and is not drawn."""

    def from_top(self, kept: float) -> float:
        """Height of a value, in percent from above."""
        return round(100 - self.y.at(kept), 2)

    def is_reference(self, tick: float) -> bool:
        """Whether a tick is more than a tick."""
        return tick in (0.0, KEEPS, 1.0)


def plot(record: CircuitRecord) -> Plot | None:
    """Place everything; None where nothing can be drawn."""
    points = [(curve, point) for curve in record.curves for point in curve.points]
    drawn = [point for _, point in points if _drawable(point)]
    if not drawn:
        return None
    whole = fraction_axis(point.kept for point in drawn)
    fifths = (step / 5 for step in range(-2, 8))
    y = replace(whole, ticks=tuple(t for t in fifths if whole.low <= t <= whole.high))
    x = Shares.over(point.share for point in drawn)
    beyond: dict[tuple[float, str], int] = {}
    styles = _styles(record.curves)
    labels = _labels(record.curves, y)
    lines = tuple(
        Line(
            curve, *styles[i],
            paths=tuple(_path(run, x, y) for run in _runs(curve)),
            bands=tuple(_band(run, x, y) for run in _runs(curve) if len(run) > 1),
            dots=tuple(_dot(curve, p, x, y, beyond) for p in curve.points if _drawable(p)),
            label=labels[i],
        )
        for i, curve in enumerate(record.curves)
    )  # fmt: skip
    return Plot(x, y, lines, tuple(pair for pair in points if not _drawable(pair[1])))


def _drawable(point: Point) -> bool:
    value = point.kept.value
    return value is not None and math.isfinite(value) and 0 < point.share <= 1


def _styles(curves: Sequence[Curve]) -> list[tuple[str, int]]:
    """Colour and shape: attributions in colours, baselines in grey."""
    counts = {"attribution": 0, "baseline": 0}
    found = []
    for curve in curves:
        i, kinds = counts[curve.kind], COLOURS if curve.kind == "attribution" else BASELINES
        counts[curve.kind] += 1
        name = "hue" if curve.kind == "attribution" else "dash"
        # The second time round a colour comes with another shape.
        found.append((f"{name}{i % kinds}", (i + i // kinds) % COLOURS))
    return found


def _runs(curve: Curve) -> list[list[Point]]:
    """Neighbouring sizes that can be drawn."""
    runs: list[list[Point]] = [[]]
    for point in curve.points:
        if _drawable(point):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _corner(share: float, kept: float, x: Shares, y: Axis) -> str:
    """A corner where it truly is: a line leaves the plot as steeply as it was measured."""
    height = 100 - 100 * (kept - y.low) / (y.high - y.low)
    return f"{x.at(share):g},{round(min(max(height, -1e4), 1e4), 2):g}"


def _path(run: Sequence[Point], x: Shares, y: Axis) -> str:
    return " ".join(_corner(p.share, p.kept.value or 0.0, x, y) for p in run)


def _band(run: Sequence[Point], x: Shares, y: Axis) -> str:
    def end(point: Point, which: float | None) -> str:
        kept = (point.kept.value or 0.0) if which is None else which
        return _corner(point.share, kept, x, y)

    there = [end(p, p.kept.high) for p in run]
    back = [end(p, p.kept.low) for p in reversed(run)]
    return " ".join(there + back)


def _dot(
    curve: Curve, point: Point, x: Shares, y: Axis, beyond: dict[tuple[float, str], int]
) -> Dot:
    placed = mark(point.kept, y)
    assert placed is not None
    side = {"left": "down", "right": "up", "": ""}[placed.beyond]
    at = x.at(point.share)
    stack = beyond.get((at, side), 0)
    beyond[at, side] = stack + 1
    return Dot(
        at,
        round(100 - placed.at, 2),
        side,
        stack,
        fmt.show(point.kept).value,
        f"{curve.name}: {circuits.hover(point)}",
        _ring(curve, point),
    )


def _ring(curve: Curve, point: Point) -> str:
    if point.share >= 1:  # The whole model keeps everything: no finding.
        return ""
    if point.edges == curve.knee:
        return "whole"
    return "value" if point.edges == curve.knee_by_value else ""


def _labels(curves: Sequence[Curve], y: Axis) -> list[float]:
    """Heights of the names: at the curves' ends, pushed apart, in the order of the curves.

    Most curves end in the same place, the whole model; what is higher at the last size at which
    they differ is named above.
    """
    sizes = sorted({p.edges for c in curves for p in c.points}, reverse=True)

    def heights(curve: Curve) -> list[float]:
        kept = {p.edges: p.kept.value or 0.0 for p in curve.points if _drawable(p)}
        return [-round(kept.get(size, 0.0), 6) for size in sizes]

    found = [0.0] * len(curves)
    last = -math.inf
    for i in sorted(range(len(curves)), key=lambda i: heights(curves[i])):
        ends = [p.kept.value or 0.0 for p in curves[i].points if _drawable(p)]
        found[i] = last = max(100 - y.at(ends[-1] if ends else 0.0), last + APART)
    low = max(0.0, last - 100)
    return [round(height - low, 2) for height in found]
