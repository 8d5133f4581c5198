"""Losses on the scale of training compute, placed: rungs, the curve through them, conditions on it.

Places are percent of the width and height, so that words keep their size. The
curve falls, so there is nothing to the right of a point at its height: a line leads from there to
its name in the margin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from unexplained.record import Bars, Explained, Number, Scale
from unexplained.record import format as fmt
from unexplained.record.compute import CurvePoint, FittedLaw, RungPoint
from unexplained.report import visible
from unexplained.report.charts import Axis, axis_over
from unexplained.report.placing import APART as APART
from unexplained.report.placing import apart as _apart
from unexplained.report.placing import finite as finite

REACH = 1.0
"""Decades beyond the rungs at either end that the axis goes for the sake of a condition."""
MARGIN = 0.36
"""Decades beyond the outermost thing that the axis shows: two ticks at least, whatever there is."""
HIGHER = 0.5
"""How far above and below the rungs' losses the other axis goes for it, in the rungs' height."""
SHORT = 18
"""Letters of a name in the margin; the list below has all."""
STEPS = 24
"""Corners of the curve where it goes on beyond what the record draws."""


class Kinded(Protocol):
    """Whatever has a kind that gives it a colour."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def kind(self) -> str:
        """The kind of a row of an assay."""


class Measured(Protocol):
    """What was measured on one text: a text of an assay, or a whole rewriting."""

    @property
    def rows(self) -> Sequence[Kinded]:
        """Conditions with their kinds."""

    @property
    def bars(self) -> tuple[Bars, ...]:
        """Conditions held against baselines and weaker models."""

    @property
    def scale(self) -> Scale | None:
        """Its place on training compute."""


