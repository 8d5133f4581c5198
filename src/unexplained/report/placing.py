"""What charts with words in them share: lines, labels kept apart and cut.

Places are percent of the width from the left and of the height from above.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from unexplained import visible
from unexplained.record import Number

APART = 5.5
"""Percent of the height between two names, where there is room."""
SHORT = 18
"""Letters of a name in the margin of a wide page."""
ON_A_PHONE = 10
"""The same on a telephone: there the rest is hidden."""


def finite(number: Number | None) -> float | None:
    """The value, where there is one that can be drawn."""
    value = None if number is None else number.value
    return value if value is not None and math.isfinite(value) else None


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
    return cut[:ON_A_PHONE], cut[ON_A_PHONE:]
