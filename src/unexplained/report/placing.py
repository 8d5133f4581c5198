"""What charts with words in them share: an axis of counts, places of dots, labels kept apart.

Places are percent of the width from the left and of the height from above.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.report import visible
from unexplained.report.charts import Axis

APART = 5.5
"""Percent of the height between two names, where there is room."""
SHORT = 18
"""Letters of a name in the margin of a wide page."""
NARROW = 10
"""The same on a telephone: there the rest is hidden."""
CLOSE = 0.5
"""Doublings between the last power of two and the end of the axis, below which it has no tick."""


@dataclass(frozen=True)
class Doublings:
    """An axis of counts on which every doubling has the same length, from 1."""

    most: int

    def at(self, count: int) -> float:
        """Place in percent of the width.

        >>> Doublings(16).at(4), Doublings(1).at(1)
        (50.0, 50.0)
        """
        if self.most <= 1:
            return 50.0
        return round(100 * math.log2(count) / math.log2(self.most), 2)

    @property
    def ticks(self) -> tuple[int, ...]:
        """Powers of two, and the end.

        >>> Doublings(12).ticks, Doublings(144).ticks
        ((1, 2, 4, 8, 12), (1, 2, 4, 8, 16, 32, 64, 144))
        """
        powers = (2**i for i in range(self.most.bit_length()))
        return (*(n for n in powers if math.log2(self.most / n) > CLOSE), self.most)


@dataclass(frozen=True)
class Spot:
    """A number in a chart."""

    x: float
    y: float
    low: float
    """Height of the lower end of its interval, from above; `y` where there is none."""
    high: float
    beyond: str
    """`up`, `down`, `left` or `right` where it lies outside of the chart, else empty."""
    value: str
    hover: str


def finite(number: Number | None) -> float | None:
    """The value, where there is one that can be drawn."""
    value = None if number is None else number.value
    return value if value is not None and math.isfinite(value) else None


def from_top(axis: Axis, value: float) -> float:
    """Height of a value in percent from above, not pulled to the edge.

    >>> from_top(Axis(0.0, 2.0, ()), 0.5), from_top(Axis(0.0, 2.0, ()), 3.0)
    (75.0, -50.0)
    """
    height = 100 * (axis.high - value) / (axis.high - axis.low)
    return round(min(max(height, -1e4), 1e4), 2)


def spot(x: float, number: Number, axis: Axis, hover: str) -> Spot | None:
    """Place a number at a height; None where there is no value."""
    value = finite(number)
    if value is None:
        return None
    y, low, high = (
        from_top(axis, value if end is None else end) for end in (value, number.low, number.high)
    )
    beyond = "up" if y < 0 else "down" if y > 100 else ""
    y, low, high = (min(max(height, 0.0), 100.0) for height in (y, low, high))
    return Spot(x, y, low, high, beyond, fmt.show(number).value, hover)


def paths(corners: Iterable[tuple[float, float] | None]) -> tuple[str, ...]:
    """Corners as `x,y …`; where one is missing the line is cut in two.

    >>> paths([(0.0, 50.0), (50.0, 40.0), None, (100.0, 1.5)])
    ('0,50 50,40', '100,1.5')
    """
    runs: list[list[str]] = [[]]
    for corner in corners:
        if corner is None:
            runs.append([])
        else:
            runs[-1].append(f"{corner[0]:g},{corner[1]:g}")
    return tuple(" ".join(run) for run in runs if run)


def apart(heights: Sequence[float], gap: float = APART) -> list[float]:
    """Heights in ascending order, pushed apart as far as there is room.

    >>> apart([10.0, 11.0, 99.0, 100.0])
    [10.0, 15.5, 94.5, 100.0]
    """
    gap = min(gap, 100 / max(len(heights) - 1, 1))
    down: list[float] = []
    for height in heights:
        down.append(max(height, down[-1] + gap) if down else height)
    last, found = 100.0, []
    for height in reversed(down):
        last = min(height, last)
        found.append(round(last, 2))
        last -= gap
    return found[::-1]


def shortened(name: str) -> tuple[str, str]:
    """A name cut for the margin: what a telephone shows of it, and what a wide page adds.

    >>> shortened("rung-3"), shortened("all but the last of many")
    (('rung-3', ''), ('all but th', 'e last …'))
    """
    whole = visible.line(name)
    cut = whole if len(whole) <= SHORT else whole[: SHORT - 1] + "…"
    return cut[:NARROW], cut[NARROW:]