@dataclass(frozen=True)
class Powers:
    """A logarithmic axis of FLOPs; its ends are powers of ten, not whole ones."""

    low: float
    high: float

    def at(self, compute: float) -> float:
        """Place in percent of the width, not pulled to the edge.

        >>> Powers(11.0, 15.0).at(1e13), Powers(11.0, 15.0).at(1e17)
        (50.0, 150.0)
        """
        return round(100 * (math.log10(compute) - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Whole powers of ten, at most seven; 2 and 5 times one where there would be too few.

        >>> [words for _, words in Powers(11.4, 14.2).ticks]
        ['10¹²', '10¹³', '10¹⁴']
        >>> [words for _, words in Powers(11.9, 12.8).ticks]
        ['10¹²', '2 × 10¹²', '5 × 10¹²']
        """
        whole = range(math.ceil(self.low), math.floor(self.high) + 1)
        if len(whole) >= 2:
            every = math.ceil(len(whole) / 7)
            return tuple((10.0**i, fmt.ten(i)) for i in whole[::every])
        fine = [
            (times * 10.0**i, f"{times} × {fmt.ten(i)}".removeprefix("1 × "))
            for i in range(math.floor(self.low), math.floor(self.high) + 1)
            for times in (1, 2, 5)
        ]
        return tuple(item for item in fine if 0 <= self.at(item[0]) <= 100)


@dataclass(frozen=True)
class Dot:
    """A trained model: a rung's run from one seed."""

    x: float
    y: float
    low: float
    """Height of the lower end of its interval, from above; `y` where there is none."""
    high: float
    hover: str


@dataclass(frozen=True)
class Condition:
    """A condition where the curve has its loss."""

    explained: Explained
    key: str
    """The letter by which chart and list name it."""
    kind: str
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
    hover: str

    @property
    def short(self) -> str:
        """Its name, cut where it is long."""
        name = visible.line(self.explained.condition)
        return name if len(name) <= SHORT else name[: SHORT - 1] + "…"


@dataclass(frozen=True)
class Plot:
    """The scale of a text, placed."""

    x: Powers
    y: Axis
    dots: tuple[Dot, ...]
    names: tuple[tuple[str, float], ...]
    """Each rung's number and its place from the left."""
    fitted: tuple[float, float] | None
    """Left end and width of the range that the curve was fitted on."""
    lines: tuple[tuple[str, str], ...]
    """Corners `x,y …` of the curve, and `near` within that range or `far` beyond it."""
    band: str
    conditions: tuple[Condition, ...]

    def from_top(self, loss: float) -> float:
        """Height of a loss, in percent from above, not pulled to the edge."""
        return round(100 * (self.y.high - loss) / (self.y.high - self.y.low), 2)


def everyone(scale: Scale) -> tuple[Explained, ...]:
    """The intact model first, then all others."""
    return (*((scale.subject,) if scale.subject else ()), *scale.explained)


def extrapolated(one: Explained, law: FittedLaw | None) -> bool:
    """Whether a condition's compute lies beyond what the curve was fitted on."""
    value = finite(one.equals)
    return law is not None and value is not None and not law.least <= value <= law.greatest


def unplaced(scale: Scale) -> tuple[Explained, ...]:
    """The conditions that have no place on the curve."""
    return tuple(one for one in everyone(scale) if not _placeable(one))


def plot(text: Measured) -> Plot | None:
    """Place everything; None where no rung and no condition can be drawn."""
    scale = text.scale
    if scale is None:
        return None
    rungs = [r for r in scale.rungs if finite(r.loss) is not None and r.compute > 0]
    there = [one for one in everyone(scale) if _placeable(one)]
    if not rungs and not there:
        return None
    x = _powers([r.compute for r in rungs], [one.equals.value or 0.0 for one in there])
    y = _losses(rungs, there)
    bare = Plot(x, y, (), (), None, (), "", ())
    kinds = {row.name: row.kind for row in text.rows}
    return Plot(
        x,
        y,
        dots=tuple(_dot(r, bare) for r in rungs),
        names=_names(rungs, bare),
        fitted=_fitted(scale.law, x),
        lines=_curve(scale, bare),
        band=_band(_line_of(scale), bare),
        conditions=_conditions(scale, there, kinds, bare),
    )


def _placeable(one: Explained) -> bool:
    return (finite(one.equals) or 0.0) > 0 and finite(one.loss) is not None


def _powers(rungs: Sequence[float], others: Sequence[float]) -> Powers:
    """From below the least to above the greatest, at most `REACH` beyond the rungs."""
    inner = [math.log10(compute) for compute in rungs or others]
    reach = (min(inner) - REACH, max(inner) + REACH)
    near = [min(max(math.log10(compute), reach[0]), reach[1]) for compute in others]
    return Powers(min(inner + near) - MARGIN, max(inner + near) + MARGIN)


def _losses(rungs: Sequence[RungPoint], there: Sequence[Explained]) -> Axis:
    """The axis of losses: the rungs and what is not far above or below them."""
    others = [one.loss.value or 0.0 for one in there]
    core = [e for r in rungs for e in (r.loss.value, r.loss.low, r.loss.high) if e is not None]
    core = core or others
    low, high = min(core), max(core)
    room = (high - low) * HIGHER or 0.5
    near = [loss for loss in others if low - room <= loss <= high + room]
    low, high = min([low, *near]), max([high, *near])
    margin = (high - low) * 0.07 or 0.1
    return axis_over(low - margin, high + margin)


def _dot(rung: RungPoint, at: Plot) -> Dot:
    loss = rung.loss
    value = loss.value or 0.0
    low, high = (value if end is None else end for end in (loss.low, loss.high))
    return Dot(
        at.x.at(rung.compute),
        at.from_top(value),
        at.from_top(low),
        at.from_top(high),
        f"{rung.name}: {fmt.power(rung.compute)} FLOPs, {fmt.count(rung.parameters)} parameters"
        + (f", {fmt.count(rung.tokens)} tokens" if rung.tokens else "")
        + f"; loss {fmt.show(loss)}",
    )


def _names(rungs: Sequence[RungPoint], at: Plot) -> tuple[tuple[str, float], ...]:
    """Each rung's number, below the leftmost of its runs."""
    numbers = sorted({rung.rung for rung in rungs})
    return tuple(
        (str(number), min(at.x.at(rung.compute) for rung in rungs if rung.rung == number))
        for number in numbers
    )


def _fitted(law: FittedLaw | None, x: Powers) -> tuple[float, float] | None:
    if law is None:
        return None
    left, right = (min(max(x.at(end), 0.0), 100.0) for end in (law.least, law.greatest))
    return left, round(right - left, 2)


def _loss(law: FittedLaw, compute: float) -> float | None:
    """The bare formula, where the record has its numbers."""
    floor, exponent = finite(law.floor), finite(law.exponent)
    if floor is None or exponent is None:
        return None
    return floor + math.exp(law.scale - exponent * math.log(compute))


def _line_of(scale: Scale) -> Sequence[CurvePoint]:
    """The record's line of the curve that was chosen."""
    if scale.form == "bend" and scale.bend:
        return scale.bend.line
    return scale.law.line if scale.law else ()


def _formula(scale: Scale, compute: float) -> float | None:
    """The chosen curve's bare formula, where the record has its numbers."""
    if scale.form == "bend" and scale.bend:
        return scale.bend.loss(compute)
    return _loss(scale.law, compute) if scale.law else None


def _curve(scale: Scale, at: Plot) -> tuple[tuple[str, str], ...]:
    """The record's line, and the formula from its ends to the edges; cut where the fit ends."""
    if scale.law is None:
        return ()
    known = sorted(((p.compute, p.loss) for p in _line_of(scale)), key=lambda p: p[0])
    left, right = 10.0**at.x.low, 10.0**at.x.high
    first, last = (known[0][0], known[-1][0]) if known else (right, right)
    before = _corners(scale, left, min(first, right)) if left < first else []
    after = _corners(scale, last, right) if known and last < right else []
    corners = [*before, *known, *after]
    cuts = [left, scale.law.least, scale.law.greatest, right]
    found = []
    for i, (start, end) in enumerate(pairwise(cuts)):
        inside = [p for p in corners if start < p[0] < end]
        ends = [(c, _between(corners, c)) for c in (start, end)]
        path = [(c, loss) for c, loss in (ends[0], *inside, ends[1]) if loss is not None]
        if start < end and len(path) > 1:
            found.append((_path(path, at), "near" if i == 1 else "far"))
    return tuple(found)


def _corners(scale: Scale, start: float, end: float) -> list[tuple[float, float]]:
    computes = (start * (end / start) ** (i / STEPS) for i in range(STEPS + 1))
    return [(c, loss) for c in computes if (loss := _formula(scale, c)) is not None]


def _between(corners: Sequence[tuple[float, float]], compute: float) -> float | None:
    """The loss on the line between two corners, by the logarithm of compute."""
    for (c, loss), (d, other) in pairwise(corners):
        if c <= compute * (1 + 1e-9) and compute <= d * (1 + 1e-9) and c < d:
            return loss + (other - loss) * math.log(compute / c) / math.log(d / c)
    return None


def _path(points: Iterable[tuple[float, float]], at: Plot) -> str:
    return " ".join(f"{at.x.at(c):g},{_clipped(at.from_top(loss)):g}" for c, loss in points)


def _band(line: Sequence[CurvePoint], at: Plot) -> str:
    ordered = sorted(line, key=lambda point: point.compute)
    there = [(p.compute, p.high) for p in ordered if p.high is not None]
    back = [(p.compute, p.low) for p in reversed(ordered) if p.low is not None]
    return _path(there + back, at) if len(ordered) > 1 else ""


def _clipped(height: float) -> float:
    return min(max(height, -1e4), 1e4)


def _conditions(
    scale: Scale, there: Sequence[Explained], kinds: Mapping[str, str], at: Plot
) -> tuple[Condition, ...]:
    """The conditions from the highest loss to the lowest, with their letters and names' heights."""
    ordered = sorted(there, key=lambda one: -(one.loss.value or 0.0))
    heights = [min(max(at.from_top(one.loss.value or 0.0), 0.0), 100.0) for one in ordered]
    found = []
    for i, (one, label) in enumerate(zip(ordered, _apart(heights), strict=True)):
        kind = "subject" if one is scale.subject else kinds.get(one.condition, "baseline")
        found.append(_condition(one, _letter(i), kind, label, scale, at))
    return tuple(found)


def _condition(
    one: Explained, key: str, kind: str, label: float, scale: Scale, at: Plot
) -> Condition:
    place = at.x.at(one.equals.value or 1.0)
    height = at.from_top(one.loss.value or 0.0)
    beyond = "left" if place < 0 else "right" if place > 100 else ""
    beyond = beyond or ("up" if height < 0 else "down" if height > 100 else "")
    low, high, is_open = _ends(one.equals, place, at.x)
    far = extrapolated(one, scale.law)
    return Condition(
        one,
        key,
        kind,
        min(max(place, 0.0), 100.0),
        min(max(height, 0.0), 100.0),
        beyond,
        low,
        high,
        is_open,
        far,
        label,
        f"{one.condition}: loss {fmt.show(one.loss)}, as good as {fmt.compute(one.equals)} FLOPs"
        + ("; extrapolated" if far else ""),
    )


def _ends(number: Number, place: float, x: Powers) -> tuple[float, float, tuple[bool, bool]]:
    """The interval within the chart, and which of its ends go on."""
    if number.low is None and number.high is None:
        here = min(max(place, 0.0), 100.0)
        return here, here, (False, False)
    low = x.at(number.low) if number.low else -math.inf
    high = x.at(number.high) if number.high and math.isfinite(number.high) else math.inf
    ends = [min(max(end, 0.0), 100.0) for end in (low, high)]
    return ends[0], ends[1], (low < 0, high > 100)


def _letter(i: int) -> str:
    """Letters that name conditions.

    >>> [_letter(i) for i in (0, 25, 26)]
    ['a', 'z', 'aa']
    """
    return (_letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)
