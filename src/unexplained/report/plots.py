"""A chart placed: places are percent of its width and of its height from above.

It is drawn as an SVG whose words keep their size at any width: only what has no words in it is
stretched. What lies beyond an axis is not pulled in: it sits at the edge with an arrow and its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import Chart, Level, Point, Ruler, Series
from unexplained.report.charts import axis_over
from unexplained.report.placing import APART, apart, finite, paths, shortened

COLOURS = 4
"""Colours and shapes of lines in the style sheet, before they come again."""
DASHES = 3
"""Dashes of lines in grey."""
PIECES = {"even": 5, "doubling": 0, "tenfold": 7}
"""Ticks across, about."""
HEIGHT, LITTLE = 8, 4
"""Ticks up, about, of a chart and of a small one."""
WITHIN = 11.0
"""Percent of the height between two names beside a small chart."""
BESIDE, LINE = 15.0, 8.0
"""Labels that are nearer across than so many percent of the width are so far apart in height."""
ROOM = 1.0
"""How far above and below the lines that are not dashed the axis goes for all others, in their height."""
LEAST = 1.0
"""The least that this is, in nats or as a share."""
FEW = 2.3
"""Powers of ten across which an axis has ticks at 2 and 5 times one as well."""

Find = Callable[[str], Number]
"""The number that a reference points at."""


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    words: str
    below: str = ""
    solid: bool = False


@dataclass(frozen=True)
class Spaced:
    """An axis: what has the same length on it, and its ends."""

    spacing: str
    low: float
    high: float
    """Ends as they are spaced: logarithms of a logarithmic axis."""

    def at(self, value: float) -> float:
        """Place in percent, not pulled to the edge.

        >>> Spaced("even", 0.0, 2.0).at(0.5), Spaced("doubling", 0.0, 4.0).at(4)
        (25.0, 50.0)
        """
        where = _spaced(self.spacing, value)
        if where is None:
            return -1e4
        share = (where - self.low) / (self.high - self.low)
        return round(min(max(100 * share, -1e4), 1e4), 2)


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
class Held:
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
    held: tuple[Held, ...]
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
    x = _across(chart.across, xs)
    y = _up(chart.up, there, [v for _, v in levels], find)
    inside = [(one, v) for one, v in levels if 0 <= 100 - y.at(v) <= 100]
    beyond: dict[tuple[float, str], int] = {}
    lines = tuple(
        _line(series, points, x, y, find, beyond, style)
        for (series, points), style in zip(values, _styles(chart.series), strict=True)
    )
    return ChartPlot(
        ticks_across(chart.across, x),
        ticks_up(chart.up, y, LITTLE if chart.small else HEIGHT),
        lines,
        tuple(Held(one.role, _top(y, v), f"{one.name}: {fmt.show(find(one.y))}") for one, v in inside),
        _margin(lines, inside, y, WITHIN if chart.small else APART),
        None if chart.line is None else _straight(chart.line, x, y),
        tuple(_left_out(s, p, chart.across) for s, points in values for p in points if not _both(p)),
        tuple(f"{one.name} {fmt.show(find(one.y)).value}" for one, v in levels if (one, v) not in inside),
    )  # fmt: skip


def _value(end: float | str, find: Find) -> float | None:
    return finite(find(end)) if isinstance(end, str) else end


def _both(point: tuple[Point, float | None, float | None]) -> bool:
    return point[1] is not None and point[2] is not None


def _spaced(spacing: str, value: float) -> float | None:
    if spacing == "even":
        return value
    if value <= 0:
        return None
    return math.log2(value) if spacing == "doubling" else math.log10(value)


def _across(ruler: Ruler, xs: Sequence[float]) -> Spaced:
    """Over all points, and to whole powers of ten where shares are drawn."""
    spaced = [s for v in (*xs, *ruler.solid) if (s := _spaced(ruler.spacing, v)) is not None]
    low, high = min(spaced, default=0.0), max(spaced, default=1.0)
    if ruler.spacing == "tenfold" and ruler.written == "share":
        low, high = float(math.floor(low + 1e-9)), max(high, 0.0)
    elif ruler.spacing == "tenfold":
        low, high = low - 0.36, high + 0.36
    elif ruler.spacing == "doubling":
        low = min(low, 0.0)
    else:
        low, high = _margins(ruler, low, high)
    return Spaced(ruler.spacing, low, high if high > low else low + 1.0)


def _margins(ruler: Ruler, low: float, high: float) -> tuple[float, float]:
    """A little room beyond what is drawn, but not below a line of reference or a given end."""
    ends = (ruler.least, ruler.most)
    low = low if ends[0] is None else max(low, ends[0])
    high = high if ends[1] is None else min(high, ends[1])
    room = (high - low) * 0.05 or 0.1
    held = {*ruler.solid, *(e for e in ends if e is not None)}
    return low if low in held else low - room, high if high in ends else high + room


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
    low, high = _margins(ruler, low, high)
    return Spaced("even", low, high if high > low else low + 1.0)


def _top(y: Spaced, value: float) -> float:
    return round(100 - y.at(value), 2)


def _written(ruler: Ruler, value: float) -> str:
    match ruler.written:
        case "share":
            return fmt.tick(value, share=True)
        case "count":
            return fmt.count(round(value))
        case "power":
            return fmt.power(value)
        case _:
            return fmt.tick(value, share=False)


def _place(ruler: Ruler, value: float) -> str:
    """Where a point lies, in words: it need not be as round as a tick."""
    return fmt.part(value) if ruler.written == "share" else _written(ruler, value)


def ticks_across(ruler: Ruler, x: Spaced) -> tuple[Tick, ...]:
    """Labelled places from left to right."""
    if ruler.spacing == "even":
        values = axis_over(x.low, x.high, PIECES["even"]).ticks
    elif ruler.spacing == "doubling":
        most = round(2**x.high)
        powers = (2**i for i in range(most.bit_length()))
        values = (*(float(n) for n in powers if math.log2(most / n) > 0.5), float(most))
    else:
        return _tens(ruler, x)
    return tuple(Tick(x.at(v), _written(ruler, v), _counts(ruler, v)) for v in values)


def _tens(ruler: Ruler, x: Spaced) -> tuple[Tick, ...]:
    """Whole powers of ten, at most seven; 2 and 5 times one where there would be too few."""
    whole = range(math.ceil(x.low - 1e-9), math.floor(x.high + 1e-9) + 1)
    share = ruler.written == "share"
    if len(whole) >= 2 or share:
        every = math.ceil(len(whole) / PIECES["tenfold"])
        values = [(10.0**i, fmt.ten(i)) for i in whole[::every]]
    else:
        values = [
            (times * 10.0**i, f"{times} × {fmt.ten(i)}".removeprefix("1 × "))
            for i in range(math.floor(x.low), math.floor(x.high) + 1)
            for times in (1, 2, 5)
        ]
    return tuple(
        Tick(x.at(v), _written(ruler, v) if share else words, _counts(ruler, v))
        for v, words in values
        if -0.01 <= x.at(v) <= 100.01
    )


def _counts(ruler: Ruler, value: float) -> str:
    """How many a share is, below its tick."""
    if ruler.whole is None or not round(value * ruler.whole):
        return ""
    return fmt.count(round(value * ruler.whole))


def ticks_up(ruler: Ruler, y: Spaced, pieces: int = HEIGHT) -> tuple[Tick, ...]:
    """Labelled heights, lines of reference among them."""
    inner = axis_over(y.low, y.high, pieces).ticks
    values = sorted({*inner, *(v for v in ruler.solid if y.low <= v <= y.high)})
    step = (y.high - y.low) / 25
    kept = [v for v in values if v in ruler.solid or all(abs(v - s) > step for s in ruler.solid)]
    return tuple(Tick(_top(y, v), _written(ruler, v), solid=v in ruler.solid) for v in kept)


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
    beyond: dict[tuple[float, str], int],
    style: tuple[str, int],
) -> Line:
    placed = [
        None if a is None or b is None else (point, x.at(a), find(point.y))
        for point, a, b in points
    ]
    corners = [p and (p[1], _top(y, p[2].value or 0.0)) for p in placed]
    if series.start is not None:
        corners.insert(0, (x.at(series.start[0]), _top(y, series.start[1])))
    dots = _labelled([_dot(series, *p, y, find, beyond) for p in placed if p])
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
        height = _top(y, series.start[1])
        runs[0].append((x.at(series.start[0]), height, height))
    for one in placed:
        number = one[2] if one else None
        if one is None or number is None or number.low is None or number.high is None:
            runs.append([])
        else:
            runs[-1].append((one[1], _top(y, number.high), _top(y, number.low)))
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
    beyond: dict[tuple[float, str], int],
) -> Dot:
    value = number.value or 0.0
    tops = [_top(y, value if e is None else e) for e in (value, number.low, number.high)]
    side = "left" if place < 0 else "right" if place > 100 else ""
    side = side or ("up" if tops[0] < 0 else "down" if tops[0] > 100 else "")
    x = min(max(place, 0.0), 100.0)
    stack = beyond.get((x, side), 0)
    beyond[x, side] = stack + 1
    height, low, high = (min(max(top, 0.0), 100.0) for top in tops)
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
    label = point[0].label or ("" if isinstance(x, str) else _place(ruler, x))
    return f"{series.name} ({label})" if label else series.name


def _margin(
    lines: Sequence[Line], levels: Sequence[tuple[Level, float]], y: Spaced, gap: float
) -> tuple[Margin, ...]:
    """Names at the right, pushed apart: of levels, which have no legend; else of several lines."""
    ends = [(f"at-{one.role or 'baseline'}", _top(y, v), one.name) for one, v in levels]
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
    return x.at(line[0]), _top(y, line[1]), x.at(line[2]), _top(y, line[3])


def names(omitted: Iterable[str]) -> str:
    """What was left out, in a sentence; empty where nothing was."""
    words = "; ".join(dict.fromkeys(omitted))
    return f"Not drawn, because refused: {words}." if words else ""
