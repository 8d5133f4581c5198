"""A chart placed: places are percent of its width and of its height from above.

It is drawn as an SVG whose words keep their size at any width: only what has no words in it is
stretched. What lies beyond an axis is not pulled in: it sits at the edge with an arrow and its value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import Chart, Level, Point, Ruler, Series
from unexplained.report.placing import APART, apart, finite, paths, shortened
from unexplained.report.rulers import (
    HEIGHT,
    LITTLE,
    Find,
    Spaced,
    Tick,
    across,
    beyond,
    exactly,
    margins,
    ticks_across,
    ticks_up,
    within,
)

COLOURS = 4
"""Colours and shapes of lines in the style sheet, before they come again."""
DASHES = 3
"""Dashes of lines in grey."""
WITHIN = 11.0
"""Percent of the height between two names beside a small chart."""
BESIDE, LINE = 15.0, 8.0
"""Labels that are nearer across than so many percent of the width are so far apart in height."""
ROOM = 1.0
"""How far above and below the lines that are not dashed the axis goes for all others, in their height."""
LEAST = 1.0
"""The least that this is, in nats or as a share."""


@dataclass(frozen=True)
class Dot:
    """A point, placed."""

    x: float
    y: float
    low: float
    """Height of the lower end of its interval, from above; `y` where there is none."""
    high: float
    beyond: str
    """`up`, `down`, `left` or `right` where it lies beyond the chart, else empty."""
    stack: int
    """How many others lie beyond the same edge at the same place before it."""
    value: str
    """What is written where it lies beyond: the number that does."""
    hover: str
    label: str
    label_y: float
    """Height of its label: its own, or as near below as there is room."""
    ring: str


@dataclass(frozen=True)
class Line:
    """A series, placed."""

    name: str
    says: str
    tag: str
    style: str
    """Class of its colour and dashes."""
    shape: int
    paths: tuple[str, ...]
    bands: tuple[str, ...]
    dots: tuple[Dot, ...]
    whiskers: bool


@dataclass(frozen=True)
class LevelLine:
    """A level line, placed."""

    role: str
    y: float
    hover: str


@dataclass(frozen=True)
class Margin:
    """A name in the margin: where its line ends, and the height at which it stands."""

    style: str
    y: float
    label: float
    first: str
    rest: str
    """Its name, what a telephone shows of it and what it leaves out."""


@dataclass(frozen=True)
class ChartPlot:
    """A chart, placed."""

    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...]
    held: tuple[LevelLine, ...]
    margin: tuple[Margin, ...]
    straight: tuple[float, float, float, float] | None
    omitted: tuple[str, ...]
    """What was refused and is not drawn."""
    outside: tuple[str, ...]
    """Levels that are too far off."""


def plot(chart: Chart, find: Find) -> ChartPlot | None:
    """Place everything; None where nothing can be drawn."""
    values = [
        (series, [(point, _value(point.x, find), _value(point.y, find)) for point in series.points])
        for series in chart.series
    ]
    there = [(s, [p for p in points if _both(p)]) for s, points in values]
    if not any(points for _, points in there):
        return None
    levels = [(one, v) for one in chart.levels if (v := finite(find(one.y))) is not None]
    xs = [x for _, points in there for _, x, _ in points if x is not None]
    x = across(chart.across, xs)
    y = _up(chart.up, there, [v for _, v in levels], find)
    inside = [(one, v) for one, v in levels if 0 <= 100 - y.at(v) <= 100]
    stacks: dict[tuple[float, str], int] = {}
    lines = tuple(
        _line(series, points, x, y, find, stacks, style)
        for (series, points), style in zip(values, _styles(chart.series), strict=True)
    )
    return ChartPlot(
        ticks_across(chart.across, x),
        ticks_up(chart.up, y, LITTLE if chart.small else HEIGHT),
        lines,
        tuple(LevelLine(one.role, y.top(v), f"{one.name}: {fmt.show(find(one.y))}") for one, v in inside),
        _margin(lines, inside, y, WITHIN if chart.small else APART),
        None if chart.line is None else _straight(chart.line, x, y),
        tuple(_left_out(s, p, chart.across) for s, points in values for p in points if not _both(p)),
        tuple(f"{one.name} {fmt.show(find(one.y)).value}" for one, v in levels if (one, v) not in inside),
    )  # fmt: skip


def _value(end: float | str, find: Find) -> float | None:
    return finite(find(end)) if isinstance(end, str) else end


def _both(point: tuple[Point, float | None, float | None]) -> bool:
    return point[1] is not None and point[2] is not None


def _up(
    ruler: Ruler,
    there: Sequence[tuple[Series, Sequence[tuple[Point, float | None, float | None]]]],
    levels: Sequence[float],
    find: Find,
) -> Spaced:
    """The lines that are not dashed, and of the rest what is not far above or below them."""
    core: list[float] = [*ruler.solid]
    far: list[float] = [*levels]
    for series, points in there:
        for point, _, value in points:
            number = find(point.y)
            ends = [e for e in (number.low, number.high) if e is not None and math.isfinite(e)]
            (far if series.dashed else core).extend([value or 0.0, *ends])
    if not core:
        core, far = far, []
    least = -math.inf if ruler.least is None else ruler.least
    most = math.inf if ruler.most is None else ruler.most
    core = [min(max(v, least), most) for v in core]
    low, high = min(core), max(core)
    room = max((high - low) * ROOM, LEAST)
    near = [v for v in far if max(low - room, least) <= v <= min(high + room, most)]
    low, high = min([low, *near]), max([high, *near])
    low, high = margins(ruler, low, high)
    return Spaced("even", low, high if high > low else low + 1.0)


def _styles(every: Sequence[Series]) -> list[tuple[str, int]]:
    """Colour and shape: dashed lines take the colour of their hue, baselines are grey."""
    greys, found = 0, []
    for series in every:
        if series.role == "baseline":
            found.append((f"dash{greys % DASHES}", greys % COLOURS))
            greys += 1
            continue
        hue = series.hue
        # The second time round a colour comes with another shape.
        shape = (hue + hue // COLOURS) % COLOURS
        found.append((f"hue{hue % COLOURS}" + " broken" * series.dashed, shape))
    return found


def _line(
    series: Series,
    points: Sequence[tuple[Point, float | None, float | None]],
    x: Spaced,
    y: Spaced,
    find: Find,
    stacks: dict[tuple[float, str], int],
    style: tuple[str, int],
) -> Line:
    placed = [
        None if a is None or b is None else (point, x.at(a), find(point.y))
        for point, a, b in points
    ]
    corners = [p and (p[1], y.top(p[2].value or 0.0)) for p in placed]
    if series.start is not None:
        corners.insert(0, (x.at(series.start[0]), y.top(series.start[1])))
    dots = _labelled([_dot(series, *p, y, find, stacks) for p in placed if p])
    return Line(
        series.name, series.says, series.tag, *style,
        paths=paths(corners) if series.joined else (),
        bands=_bands(series, placed, x, y) if series.band else (),
        dots=dots,
        whiskers=not series.band,
    )  # fmt: skip


def _bands(
    series: Series,
    placed: Sequence[tuple[Point, float, Number] | None],
    x: Spaced,
    y: Spaced,
) -> tuple[str, ...]:
    """The intervals along each run of points that have one, as polygons."""
    runs: list[list[tuple[float, float, float]]] = [[]]
    if series.start is not None:
        height = y.top(series.start[1])
        runs[0].append((x.at(series.start[0]), height, height))
    for one in placed:
        number = one[2] if one else None
        if one is None or number is None or number.low is None or number.high is None:
            runs.append([])
        else:
            runs[-1].append((one[1], y.top(number.high), y.top(number.low)))
    found = []
    for run in runs:
        there = [f"{a:g},{high:g}" for a, high, _ in run]
        back = [f"{a:g},{low:g}" for a, _, low in reversed(run)]
        found.append(" ".join(there + back) if len(run) > 1 else "")
    return tuple(band for band in found if band)


def _dot(
    series: Series,
    point: Point,
    place: float,
    number: Number,
    y: Spaced,
    find: Find,
    stacks: dict[tuple[float, str], int],
) -> Dot:
    value = number.value or 0.0
    tops = [y.top(value if e is None else e) for e in (value, number.low, number.high)]
    side = beyond(place, tops[0])
    x = within(place)
    stack = stacks.get((x, side), 0)
    stacks[x, side] = stack + 1
    height, low, high = (within(top) for top in tops)
    label = f", {point.label}" if point.label else ""
    hover = f"{series.name}{label}: {fmt.show(number)}"
    outside = find(point.x) if side in ("left", "right") and isinstance(point.x, str) else number
    written = fmt.show(outside).value
    return Dot(x, height, low, high, side, stack, written, hover, "".join(shortened(point.label)),
               height, point.ring)  # fmt: skip


def _labelled(dots: Sequence[Dot]) -> tuple[Dot, ...]:
    """The same with their labels pushed apart, from the highest down."""
    heights: dict[int, float] = {}
    for i in sorted(range(len(dots)), key=lambda i: dots[i].y):
        if dots[i].label:
            near = [y for j, y in heights.items() if abs(dots[j].x - dots[i].x) < BESIDE]
            heights[i] = max([dots[i].y, *(y + LINE for y in near)])
    return tuple(replace(dot, label_y=heights.get(i, dot.y)) for i, dot in enumerate(dots))


def _left_out(series: Series, point: tuple[Point, float | None, float | None], ruler: Ruler) -> str:
    x = point[0].x
    label = point[0].label or ("" if isinstance(x, str) else exactly(ruler, x))
    return f"{series.name} ({label})" if label else series.name


def _margin(
    lines: Sequence[Line], levels: Sequence[tuple[Level, float]], y: Spaced, gap: float
) -> tuple[Margin, ...]:
    """Names at the right, pushed apart: of levels, which have no legend; else of several lines."""
    ends = [(f"at-{one.role or 'baseline'}", y.top(v), one.name) for one, v in levels]
    if not ends:
        ends = [(line.style, line.dots[-1].y, line.name)
                for line in lines if line.dots and line.paths]  # fmt: skip
        if len(ends) < 2:
            return ()
    ends.sort(key=lambda end: end[1])
    heights = apart([height for _, height, _ in ends], gap)
    return tuple(
        Margin(style, height, label, *shortened(name))
        for (style, height, name), label in zip(ends, heights, strict=True)
    )


def _straight(
    line: tuple[float, float, float, float], x: Spaced, y: Spaced
) -> tuple[float, float, float, float]:
    return x.at(line[0]), y.top(line[1]), x.at(line[2]), y.top(line[3])


def names(omitted: Iterable[str]) -> str:
    """What was left out, in a sentence; empty where nothing was."""
    words = "; ".join(dict.fromkeys(omitted))
    return f"Not drawn, because refused: {words}." if words else ""
