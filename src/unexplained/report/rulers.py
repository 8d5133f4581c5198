"""Axes of charts: what has the same length on them, where values stand, what their ticks say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import Ruler
from unexplained.report.charts import axis_over

PIECES = {"even": 5, "doubling": 0, "tenfold": 7}
"""Ticks across, about."""
HEIGHT, LITTLE = 8, 4
"""Ticks up, about, of a chart and of a small one."""

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

    def top(self, value: float) -> float:
        """The same from above, as heights are."""
        return round(100 - self.at(value), 2)


def within(place: float) -> float:
    """A place in percent, pulled to the edge."""
    return min(max(place, 0.0), 100.0)


def beyond(x: float, y: float) -> str:
    """Over which edge a point lies, in percent from the left and from above; empty where it does not.

    >>> beyond(-1, 50), beyond(30, 101), beyond(0, 100)
    ('left', 'down', '')
    """
    sides = {"left": x < 0, "right": x > 100, "up": y < 0, "down": y > 100}
    return next((side for side, there in sides.items() if there), "")


def _spaced(spacing: str, value: float) -> float | None:
    if spacing == "even":
        return value
    if value <= 0:
        return None
    return math.log2(value) if spacing == "doubling" else math.log10(value)


def across(ruler: Ruler, xs: Sequence[float]) -> Spaced:
    """Over all points, and to whole powers of ten where shares are drawn."""
    places = [s for v in (*xs, *ruler.solid) if (s := _spaced(ruler.spacing, v)) is not None]
    low, high = min(places, default=0.0), max(places, default=1.0)
    if ruler.spacing == "tenfold" and ruler.written == "share":
        low, high = float(math.floor(low + 1e-9)), max(high, 0.0)
    elif ruler.spacing == "tenfold":
        low, high = low - 0.36, high + 0.36
    elif ruler.spacing == "doubling":
        low = min(low, 0.0)
    else:
        low, high = margins(ruler, low, high)
    return Spaced(ruler.spacing, low, high if high > low else low + 1.0)


def margins(ruler: Ruler, low: float, high: float) -> tuple[float, float]:
    """A little room beyond what is drawn, but not below a line of reference or a given end."""
    ends = (ruler.least, ruler.most)
    low = low if ends[0] is None else max(low, ends[0])
    high = high if ends[1] is None else min(high, ends[1])
    room = (high - low) * 0.05 or 0.1
    held = {*ruler.solid, *(e for e in ends if e is not None)}
    return low if low in held else low - room, high if high in ends else high + room


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


def exactly(ruler: Ruler, value: float) -> str:
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
        Tick(
            min(max(x.at(v), 0.0), 100.0), _written(ruler, v) if share else words, _counts(ruler, v)
        )
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
    return tuple(Tick(y.top(v), _written(ruler, v), solid=v in ruler.solid) for v in kept)
