"""Losses on the scale of training compute, placed: rungs, the curve through them, conditions on it.

The curve falls, so there is nothing to the right of a point at its height: a line leads from there to
its name in the margin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import Compute, CurvePoint, OnCurve, Ruler
from unexplained.report.placing import apart, finite, shortened
from unexplained.report.rulers import Find, Spaced, Tick, beyond, ticks_across, ticks_up, within

REACH = 1.0
"""Decades beyond the rungs at either end that the axis goes for the sake of a condition."""
MARGIN = 0.36
"""Decades beyond the outermost thing that the axis shows."""
HIGHER = 0.5
"""How far above and below the rungs' losses the other axis goes for it, in the rungs' height."""
FLOPS = Ruler(label="training compute, FLOPs", spacing="tenfold", written="power")


@dataclass(frozen=True)
class RunDot:
    """A trained model: a rung's run from one seed."""

    x: float
    y: float
    low: float
    """Height of the lower end of its interval, from above; `y` where there is none."""
    high: float
    hover: str


@dataclass(frozen=True)
class Mark:
    """A condition where the curve has its loss."""

    key: str
    """The letter by which chart and list name it."""
    name: str
    role: str
    x: float
    y: float
    beyond: str
    """`left`, `right`, `up` or `down` where it lies beyond the chart, else empty."""
    low: float
    """Left end of its interval, in percent of the width, within the chart."""
    high: float
    open: tuple[bool, bool]
    """Whether the interval goes on beyond that end."""
    extrapolated: bool
    label: float
    """Height of its name in the margin."""
    short: str
    flops: str
    hover: str


@dataclass(frozen=True)
class CurvePlot:
    """A scale of training compute, placed."""

    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    dots: tuple[RunDot, ...]
    names: tuple[tuple[str, float], ...]
    """Each rung's number and its place from the left."""
    fitted: tuple[float, float] | None
    """Left end and width of the range that the curve was fitted on."""
    lines: tuple[tuple[str, str], ...]
    """Corners `x,y …` of the curve, and `near` within that range or `far` beyond it."""
    band: str
    marks: tuple[Mark, ...]


def plot(block: Compute, find: Find) -> CurvePlot | None:
    """Place everything; None where no rung and no condition can be drawn."""
    rungs = [r for r in block.rungs if finite(find(r.loss)) is not None and _flops(r, find) > 0]
    drawn = {rung.name for rung in rungs}  # a rung is a dot, and no lettered mark as well
    there = [
        c
        for c in block.conditions
        if _flops(c, find) > 0 and finite(find(c.loss)) is not None and c.name not in drawn
    ]
    if not rungs and not there:
        return None
    x = _powers([_flops(r, find) for r in rungs], [_flops(c, find) for c in there])
    y = _losses(rungs, there, find)
    line = block.bend if block.chosen == "bend" else block.law
    return CurvePlot(
        ticks_across(FLOPS, x),
        ticks_up(Ruler(label=""), y),
        dots=tuple(_dot(rung, x, y, find) for rung in rungs),
        names=_names(rungs, x, find),
        fitted=_fitted(block.fitted, x),
        lines=_lines(line, block.fitted, x, y),
        band=_band(line, x, y),
        marks=_marks(there, x, y, find),
    )


def _flops(one: OnCurve, find: Find) -> float:
    if isinstance(one.compute, str):
        return finite(find(one.compute)) or 0.0
    return one.compute


def _powers(rungs: Sequence[float], others: Sequence[float]) -> Spaced:
    """From below the least to above the greatest, at most `REACH` beyond the rungs."""
    inner = [math.log10(compute) for compute in rungs or others]
    reach = (min(inner) - REACH, max(inner) + REACH)
    near = [min(max(math.log10(compute), reach[0]), reach[1]) for compute in others]
    return Spaced("tenfold", min(inner + near) - MARGIN, max(inner + near) + MARGIN)


def _losses(rungs: Sequence[OnCurve], there: Sequence[OnCurve], find: Find) -> Spaced:
    """The axis of losses: the rungs and what is not far above or below them."""
    others = [find(one.loss).value or 0.0 for one in there]
    numbers = [find(rung.loss) for rung in rungs]
    core = [end for n in numbers for end in (n.value, n.low, n.high) if end is not None] or others
    low, high = min(core), max(core)
    room = (high - low) * HIGHER or 0.5
    near = [loss for loss in others if low - room <= loss <= high + room]
    low, high = min([low, *near]), max([high, *near])
    margin = (high - low) * 0.07 or 0.1
    return Spaced("even", low - margin, high + margin)


def _dot(rung: OnCurve, x: Spaced, y: Spaced, find: Find) -> RunDot:
    number = find(rung.loss)
    value, compute = number.value or 0.0, _flops(rung, find)
    low, high = (value if end is None else end for end in (number.low, number.high))
    hover = f"{rung.name}: {fmt.power(compute)} FLOPs; loss {fmt.show(number)}"
    return RunDot(x.at(compute), y.top(value), y.top(low), y.top(high), hover)


def _names(rungs: Sequence[OnCurve], x: Spaced, find: Find) -> tuple[tuple[str, float], ...]:
    """Each rung's number, below the leftmost of its runs."""
    numbers = sorted({rung.rung for rung in rungs if rung.rung is not None})
    return tuple(
        (str(number), min(x.at(_flops(rung, find)) for rung in rungs if rung.rung == number))
        for number in numbers
    )


def _fitted(ends: tuple[float, float] | None, x: Spaced) -> tuple[float, float] | None:
    if ends is None:
        return None
    left, right = (within(x.at(end)) for end in ends)
    return left, round(right - left, 2)


def _lines(
    line: Sequence[CurvePoint], fitted: tuple[float, float] | None, x: Spaced, y: Spaced
) -> tuple[tuple[str, str], ...]:
    """The curve, cut where the range ends that it was fitted on."""
    corners = sorted((p.compute, p.loss) for p in line)
    if len(corners) < 2:
        return ()
    first, last = corners[0][0], corners[-1][0]
    cuts = [first, *(min(max(end, first), last) for end in fitted or (first, last)), last]
    found = []
    for i, (start, end) in enumerate(pairwise(cuts)):
        inside = [p for p in corners if start < p[0] < end]
        ends = [(c, loss) for c in (start, end) if (loss := _between(corners, c)) is not None]
        if start < end and len(ends) == 2:
            found.append((_path([ends[0], *inside, ends[1]], x, y), "near" if i == 1 else "far"))
    return tuple(found)


def _between(corners: Sequence[tuple[float, float]], compute: float) -> float | None:
    """The loss on the line between two corners, by the logarithm of compute."""
    for (c, loss), (d, other) in pairwise(corners):
        if c <= compute * (1 + 1e-9) and compute <= d * (1 + 1e-9) and c < d:
            return loss + (other - loss) * math.log(compute / c) / math.log(d / c)
    return None


def _path(points: Iterable[tuple[float, float]], x: Spaced, y: Spaced) -> str:
    return " ".join(f"{x.at(compute):g},{y.top(loss):g}" for compute, loss in points)


def _band(line: Sequence[CurvePoint], x: Spaced, y: Spaced) -> str:
    known = [
        (p.compute, p.low, p.high)
        for p in sorted(line, key=lambda point: point.compute)
        if p.low is not None and p.high is not None
    ]
    there = [(compute, high) for compute, _, high in known]
    back = [(compute, low) for compute, low, _ in reversed(known)]
    return _path(there + back, x, y) if len(known) > 1 else ""


def _marks(there: Sequence[OnCurve], x: Spaced, y: Spaced, find: Find) -> tuple[Mark, ...]:
    """The conditions from the highest loss to the lowest, with their letters and names' heights."""
    ordered = sorted(there, key=lambda one: -(find(one.loss).value or 0.0))
    tops = [within(y.top(find(one.loss).value or 0.0)) for one in ordered]
    return tuple(
        _mark(one, _letter(i), label, x, y, find)
        for i, (one, label) in enumerate(zip(ordered, apart(tops), strict=True))
    )


def _mark(one: OnCurve, key: str, label: float, x: Spaced, y: Spaced, find: Find) -> Mark:
    loss = find(one.loss)
    equals = find(one.compute) if isinstance(one.compute, str) else Number(value=one.compute)
    place, height = x.at(equals.value or 1.0), y.top(loss.value or 0.0)
    low, high, is_open = _ends(equals, place, x)
    return Mark(
        key, one.name, one.role or "baseline",
        within(place), within(height), beyond(place, height),
        low, high, is_open, one.extrapolated, label, "".join(shortened(one.name)),
        fmt.compute(equals).value,
        f"{one.name}: loss {fmt.show(loss)}, as good as {fmt.compute(equals)} FLOPs"
        + "; extrapolated" * one.extrapolated,
    )  # fmt: skip


def _ends(number: Number, place: float, x: Spaced) -> tuple[float, float, tuple[bool, bool]]:
    """The interval within the chart, and which of its ends go on."""
    if number.low is None and number.high is None:
        here = within(place)
        return here, here, (False, False)
    low = x.at(number.low) if number.low else -math.inf
    high = x.at(number.high) if number.high and math.isfinite(number.high) else math.inf
    ends = [within(end) for end in (low, high)]
    return ends[0], ends[1], (low < 0, high > 100)


def _letter(i: int) -> str:
    """Letters that name conditions.

    >>> [_letter(i) for i in (0, 25, 26)]
    ['a', 'z', 'aa']
    """
    return (_letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)
